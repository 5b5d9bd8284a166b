//! Housekeeping: a job that forgets what is old, repeated for as long as the process lives.

use std::error::Error;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::error::Chain;
use crate::grpc::context::{CallContext, scope};

/// Longest single sweep; what it leaves is there for the next one.
const SWEEP_MAX: Duration = Duration::from_secs(30);

/// Repeats `job` until `stop`: at once while it says that there may be more, else after `pause`. A
/// failure is logged under `name`, and the job is tried again after the pause.
pub async fn repeat<F, Fut, E>(name: &'static str, pause: Duration, stop: CancellationToken, job: F)
where
    F: Fn() -> Fut + Send,
    Fut: Future<Output = Result<bool, E>> + Send,
    E: Error + 'static,
{
    while !stop.is_cancelled() {
        match scope(CallContext::with_timeout(SWEEP_MAX), job()).await {
            Ok(true) => continue,
            Ok(false) => {}
            Err(error) => tracing::warn!(sweep = name, error = %Chain(&error), "sweep failed"),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    /// How long it takes until the job has run for the last of these outcomes.
    async fn elapsed(outcomes: &[Result<bool, std::fmt::Error>]) -> Duration {
        let (start, stop) = (tokio::time::Instant::now(), CancellationToken::new());
        let next = AtomicUsize::new(0);
        repeat("test", HOUR, stop.clone(), || async {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at + 1 == outcomes.len() {
                stop.cancel();
            }
            outcomes[at]
        })
        .await;
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn it_goes_on_while_there_is_more_and_rests_otherwise() {
        assert_eq!(elapsed(&[Ok(true), Ok(true), Ok(true)]).await, Duration::ZERO);
        assert_eq!(elapsed(&[Ok(false), Ok(true), Ok(false)]).await, HOUR);
        assert_eq!(elapsed(&[Err(std::fmt::Error), Ok(false)]).await, HOUR);
    }
}
