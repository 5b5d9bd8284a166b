//! Money that the provider took for a payment that has failed: it goes back, once.

use chassis::failpoint;

use crate::model::{Payment, PaymentError};
use crate::repository::{Cause, Saved};
use crate::service::settle::Effect;
use crate::service::{PaymentService, contended};

/// Others that may find the same capture meanwhile. A payment has one surplus capture at most, so
/// the second look finds it.
const ATTEMPTS: u32 = 4;

impl PaymentService {
    /// Books a surplus capture and owes it back, unless that was done before. The reconciliation
    /// asks the provider for the refund, at once and until it is made: whoever brought the news
    /// does not wait for it.
    pub(super) async fn take_surplus(
        &self,
        mut payment: Payment,
        cause: Cause,
    ) -> Result<(Payment, Effect), PaymentError> {
        for _ in 0..ATTEMPTS {
            if payment.refund().is_some() {
                return Ok((payment, Effect::Contradiction));
            }
            let change = payment.take_surplus(self.clock.now())?;
            let at_once = Some(self.clock.now());
            match self.repository.save_surplus(&change, at_once).await? {
                Saved::Stored => {
                    failpoint!("payment.refund.committed");
                    alert(&payment, cause);
                    return Ok((change.payment, Effect::Contradiction));
                }
                Saved::Stale | Saved::Replayed => payment = self.load(payment.id()).await?,
            }
        }
        Err(contended())
    }
}

