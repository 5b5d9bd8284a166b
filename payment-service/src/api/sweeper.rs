//! The worker that forgets old callbacks.

use std::sync::Arc;
use std::time::Duration;

use chassis::error::Chain;
use chassis::grpc::context::{CallContext, scope};
use tokio_util::sync::CancellationToken;

use crate::service::PaymentService;

/// Longest sweep; what it leaves is there for the next one.
const SWEEP_MAX: Duration = Duration::from_secs(30);

/// Sweeps every `interval`, without a pause while there is more, until `stop`.
pub async fn run(service: Arc<PaymentService>, interval: Duration, stop: CancellationToken) {
    while !stop.is_cancelled() {
        if sweep(&service).await {
            continue;
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(interval) => {}
        }
    }
}

/// Sweeps once. Returns whether there may be more.
async fn sweep(service: &PaymentService) -> bool {
    let swept = scope(CallContext::with_timeout(SWEEP_MAX), service.forget_callbacks()).await;
    swept.unwrap_or_else(|error| {
        tracing::warn!(error = %Chain(&error), "callbacks could not be forgotten");
        false
    })
}

#[cfg(test)]
mod tests {
    use chassis::clock::Clock;
    use chrono::TimeDelta;

    use super::*;
    use crate::model::{CallbackRecord, Ruling};
    use crate::repository::PaymentRepository;
    use crate::testing::Bench;

    #[tokio::test(start_paused = true)]
    async fn everything_old_is_forgotten_and_the_worker_stops() {
        const OLD: usize = 1_100;
        let bench = Bench::new([]);
        let received_at = bench.clock.now();
        let record = |at: usize| CallbackRecord {
            id: format!("evt_{at}"),
            payment_id: None,
            body: Vec::new(),
            ruling: Ruling::Ignored,
            received_at,
        };
        for at in 0..OLD {
            bench.repository.record_callback(&record(at)).await.unwrap();
        }
        bench.clock.advance(bench.callback_keep() + TimeDelta::seconds(1));
        let stop = CancellationToken::new();
        let (service, repository) = (Arc::new(bench.service), bench.repository);
        let worker = run(service, Duration::from_hours(1), stop.clone());
        let watcher = async {
            let kept = |at: usize| repository.deliveries(&format!("evt_{at}"), Ruling::Ignored);
            while (0..OLD).any(|at| kept(at) > 0) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            stop.cancel();
        };
        let both = async { tokio::join!(worker, watcher) };
        tokio::time::timeout(Duration::from_mins(1), both).await.unwrap();
    }
}
