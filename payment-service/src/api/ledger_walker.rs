//! The worker that compares the books with the provider's ledger again and again.

use std::sync::Arc;
use std::time::Duration;

use chassis::error::{Chain, Kind, ServiceError};
use chassis::grpc::context::{CallContext, scope};
use tokio_util::sync::CancellationToken;

use crate::service::{PaymentService, Walk};

/// Longest walk. One that takes longer ends with what it found, and the next one goes on from there.
const WALK_MAX: Duration = Duration::from_mins(10);

/// Walks every `interval`, at first at once, until `stop`. A walk is given up when it stops: it
/// leaves nothing half done.
pub async fn run(service: Arc<PaymentService>, interval: Duration, stop: CancellationToken) {
    let mut walk = Walk::default();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = once(&service, &mut walk) => {}
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(interval) => {}
        }
    }
}

async fn once(service: &PaymentService, walk: &mut Walk) {
    let walked = scope(CallContext::with_timeout(WALK_MAX), service.walk_ledger(walk)).await;
    let Err(error) = walked else { return };
    let error_text = Chain(&error).to_string();
    if error.code().kind == Kind::Internal {
        tracing::error!(error = error_text, "comparison of the ledgers failed");
    } else {
        tracing::warn!(error = error_text, "comparison of the ledgers is held up");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::scripted::Step;
    use crate::model::{Outcome, Reason};
    use crate::repository::PaymentRepository;
    use crate::testing::{Bench, create};

    #[tokio::test(start_paused = true)]
    async fn a_late_capture_is_found_in_time_and_the_worker_stops() {
        let declined = Outcome::Declined(Reason::from_provider("card_declined"));
        let bench = Bench::new([Step::Answer(declined)]);
        let payment = bench.service.create_payment(create("pm_x")).await.unwrap();
        let (service, repository) = (Arc::new(bench.service), bench.repository);
        let stop = CancellationToken::new();
        let worker = run(service, Duration::from_mins(1), stop.clone());
        let watcher = async {
            // The first walk finds nothing; the money is taken after it.
            tokio::time::sleep(Duration::from_secs(1)).await;
            bench.provider.decide(payment.id(), Outcome::Captured);
            while repository.find(payment.id()).await.unwrap().unwrap().refund().is_none() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            stop.cancel();
        };
        let both = async { tokio::join!(worker, watcher) };
        tokio::time::timeout(Duration::from_mins(5), both).await.unwrap();
    }
}
