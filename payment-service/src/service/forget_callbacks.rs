//! Forgetting callbacks that nobody will ask about again.

use tracing::instrument;

use crate::model::PaymentError;
use crate::service::PaymentService;

/// Rows forgotten per statement: few enough that nobody waits for their locks.
const ROWS: u32 = 500;

impl PaymentService {
    /// Forgets old callbacks, and that they moved a payment: should one come again after all, the
    /// payment is past it. Returns whether there may be more.
    #[instrument(name = "payment.forget_callbacks", skip_all)]
    pub async fn forget_callbacks(&self) -> Result<bool, PaymentError> {
        let before = self.clock.now() - self.policy.callback_keep;
        let forgotten = self.repository.forget_callbacks(before, ROWS).await?;
        Ok(forgotten >= u64::from(ROWS))
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use crate::client::scripted::Step;
    use crate::model::{Outcome, Ruling};
    use crate::testing::{Bench, callback, create};

    #[tokio::test]
    async fn callbacks_are_forgotten_after_their_time_and_move_nothing_then() {
        let bench = Bench::new([Step::Answer(Outcome::Pending)]);
        let payment = bench.service.create_payment(create("pm_pending_then_ok")).await.unwrap();
        let body = callback("evt_1", "payment.succeeded", &payment).to_string().into_bytes();
        bench.service.handle_callback(bench.signed(body.clone())).await.unwrap();
        bench.clock.advance(bench.callback_keep());
        assert!(!bench.service.forget_callbacks().await.unwrap());
        assert_eq!(bench.repository.deliveries("evt_1", Ruling::Applied), 1);
        bench.clock.advance(TimeDelta::seconds(1));
        bench.service.forget_callbacks().await.unwrap();
        assert_eq!(bench.repository.deliveries("evt_1", Ruling::Applied), 0);
        bench.service.handle_callback(bench.signed(body)).await.unwrap();
        assert_eq!(bench.repository.deliveries("evt_1", Ruling::Duplicate), 1);
        assert_eq!(bench.event_names(payment.id()), ["payment.succeeded"]);
    }
}
