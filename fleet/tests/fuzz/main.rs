//! Everything that reads bytes of strangers, fed with bytes that nobody would send: A140 of the
//! catalogue of attacks.
//!
//! Inputs are mutations of a committed corpus (`corpus/TARGET/`) and of what was found on the way; see
//! [`engine`]. A target may neither panic nor accept what it should not: each states what has to hold
//! of what it accepts.
//!
//! ```sh
//! cargo test -p fleet --test fuzz                                  # 2,000 inputs a target
//! EH_FUZZ_RUNS=10000000 cargo test --release -p fleet --test fuzz  # 10^7, an hour or more
//! EH_FUZZ_SEED=7 cargo test -p fleet --test fuzz a140_event        # others, of one target
//! ```
//!
//! An input that fails is kept in a file that the failure names; in the corpus it is tried first, ever
//! after.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a target that cannot be set up is a failed test"
)]

mod configuration;
mod cursors;
mod engine;
mod events;
mod money;
mod mutation;
mod names;
mod signatures;
mod tokens;
