//! Fakes and throw-away middleware for tests; never part of a shipped binary.

pub mod audit;
pub mod broker;
pub mod callers;
pub mod catalogue;
pub mod clock;
pub mod config;
pub mod corpus;
pub mod damage;
pub mod forger;
pub mod grpc;
pub mod mysql;
pub mod process;
pub mod tokens;

/// Address of the Redis that tests may use (`EH_TEST_REDIS_URL`).
///
/// # Panics
///
/// When the variable is not set: such tests are ignored unless the middleware runs.
pub fn redis_url() -> String {
    variable("EH_TEST_REDIS_URL")
}

/// Returns what the environment says about the middleware that tests may use.
#[expect(clippy::disallowed_methods, reason = "tests are told about middleware by the environment")]
#[expect(clippy::panic, reason = "a test without its middleware cannot go on")]
fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run `cargo ehub test`"))
}
