//! Delivers the simulated provider's callbacks: signed, and through the same verification that a
//! callback from outside goes through.

use std::sync::Arc;
use std::time::Duration;

use chassis::clock::Clock;
use chassis::error::{Chain, Kind, ServiceError};
use chassis::grpc::context::{CallContext, scope};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::client::simulated::OutgoingCallback;
use crate::model::CallbackKeys;
use crate::service::{HandleCallback, PaymentService};

/// Callbacks under way at once; further ones wait for these.
const UNDER_WAY_MAX: usize = 256;
/// Longest handling of one callback.
const HANDLING_MAX: Duration = Duration::from_secs(5);

/// What a delivery needs.
#[derive(Clone)]
pub struct Courier {
    /// Takes the callbacks.
    pub service: Arc<PaymentService>,
    /// Signs them, as the provider does.
    pub keys: CallbackKeys,
    /// Tells when they are signed.
    pub clock: Arc<dyn Clock>,
}

impl Courier {
    /// Delivers what comes out of `outgoing`, each when its time has come, until `stop`.
    ///
    /// What is not delivered by then is lost, as callbacks may be; the reconciliation asks.
    pub async fn run(
        self,
        mut outgoing: mpsc::Receiver<OutgoingCallback>,
        stop: CancellationToken,
    ) {
        let mut under_way = JoinSet::new();
        loop {
            let room = under_way.len() < UNDER_WAY_MAX;
            tokio::select! {
                () = stop.cancelled() => return,
                Some(_) = under_way.join_next() => {}
                callback = outgoing.recv(), if room => match callback {
                    Some(callback) => {
                        under_way.spawn(self.clone().deliver(callback));
                    }
                    None => return,
                },
            }
        }
    }

    async fn deliver(self, callback: OutgoingCallback) {
        tokio::time::sleep(callback.delay).await;
        for _ in 0..callback.copies {
            let (body, now) = (callback.body.clone(), self.clock.now());
            let command = HandleCallback { signature: self.keys.sign(&body, now), body };
            let handling = self.service.handle_callback(command);
            if let Err(error) = scope(CallContext::with_timeout(HANDLING_MAX), handling).await {
                report(&error);
            }
        }
    }
}

fn report(error: &(impl ServiceError + 'static)) {
    let text = Chain(error).to_string();
    if error.code().kind == Kind::Internal {
        tracing::error!(error = text, "simulated callback failed");
    } else {
        tracing::warn!(error = text, "simulated callback was not taken");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::scripted::Step;
    use crate::model::{Outcome, Payment, PaymentStatus, Ruling};
    use crate::repository::PaymentRepository;
    use crate::repository::memory::MemoryPaymentRepository;
    use crate::testing::{Bench, callback, create};

    async fn settled(repository: &MemoryPaymentRepository, payment: &Payment) -> PaymentStatus {
        loop {
            let status = repository.find(payment.id()).await.unwrap().unwrap().status();
            if !status.awaits_provider() {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn callbacks_pass_the_verification_and_settle_the_payment() {
        let bench = Bench::new([Step::Answer(Outcome::Pending)]);
        let payment = bench.service.create_payment(create("pm_pending_then_ok")).await.unwrap();
        let repository = bench.repository.clone();
        let (send, outgoing) = mpsc::channel(1);
        let courier =
            Courier { service: Arc::new(bench.service), keys: bench.keys, clock: bench.clock };
        let body = callback("evt_1", "payment.succeeded", &payment).to_string().into_bytes();
        let delay = Duration::from_secs(1);
        send.send(OutgoingCallback { body, delay, copies: 3 }).await.unwrap();

        let stop = CancellationToken::new();
        let worker = courier.run(outgoing, stop.clone());
        let watcher = async {
            assert_eq!(settled(&repository, &payment).await, PaymentStatus::Succeeded);
            while repository.deliveries("evt_1", Ruling::Duplicate) < 2 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            stop.cancel();
        };
        let both = async { tokio::join!(worker, watcher) };
        tokio::time::timeout(Duration::from_mins(1), both).await.unwrap();
        assert_eq!(repository.deliveries("evt_1", Ruling::Applied), 1);
    }
}
