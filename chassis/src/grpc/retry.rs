//! Retries of idempotent calls, bounded by a budget so that they cannot feed an outage.
//!
//! A retry goes to another instance if there is one: an instance that has just died answers at
//! once, so that it has the fewest calls in flight and would be chosen again.
//!
//! A retry is paid for once, wherever in a chain of calls it is made: it travels as one
//! (`grpc-previous-rpc-attempts`), and whoever serves it pays for the calls it makes in turn. So the
//! service at the end of the chain sees no more of them than the service at its beginning.

use std::cell::RefCell;
use std::future::Future;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use tonic::{Code, Status};

use super::{RetryBudget, context};
use crate::backoff::Backoff;
use crate::discovery::Endpoint;
use crate::error::{RemoteError, codes};

tokio::task_local! {
    /// The operation that is being retried.
    static OPERATION: RefCell<Operation>;
}

/// What later attempts at an operation have to know of the earlier ones.
#[derive(Default)]
struct Operation {
    /// The instances at which it has failed.
    tried: Vec<Endpoint>,
    /// How often it has failed.
    failures: u32,
}

/// The header by which a call says how often it was tried before (gRPC's own, see its retry design).
const PREVIOUS_ATTEMPTS: HeaderName = HeaderName::from_static("grpc-previous-rpc-attempts");

/// The pause before the first retry; it doubles with each further one.
const PAUSE: Duration = Duration::from_millis(25);

/// The longest pause between two attempts.
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// Enters a call that is made now in the budget, unless it belongs to an operation that is retried:
/// that was entered as a whole.
pub(super) fn enter(budget: &RetryBudget) {
    if OPERATION.try_with(|_| ()).is_err() {
        budget.enter(context::previous_attempts());
    }
}

/// The instances that the current attempt should leave out; none outside a retried operation.
pub(super) fn tried() -> Vec<Endpoint> {
    OPERATION.try_with(|operation| operation.borrow().tried.clone()).unwrap_or_default()
}

/// How often a call that is made now was tried before, by us or for the caller that we serve.
fn previous_attempts() -> u32 {
    let here = OPERATION.try_with(|operation| operation.borrow().failures).unwrap_or_default();
    here.saturating_add(context::previous_attempts())
}

/// Marks a retry as one.
pub(super) fn write_previous(headers: &mut HeaderMap) {
    let attempts = previous_attempts();
    if attempts > 0 {
        headers.insert(PREVIOUS_ATTEMPTS, HeaderValue::from(attempts));
    }
}

