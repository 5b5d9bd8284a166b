//! Why an event was not applied.

use std::any::Any;
use std::fmt;

use crate::error::Chain;

/// Why the handler did not apply an event.
#[derive(Debug)]
pub(super) enum Failure {
    Retry(anyhow::Error),
    Poison(String),
    Panic(String),
}

impl Failure {
    /// The kind of error, for spans.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Retry(_) => "retry",
            Self::Poison(_) => "poison",
            Self::Panic(_) => "panic",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retry(error) => {
                let reason: &(dyn std::error::Error + 'static) = error.as_ref();
                Chain(reason).fmt(f)
            }
            Self::Poison(reason) => f.write_str(reason),
            Self::Panic(message) => write!(f, "panicked: {message}"),
        }
    }
}

/// What a panic said.
pub(super) fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}
