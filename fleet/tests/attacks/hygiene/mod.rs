//! What answers, logs, metrics and traces tell: A067, A136 and A139; and A149, which is beyond the
//! numbers of the catalogue.
//!
//! A137, A138 and A140 need no fleet: they are in `fleet/tests/supply` and `fleet/tests/fuzz`.

mod answers;
mod canaries;
mod collector;
mod failures;
mod journey;
mod recording;

use std::time::Duration;

use crate::support::run::{Row, row};

use self::answers::a067_answers_of_every_operation;
use self::canaries::a136_canaries;
use self::failures::a139_failures_that_are_forced;
use self::recording::a149_traces_that_ask_to_be_recorded;

/// The rows of this section.
pub(crate) fn rows() -> Vec<Row> {
    vec![
        row!(a067_answers_of_every_operation),
        row!(a136_canaries).within(Duration::from_mins(5)),
        row!(a139_failures_that_are_forced).within(Duration::from_mins(8)),
        row!(a149_traces_that_ask_to_be_recorded).within(Duration::from_mins(5)),
    ]
}