/// Reads how often a call was tried before; what is no number counts as never.
pub(super) fn read_previous(headers: &HeaderMap) -> u32 {
    let value = headers.get(PREVIOUS_ATTEMPTS).and_then(|value| value.to_str().ok());
    value.and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// Makes later attempts at the current operation leave out this instance.
pub(super) fn avoid(endpoint: &Endpoint) {
    // Outside a retried operation there are no later attempts.
    let _ = OPERATION.try_with(|operation| operation.borrow_mut().tried.push(endpoint.clone()));
}

/// Calls `operation` up to `attempts` times while it answers UNAVAILABLE.
///
/// Only for operations that may run twice. Nothing is retried once the budget is empty, when the
/// upstream said how long to stay away, or when the pause would outlast the caller's deadline.
///
/// A retry that meets its own earlier attempt (IDEMPOTENCY_IN_PROGRESS) answers with the failure
/// of that attempt: the caller sent one call, and being told that it had no effect would be wrong.
pub async fn retry_idempotent<T, F, Fut>(
    budget: &RetryBudget,
    attempts: u32,
    operation: F,
) -> Result<T, Status>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, Status>>,
{
    budget.enter(context::previous_attempts());
    OPERATION.scope(RefCell::default(), repeat(budget, attempts, operation)).await
}

async fn repeat<T, F, Fut>(
    budget: &RetryBudget,
    attempts: u32,
    mut operation: F,
) -> Result<T, Status>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, Status>>,
{
    let mut backoff = Backoff::new(PAUSE, PAUSE_MAX);
    let mut attempt = 1;
    let mut unknown = None;
    loop {
        let status = match operation().await {
            Ok(reply) => return Ok(reply),
            Err(status) => met_itself(&status).then(|| unknown.take()).flatten().unwrap_or(status),
        };
        let pause = backoff.step();
        if attempt >= attempts || !may_retry(&status, pause) || !budget.try_withdraw() {
            return Err(status);
        }
        tracing::debug!(attempt, error = status.message(), "retrying an idempotent call");
        tokio::time::sleep(pause).await;
        OPERATION.with(|operation| operation.borrow_mut().failures = attempt);
        attempt += 1;
        unknown = Some(status);
    }
}

/// Whether another call with the same key is under way, which can only be an earlier attempt when
/// there was one.
fn met_itself(status: &Status) -> bool {
    status.code() == Code::Aborted
        && RemoteError::from_status(status).reason == codes::IDEMPOTENCY_IN_PROGRESS.reason
}

fn may_retry(status: &Status, pause: Duration) -> bool {
    status.code() == Code::Unavailable
        && RemoteError::from_status(status).retry_after.is_none()
        && context::remaining().is_none_or(|left| left > pause)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// A budget of the size that services have by default.
    fn with_ratio(ratio: f64) -> RetryBudget {
        let config = crate::config::UpstreamConfig::default();
        RetryBudget::new(ratio, config.retry_budget_max, config.retry_debt_max)
    }

    async fn count_attempts(budget: &RetryBudget, attempts: u32, status: &Status) -> u32 {
        let calls = Cell::new(0);
        let outcome: Result<(), Status> = retry_idempotent(budget, attempts, || {
            calls.set(calls.get() + 1);
            async { Err(status.clone()) }
        })
        .await;
        assert_eq!(outcome.unwrap_err().code(), status.code());
        calls.get()
    }

    #[tokio::test(start_paused = true)]
    async fn only_an_unavailable_upstream_is_asked_again() {
        let budget = with_ratio(0.1);
        assert_eq!(count_attempts(&budget, 3, &Status::unavailable("down")).await, 3);
        for status in [Status::aborted("a"), Status::deadline_exceeded("d"), Status::internal("i")]
        {
            assert_eq!(count_attempts(&budget, 3, &status).await, 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn retries_stay_within_the_budget_during_an_outage() {
        let budget = with_ratio(0.1);
        let status = Status::unavailable("down");
        let mut attempts = 0;
        for _ in 0..1000 {
            attempts += count_attempts(&budget, 2, &status).await;
        }
        let retries = attempts - 1000;
        assert!((100..=111).contains(&retries), "{retries} retries for 1000 calls");
    }

    #[tokio::test]
    async fn a_call_is_entered_once_whether_it_may_be_repeated_or_not() {
        let budget = &RetryBudget::new(0.5, 2, 0);
        let withdraw = || budget.try_withdraw();
        assert!(withdraw() && withdraw() && !withdraw());
        enter(budget);
        assert!(!withdraw());
        enter(budget);
        assert!(withdraw(), "of two calls one may be repeated");
        for may_be_paid in [false, true] {
            let call = || async move {
                enter(budget);
                Ok::<_, Status>(())
            };
            retry_idempotent(budget, 2, call).await.unwrap();
            assert_eq!(withdraw(), may_be_paid);
        }
    }

    /// What the last of two services in a row sees when both repeat their calls.
    #[tokio::test(start_paused = true)]
    async fn retries_of_two_layers_are_no_more_than_those_of_one() {
        let (first, second) = (with_ratio(0.1), with_ratio(0.1));
        let seen = Cell::new(0);
        let at_the_end = || {
            seen.set(seen.get() + 1);
            async { Err::<(), _>(Status::unavailable("down")) }
        };
        let in_between = || {
            let mut headers = HeaderMap::new();
            write_previous(&mut headers);
            let served = context::CallContext {
                previous_attempts: read_previous(&headers),
                ..context::CallContext::default()
            };
            context::scope(served, retry_idempotent(&second, 2, at_the_end))
        };
        for _ in 0..1000 {
            retry_idempotent(&first, 2, in_between).await.unwrap_err();
        }
        let (share, saved) = (100, 2 * 10);
        assert!((1000..=1000 + share + saved).contains(&seen.get()), "{} calls", seen.get());
    }

    #[test]
    fn a_retry_travels_as_one() {
        let mut headers = HeaderMap::new();
        write_previous(&mut headers);
        assert!(headers.is_empty(), "a first attempt says nothing");
        assert_eq!(read_previous(&headers), 0);
        for (text, attempts) in [("1", 1), ("2", 2), ("-1", 0), ("x", 0), ("", 0)] {
            headers.insert(PREVIOUS_ATTEMPTS, HeaderValue::from_static(text));
            assert_eq!(read_previous(&headers), attempts, "{text}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_retry_outlasts_the_deadline_of_the_caller() {
        let budget = with_ratio(1.0);
        let context = context::CallContext::with_timeout(Duration::from_millis(1));
        let status = Status::unavailable("down");
        let attempts = context::scope(context, count_attempts(&budget, 5, &status)).await;
        assert_eq!(attempts, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_later_success_is_the_result() {
        let budget = with_ratio(0.1);
        let calls = Cell::new(0);
        let outcome = retry_idempotent(&budget, 2, || {
            calls.set(calls.get() + 1);
            let first = calls.get() == 1;
            async move { if first { Err(Status::unavailable("down")) } else { Ok(42) } }
        })
        .await;
        assert_eq!(outcome.unwrap(), 42);
    }

    #[tokio::test(start_paused = true)]
    async fn a_retry_that_meets_its_own_attempt_answers_with_that_attempts_failure() {
        let in_progress =
            crate::error::grpc::status(codes::IDEMPOTENCY_IN_PROGRESS, "runs", Vec::new(), None);
        let unknown = Status::unavailable("the connection broke");
        let outcome = async |answers: Vec<Status>| {
            let mut answers = answers.into_iter();
            let call = || {
                let answer = answers.next();
                async { answer.map_or(Ok(()), Err) }
            };
            retry_idempotent(&with_ratio(0.1), 2, call).await.unwrap_err().code()
        };
        let met_itself = outcome(vec![unknown, in_progress.clone()]).await;
        assert_eq!(met_itself, Code::Unavailable, "nobody knows what the first attempt did");
        assert_eq!(outcome(vec![in_progress]).await, Code::Aborted, "another call's key");
    }
}