/// Tells people, once: the money goes back by itself, but it should not have been taken.
fn alert(payment: &Payment, cause: Cause) {
    tracing::error!(
        payment.id = %payment.id(),
        payment.status = %payment.status(),
        source = cause.as_str(),
        "provider captured a payment that has failed, the money goes back"
    );
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::client::scripted::Step;
    use crate::model::{
        Account, DifferenceClass, Outcome, PaymentStatus, Reason, RefundStatus, Ruling,
    };
    use crate::service::{Actor, Cursor, GetReconciliation, Walk};
    use crate::testing::{Bench, callback, create};

    fn declined() -> Outcome {
        Outcome::Declined(Reason::from_provider("card_declined"))
    }

    /// A payment that has failed here, and whose money the provider has taken since.
    async fn captured_late(bench: &Bench) -> Payment {
        bench.provider.then(Step::Answer(declined()));
        let payment = bench.service.create_payment(create("pm_x")).await.unwrap();
        bench.provider.decide(payment.id(), Outcome::Captured);
        payment
    }

    async fn call_back(bench: &Bench, id: &str, payment: &Payment) {
        let body = callback(id, "payment.succeeded", payment).to_string().into_bytes();
        bench.service.handle_callback(bench.signed(body)).await.unwrap();
    }

    fn surplus_balance(bench: &Bench, payment: &Payment) -> i64 {
        let postings = bench.repository.postings(payment.id());
        let entries = postings.iter().flat_map(|posting| posting.entries().to_vec());
        entries
            .filter(|entry| entry.account == Account::SurplusCaptures)
            .map(|entry| entry.amount)
            .sum()
    }

    async fn stored(bench: &Bench, payment: &Payment) -> Payment {
        bench.service.load(payment.id()).await.unwrap()
    }

    #[tokio::test]
    async fn a_capture_after_the_failure_is_booked_and_given_back_once() {
        let bench = Bench::new([]);
        let payment = captured_late(&bench).await;
        call_back(&bench, "evt_late", &payment).await;
        assert_eq!(bench.repository.deliveries("evt_late", Ruling::Contradiction), 1);
        assert_eq!(
            (bench.balance(payment.id()), surplus_balance(&bench, &payment)),
            (19_900, -19_900)
        );

        // It is due at once; a repetition of the news owes nothing more.
        call_back(&bench, "evt_late", &payment).await;
        assert_eq!(bench.service.reconcile().await.unwrap().looked_at, 1);
        call_back(&bench, "evt_later", &payment).await;
        bench.clock.advance(TimeDelta::seconds(61));
        assert_eq!(bench.service.reconcile().await.unwrap().looked_at, 0);

        let after = stored(&bench, &payment).await;
        assert_eq!((after.status(), after.version()), (PaymentStatus::Failed, payment.version()));
        let refund = after.refund().unwrap();
        assert_eq!(refund.status, RefundStatus::Succeeded);
        assert_eq!(bench.provider.refund_of(payment.id()), Some(refund.id));
        assert_eq!((bench.balance(payment.id()), surplus_balance(&bench, &payment)), (0, 0));
        assert_eq!(bench.repository.postings(payment.id()).len(), 2);
        assert_eq!(bench.event_names(payment.id()), ["payment.failed"]);
    }

    #[tokio::test]
    async fn its_refund_is_asked_for_until_it_is_made() {
        let bench = Bench::new([]);
        let payment = captured_late(&bench).await;
        call_back(&bench, "evt_late", &payment).await;
        for step in [Step::LoseCall, Step::LoseAnswer(Outcome::Captured)] {
            bench.provider.then(step);
            bench.service.reconcile().await.unwrap();
            assert_eq!(
                stored(&bench, &payment).await.refund().unwrap().status,
                RefundStatus::Pending
            );
            bench.clock.advance(TimeDelta::seconds(61));
        }
        bench.service.reconcile().await.unwrap();
        assert_eq!(
            stored(&bench, &payment).await.refund().unwrap().status,
            RefundStatus::Succeeded
        );
        assert_eq!((bench.balance(payment.id()), surplus_balance(&bench, &payment)), (0, 0));
    }

    #[tokio::test]
    async fn without_any_callback_the_walk_through_the_ledger_finds_it() {
        let bench = Bench::new([]);
        let payment = captured_late(&bench).await;
        bench.clock.advance(TimeDelta::minutes(10));
        let mut walk = Walk::default();
        let summary = bench.service.walk_ledger(&mut walk).await.unwrap();
        assert_eq!((summary.surplus, summary.report.differences()), (1, 1));
        bench.service.reconcile().await.unwrap();
        assert_eq!(bench.balance(payment.id()), 0);
        assert!(bench.provider.refund_of(payment.id()).is_some());
        bench.clock.advance(TimeDelta::minutes(10));
        let again = bench.service.walk_ledger(&mut walk).await.unwrap();
        assert_eq!((again.surplus, again.report.differences()), (0, 0));
    }

    #[tokio::test]
    async fn the_report_alone_changes_nothing() {
        let bench = Bench::new([]);
        let payment = captured_late(&bench).await;
        bench.clock.advance(TimeDelta::minutes(10));
        let query = GetReconciliation { actor: Actor::Admin, after: Cursor::START };
        let report = bench.service.get_reconciliation(query).await.unwrap();
        let told: Vec<_> = report.classes.iter().filter(|class| class.count > 0).collect();
        assert_eq!((told.len(), told[0].class), (1, DifferenceClass::StatusDiffers));
        assert_eq!(stored(&bench, &payment).await, payment);
    }

    #[tokio::test]
    async fn an_answer_that_comes_after_a_failing_callback_is_no_loss_either() {
        let bench = Bench::new([Step::LoseAnswer(Outcome::Captured)]);
        let payment = bench.service.create_payment(create("pm_x")).await.unwrap();
        let body = callback("evt_1", "payment.failed", &payment).to_string().into_bytes();
        bench.service.handle_callback(bench.signed(body)).await.unwrap();
        bench.clock.advance(TimeDelta::minutes(10));
        bench.service.walk_ledger(&mut Walk::default()).await.unwrap();
        bench.service.reconcile().await.unwrap();
        assert_eq!(stored(&bench, &payment).await.status(), PaymentStatus::Failed);
        assert!(bench.provider.refund_of(payment.id()).is_some());
        assert_eq!(bench.balance(payment.id()), 0);
    }
}
