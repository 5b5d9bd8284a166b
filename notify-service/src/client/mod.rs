//! Port: who takes messages by e-mail.
//!
//! [`smtp`] is what sends; [`folder`] leaves them where a developer finds them; [`memory`] is the fake
//! for tests.

pub mod folder;
#[cfg(any(test, feature = "testing"))]
pub mod memory;
mod mime;
pub mod smtp;

use std::error::Error;

use async_trait::async_trait;

use crate::model::Letter;

/// Why a message was not taken. Says nothing of the message, nor what the other side said of it:
/// servers repeat addresses.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// It will not be taken at another time either.
    #[error("the message was refused with code {code}")]
    Refused {
        /// The server's code.
        code: u16,
    },
    /// It was said whole, and the answer cannot be read. Said again it may arrive twice, and as often as it
    /// is said where the server always answers so.
    #[error("the answer to the message cannot be read: it may have been taken")]
    Unclear,
    /// It may be taken at another time.
    #[error("the message was not taken")]
    Unavailable {
        /// The cause.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl MailError {
    /// Wraps a cause that may pass.
    pub fn unavailable(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unavailable { source: source.into() }
    }
}

/// Takes messages.
#[async_trait]
pub trait Mailer: Send + Sync {
    /// Hands a message on, within a bounded time. One that is handed on twice has the same identity.
    async fn send(&self, letter: &Letter) -> Result<(), MailError>;
}
