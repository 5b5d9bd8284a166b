//! The worker that calls the reconciliation again and again.

use std::sync::Arc;
use std::time::Duration;

use chassis::error::{Chain, Kind, ServiceError};
use chassis::grpc::context::{CallContext, scope};
use tokio_util::sync::CancellationToken;

use crate::service::PaymentService;

/// Longest round; longer than the longest wait for the provider, with the database on top.
const ROUND_MAX: Duration = Duration::from_secs(30);

/// Reconciles every `interval`, without a pause while more is due, until `stop`.
///
/// A round that has begun is finished: whatever it was in the middle of is picked up by another
/// worker otherwise, but only after its lease.
pub async fn run(service: Arc<PaymentService>, interval: Duration, stop: CancellationToken) {
    while !stop.is_cancelled() {
        if round(&service).await {
            continue;
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(interval) => {}
        }
    }
}

/// Runs one round. Returns whether more may be due.
async fn round(service: &PaymentService) -> bool {
    match scope(CallContext::with_timeout(ROUND_MAX), service.reconcile()).await {
        Ok(round) => round.more,
        Err(error) => {
            let error_text = Chain(&error).to_string();
            if error.code().kind == Kind::Internal {
                tracing::error!(error = error_text, "reconciliation failed");
            } else {
                tracing::warn!(error = error_text, "reconciliation is held up");
            }
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use chassis::clock::Clock;
    use chrono::TimeDelta;

    use super::*;
    use crate::client::scripted::Step;
    use crate::model::PaymentStatus;
    use crate::repository::PaymentRepository;
    use crate::testing::{Bench, create};

    #[tokio::test(start_paused = true)]
    async fn what_is_due_is_worked_off_and_the_worker_stops() {
        let more_than_a_round = Bench::BATCH as usize * 2 + 1;
        let bench = Bench::new(vec![Step::LoseCall; more_than_a_round]);
        let mut ids = Vec::new();
        for _ in 0..more_than_a_round {
            ids.push(bench.service.create_payment(create("pm_ok")).await.unwrap().id());
        }
        bench.clock.set(bench.clock.now() + TimeDelta::seconds(61));
        let stop = CancellationToken::new();
        let (service, repository) = (Arc::new(bench.service), bench.repository);
        let worker = run(service, Duration::from_secs(1), stop.clone());
        let watcher = async {
            for id in ids {
                while repository.find(id).await.unwrap().unwrap().status()
                    != PaymentStatus::Succeeded
                {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
            stop.cancel();
        };
        let both = async { tokio::join!(worker, watcher) };
        tokio::time::timeout(Duration::from_mins(1), both).await.unwrap();
    }
}
