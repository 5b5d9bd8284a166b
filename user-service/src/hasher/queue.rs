//! Who hashes now, and who waits for it.
//!
//! One hash takes tens of milliseconds of a core and 19 MiB, so at most `cores - 1` run at once. Behind
//! them a bounded number waits, none of them longer than a limit; `eh_password_hashes` shows both.

use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use chassis::grpc::context;
use metrics::{Gauge, gauge};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::model::UserError;

/// How many hashes run and wait.
#[derive(Clone, Copy, Debug)]
pub struct HashingLimits {
    /// Hashes that run at once.
    pub running_max: usize,
    /// Hashes that wait for a place at most; more are refused at once.
    pub waiting_max: usize,
    /// How long one waits for a place at most.
    pub wait_max: Duration,
    /// How far the threads that hash give way to others: added to their nice value, 0 to 19.
    pub niceness: u8,
}

impl HashingLimits {
    /// One core stays free for everything else.
    pub fn for_this_machine(waiting_max: usize, wait_max: Duration, niceness: u8) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self { running_max: cores.saturating_sub(1).max(1), waiting_max, wait_max, niceness }
    }
}

/// The queue in front of the threads that hash.
pub(super) struct Queue {
    limits: HashingLimits,
    /// Places for what runs or waits; none left means refusal at once.
    places: Arc<Semaphore>,
    /// Places for what runs.
    running: Arc<Semaphore>,
    shown_running: Gauge,
    shown_waiting: Gauge,
}

/// The places that one hash occupies until it is done.
pub(super) struct Places {
    _place: OwnedSemaphorePermit,
    _running: OwnedSemaphorePermit,
    _shown: Shown,
}

/// One more in a gauge for as long as this lives, however it ends.
struct Shown(Gauge);

impl Queue {
    /// Makes a queue that nobody is in, and shows it.
    pub(super) fn new(limits: HashingLimits) -> Self {
        let shown_running = gauge!("eh_password_hashes", "state" => "running");
        let shown_waiting = gauge!("eh_password_hashes", "state" => "waiting");
        shown_running.set(0.0);
        shown_waiting.set(0.0);
        Self {
            limits,
            places: Arc::new(Semaphore::new(limits.running_max + limits.waiting_max)),
            running: Arc::new(Semaphore::new(limits.running_max)),
            shown_running,
            shown_waiting,
        }
    }

    /// Waits until a hash may run, at most until the deadline of the call and no longer than the
    /// limit; without a place to wait in, not at all.
    pub(super) async fn enter(&self) -> Result<Places, UserError> {
        let overloaded = || UserError::Overloaded { retry_after: self.limits.wait_max };
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| overloaded())?;
        let waiting = Shown::new(&self.shown_waiting);
        let left = context::remaining().unwrap_or(self.limits.wait_max);
        let wait = left.min(self.limits.wait_max);
        let running = tokio::time::timeout(wait, Arc::clone(&self.running).acquire_owned())
            .await
            .map_err(|_| overloaded())?
            .map_err(UserError::internal)?;
        drop(waiting);
        Ok(Places { _place: place, _running: running, _shown: Shown::new(&self.shown_running) })
    }
}

impl Shown {
    fn new(gauge: &Gauge) -> Self {
        gauge.increment(1.0);
        Self(gauge.clone())
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    fn queue(running_max: usize, waiting_max: usize, wait_max: Duration) -> Queue {
        Queue::new(HashingLimits { running_max, waiting_max, wait_max, niceness: 0 })
    }

    #[tokio::test]
    async fn what_does_not_fit_into_the_queue_is_refused_at_once() {
        let queue = queue(1, 0, Duration::from_secs(3));
        let busy = queue.enter().await.unwrap();
        let refused = queue.enter().await;
        assert!(
            matches!(refused, Err(UserError::Overloaded { retry_after }) if retry_after.as_secs() == 3)
        );
        drop(busy);
        assert!(queue.enter().await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_longer_than_the_limit() {
        let queue = queue(1, 1, Duration::from_millis(500));
        let _busy = queue.enter().await.unwrap();
        let waited = tokio::time::Instant::now();
        assert!(matches!(queue.enter().await, Err(UserError::Overloaded { .. })));
        assert_eq!(waited.elapsed(), Duration::from_millis(500));
        // Whoever gave up has left the queue.
        assert!(matches!(queue.enter().await, Err(UserError::Overloaded { .. })));
    }

    #[tokio::test]
    async fn who_runs_and_who_waits_is_shown_until_they_leave() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let queue =
            metrics::with_local_recorder(&recorder, || queue(1, 2, Duration::from_secs(10)));
        let shown = || {
            let text = recorder.handle().render();
            ["running", "waiting"].map(|state| {
                let start = format!("eh_password_hashes{{state=\"{state}\"}} ");
                let value = text.lines().find_map(|line| line.strip_prefix(start.as_str()));
                value.unwrap().parse::<u32>().unwrap()
            })
        };
        assert_eq!(shown(), [0, 0]);
        let first = queue.enter().await.unwrap();
        let (mut second, mut third) = (Box::pin(queue.enter()), Box::pin(queue.enter()));
        assert!((&mut second).now_or_never().is_none() && (&mut third).now_or_never().is_none());
        assert_eq!(shown(), [1, 2]);
        assert!(queue.enter().await.is_err(), "there is no place left");
        assert_eq!(shown(), [1, 2]);
        drop(third);
        assert_eq!(shown(), [1, 1], "whoever goes away does not wait");
        drop(first);
        let second = second.await.unwrap();
        assert_eq!(shown(), [1, 0]);
        drop(second);
        assert_eq!(shown(), [0, 0]);
    }

    #[test]
    fn one_core_stays_free() {
        let limits = HashingLimits::for_this_machine(64, Duration::from_secs(2), 0);
        assert!(limits.running_max >= 1);
    }
}
