//! The payment provider's callback: A104 to A115; and A148, which is beyond the numbers of the
//! catalogue.

mod content;
mod flood;
pub(crate) mod provider;
mod repeated;
mod signatures;

use std::time::Duration;

use crate::support::run::{Row, row};

use self::content::{
    a110_other_terms_than_ours, a111_unknown_payments_and_types, a112_news_that_come_too_late,
};
use self::flood::a148_a_flood_of_forged_callbacks;
use self::repeated::a108_callbacks_sent_again;
use self::signatures::{
    a104_no_signature, a105_other_keys_and_bodies, a106_odd_times, a107_changed_times,
    a109_many_values, a113_tokens_instead_of_signatures, a115_what_a_refusal_tells,
};

/// The rows of this section.
pub(crate) fn rows() -> Vec<Row> {
    vec![
        row!(a104_no_signature),
        row!(a105_other_keys_and_bodies),
        row!(a106_odd_times),
        row!(a107_changed_times),
        row!(a108_callbacks_sent_again),
        row!(a109_many_values),
        row!(a110_other_terms_than_ours),
        row!(a111_unknown_payments_and_types),
        row!(a112_news_that_come_too_late),
        row!(a113_tokens_instead_of_signatures),
        row!(a115_what_a_refusal_tells),
        row!(a148_a_flood_of_forged_callbacks).alone().within(Duration::from_mins(5)),
    ]
}
