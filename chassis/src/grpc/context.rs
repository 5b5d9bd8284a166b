//! What a call carries with it: its deadline, the caller's credentials and the request id.
//!
//! The server's deadline layer opens a scope around each handler; everything awaited inside sees
//! the same context, so an outgoing call inherits the deadline and the credentials without a
//! parameter in every signature. A spawned task starts without a context: it outlives the call.

use std::borrow::Cow;
use std::future::Future;
use std::time::Duration;

use http::HeaderValue;
use tokio::time::Instant;

use crate::auth::Caller;
use crate::error::{ErrorCode, ServiceError, codes};

tokio::task_local! {
    static CURRENT: CallContext;
    static CALLER: Caller;
}

/// The context of the call that is being served.
#[derive(Debug, Clone, Default)]
pub struct CallContext {
    /// When the caller stops waiting; nothing may be started for it afterwards.
    pub deadline: Option<Instant>,
    /// The `authorization` value to pass on, marked sensitive so that it never prints.
    pub authorization: Option<HeaderValue>,
    /// The request id given by the edge.
    pub request_id: Option<HeaderValue>,
    /// How often the call, or one that it is a part of, was tried before.
    pub previous_attempts: u32,
}

impl CallContext {
    /// Returns a context that only carries a deadline `timeout` from now.
    pub fn with_timeout(timeout: Duration) -> Self {
        Self { deadline: Some(Instant::now() + timeout), ..Self::default() }
    }
}

/// The caller of this operation no longer waits for its result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the deadline of the call has passed")]
pub struct DeadlineExceeded;

impl ServiceError for DeadlineExceeded {
    fn code(&self) -> ErrorCode {
        codes::DEADLINE_EXCEEDED
    }

    fn detail(&self) -> Cow<'_, str> {
        Cow::Borrowed("The operation did not finish before its deadline.")
    }
}

/// Runs `future` with `context` as the current one.
pub async fn scope<F: Future>(context: CallContext, future: F) -> F::Output {
    CURRENT.scope(context, future).await
}

/// Returns a copy of the current context, or an empty one outside any call.
pub fn current() -> CallContext {
    CURRENT.try_with(CallContext::clone).unwrap_or_default()
}

/// Runs `future` for a caller whose token was verified.
pub async fn scope_caller<F: Future>(caller: Caller, future: F) -> F::Output {
    CALLER.scope(caller, future).await
}

/// Returns the caller for whom the current work is done, if a token named one.
pub fn caller() -> Option<Caller> {
    CALLER.try_with(Caller::clone).ok()
}

/// Returns how long the caller goes on waiting; `None` without a deadline, zero once it passed.
pub fn remaining() -> Option<Duration> {
    let deadline = CURRENT.try_with(|context| context.deadline).ok().flatten()?;
    Some(deadline.saturating_duration_since(Instant::now()))
}

/// Returns how often the call that is being served was tried before; zero outside any call.
pub(super) fn previous_attempts() -> u32 {
    CURRENT.try_with(|context| context.previous_attempts).unwrap_or_default()
}

/// Refuses to go on once the caller has stopped waiting; to be asked before each write.
pub fn check_deadline() -> Result<(), DeadlineExceeded> {
    match remaining() {
        Some(left) if left.is_zero() => Err(DeadlineExceeded),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_is_bounded_outside_a_call() {
        assert_eq!(remaining(), None);
        assert_eq!(check_deadline(), Ok(()));
        assert!(current().authorization.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn work_is_refused_once_the_deadline_has_passed() {
        scope(CallContext::with_timeout(Duration::from_millis(50)), async {
            assert_eq!(check_deadline(), Ok(()));
            tokio::time::advance(Duration::from_millis(50)).await;
            assert_eq!(remaining(), Some(Duration::ZERO));
            assert_eq!(check_deadline(), Err(DeadlineExceeded));
        })
        .await;
    }

    #[tokio::test]
    async fn credentials_do_not_print() {
        let mut token = HeaderValue::from_static("Bearer secret-token");
        token.set_sensitive(true);
        let context = CallContext { authorization: Some(token), ..CallContext::default() };
        assert!(!format!("{context:?}").contains("secret-token"));
    }
}
