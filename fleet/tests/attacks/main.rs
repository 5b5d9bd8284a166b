//! The catalogue of attacks: what nobody may get away with, tried on a running fleet.
//!
//! A row is an `async fn aNNN_what_is_tried(stage: &Stage) -> Result<()>` in the file of its
//! section, listed in that file's `rows()`. All rows share one fleet with two gateways, which
//! starts with the first of them; a row therefore makes its own accounts, and one that breaks the
//! fleet starts a [`fleet::Fleet`] of its own. Rows that measure or flood are marked `.alone()`.
//!
//! The harness is `libtest_mimic`, which takes the usual options: the built-in one knows neither a
//! fixture that many tests share nor an end of the run, at which the fleet has to end in order.
//! `docs/SECURITY.md` maps every row of the catalogue to its test; a test compares.

#![expect(clippy::print_stdout, reason = "what a row measured is read in its output")]

mod accounts;
mod bodies;
mod callbacks;
mod edge;
mod hygiene;
mod idempotency;
mod inside;
mod links;
mod money;
mod objects;
mod sessions;
mod support;
mod tokens;

use std::process::ExitCode;

use crate::support::run::{Row, run};

/// Every row, in the order of the catalogue.
fn rows() -> Vec<Row> {
    let sections = [
        tokens::rows(),
        accounts::rows(),
        sessions::rows(),
        objects::rows(),
        bodies::rows(),
        money::rows(),
        idempotency::rows(),
        callbacks::rows(),
        edge::rows(),
        inside::rows(),
        hygiene::rows(),
        links::rows(),
    ];
    sections.into_iter().flatten().collect()
}

fn main() -> ExitCode {
    run(rows())
}
