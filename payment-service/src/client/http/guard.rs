//! Leaves a provider alone that has failed several times in a row, so that nobody waits for it.
//!
//! A call that is refused here was not sent. To its caller it is like any other whose outcome is not
//! known: an earlier one under the same reference may have been carried out.

use std::time::Duration;

use chassis::breaker::Breaker;
use tokio::time::Instant;

use super::HttpSettings;
use super::reply::Reply;
use crate::client::ProviderError;

/// Decides whether the provider is asked.
pub(super) struct Guard {
    breaker: Breaker,
    /// A call that was given up after this time without an answer has failed.
    patience: Duration,
}

/// A call that may be made, and whose end is noted.
pub(super) struct Call<'a> {
    guard: &'a Guard,
    begun: Instant,
    is_over: bool,
}

/// The call was not made.
#[derive(Debug, thiserror::Error)]
#[error("the provider has failed and is left alone; nothing was sent")]
struct LeftAlone;

impl Guard {
    pub(super) fn new(settings: &HttpSettings) -> Self {
        let breaker = Breaker::new("provider", settings.breaker_pause);
        let breaker = breaker.opening_after(settings.breaker_failures);
        Self { breaker, patience: settings.timeout / 2 }
    }

    /// Begins a call, unless the provider is left alone.
    pub(super) fn begin(&self) -> Result<Call<'_>, ProviderError> {
        if !self.breaker.allows() {
            return Err(ProviderError::unknown(LeftAlone));
        }
        Ok(Call { guard: self, begun: Instant::now(), is_over: false })
    }

    fn succeeded(&self) {
        if self.breaker.succeeded() {
            tracing::info!("provider answers again");
        }
    }

    fn failed(&self) {
        if self.breaker.failed() {
            tracing::warn!("provider fails again and again and is left alone");
        }
    }
}

impl Call<'_> {
    /// Notes what the call came to. Any answer that came whole is one, a refusal too, unless it says
    /// that the provider itself has failed.
    pub(super) fn end(mut self, answer: &Result<Reply, ProviderError>) {
        self.is_over = true;
        if answer.as_ref().is_ok_and(|reply| !reply.status.is_server_error()) {
            self.guard.succeeded();
        } else {
            self.guard.failed();
        }
    }
}

impl Drop for Call<'_> {
    /// Whoever waits gives a silent provider up at about the same time as the client does, and more
    /// often first. One who leaves early says nothing about the provider.
    fn drop(&mut self) {
        if !self.is_over && self.begun.elapsed() >= self.guard.patience {
            self.guard.failed();
        }
    }
}
