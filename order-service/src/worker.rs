//! What is done without being asked: recovery, refunds, expiry, forgetting.
//!
//! Each worker repeats one use case: at once while there is more, otherwise when its bell rings or
//! its pause is over. Use cases are safe to run in any number of replicas, so the workers need no
//! election.

use std::future::Future;
use std::time::Duration;

use chassis::error::Chain;
use chassis::grpc::context::{self, CallContext};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::model::OrderError;
use crate::service::Progress;

/// Longest single run; the work it leaves is due again later.
const RUN_MAX: Duration = Duration::from_secs(30);

/// When a worker works.
#[derive(Clone, Copy, Debug)]
pub struct Schedule<'a> {
    /// Name of the worker, for logs.
    pub name: &'static str,
    /// Pause when nothing more is due.
    pub every: Duration,
    /// Ends the pause early.
    pub bell: &'a Notify,
}

/// Repeats `job` until `stop`. A failed run is logged and tried again after the pause.
pub async fn repeat<F, Fut>(schedule: Schedule<'_>, stop: CancellationToken, job: F)
where
    F: Fn() -> Fut + Send,
    Fut: Future<Output = Result<Progress, OrderError>> + Send,
{
    while !stop.is_cancelled() {
        let span = tracing::info_span!(parent: None, "worker.run", worker.name = schedule.name);
        let run = context::scope(CallContext::with_timeout(RUN_MAX), job()).instrument(span);
        match run.await {
            Ok(Progress::More) => continue,
            Ok(Progress::Idle) => {}
            Err(error) => {
                tracing::warn!(worker.name = schedule.name, error = %Chain(&error), "worker run failed");
            }
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = schedule.bell.notified() => {}
            () = tokio::time::sleep(schedule.every) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    fn schedule(bell: &Notify) -> Schedule<'_> {
        Schedule { name: "test", every: HOUR, bell }
    }

    /// Runs a worker whose runs end as told; stops it after the last one.
    async fn runs(outcomes: &[fn() -> Result<Progress, OrderError>], bell: &Notify) -> usize {
        let (stop, count) = (CancellationToken::new(), AtomicUsize::new(0));
        repeat(schedule(bell), stop.clone(), || async {
            let run = count.fetch_add(1, Ordering::Relaxed);
            if run + 1 == outcomes.len() {
                stop.cancel();
            }
            outcomes[run]()
        })
        .await;
        count.into_inner()
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_batch_is_followed_at_once() {
        let started = tokio::time::Instant::now();
        let more = || Ok(Progress::More);
        assert_eq!(runs(&[more, more, more], &Notify::new()).await, 3);
        assert_eq!(started.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_more_to_do_means_a_pause_which_the_bell_ends() {
        let started = tokio::time::Instant::now();
        let (idle, bell) = (|| Ok(Progress::Idle), Notify::new());
        bell.notify_one();
        assert_eq!(runs(&[idle, idle], &bell).await, 2);
        assert_eq!(started.elapsed(), Duration::ZERO);
        assert_eq!(runs(&[idle, idle, idle], &bell).await, 3);
        assert_eq!(started.elapsed(), 2 * HOUR);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_run_is_repeated_after_the_pause() {
        let started = tokio::time::Instant::now();
        let failing = || Err(OrderError::DeadlineExceeded);
        assert_eq!(runs(&[failing, || Ok(Progress::Idle)], &Notify::new()).await, 2);
        assert_eq!(started.elapsed(), HOUR);
    }
}
