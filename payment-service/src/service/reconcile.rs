//! Finishing what was left unfinished: asking the provider how things stand.

use chassis::mutant;
use futures::future::join_all;
use tracing::instrument;

use crate::client::ChargeRequest;
use crate::model::{Payment, PaymentError, PaymentStatus};
use crate::repository::Cause;
use crate::service::PaymentService;
use crate::service::settle::Source;

/// What one round of the reconciliation came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Round {
    /// Payments that were looked at.
    pub looked_at: usize,
    /// Whether there may be more that are due.
    pub more: bool,
}

impl PaymentService {
    /// Looks at payments that wait for the provider and are due.
    ///
    /// Any number of workers may do so at once: each takes other payments, and should two look at
    /// the same one after all, only the first move counts. Nothing is ever guessed: a payment
    /// whose provider does not answer is looked at again, after a growing pause.
    #[instrument(name = "payment.reconcile", skip_all)]
    pub async fn reconcile(&self) -> Result<Round, PaymentError> {
        let (now, limit) = (self.clock.now(), self.policy.batch);
        let due = self.repository.claim_due(now, self.policy.pauses, limit).await?;
        let looked_at = due.len();
        let results = join_all(due.into_iter().map(|payment| self.look_at(payment))).await;
        for error in results.into_iter().filter_map(Result::err) {
            let error = chassis::error::Chain(&error);
            tracing::warn!(error = %error, "payment could not be reconciled");
        }
        Ok(Round { looked_at, more: looked_at >= limit as usize })
    }

    async fn look_at(&self, payment: Payment) -> Result<(), PaymentError> {
        match payment.status() {
            PaymentStatus::Initiated | PaymentStatus::Pending => self.ask(payment).await,
            // A failed payment owes a refund when the provider captured it all the same.
            PaymentStatus::Refunding | PaymentStatus::Failed => {
                self.finish_refund(payment, Cause::Reconciliation).await.map(drop)
            }
            PaymentStatus::Succeeded | PaymentStatus::Refunded => Ok(()),
        }
    }

    /// Asks how a charge stands. One that the provider never heard of is asked for again: the
    /// process died before the call, or the call was lost.
    async fn ask(&self, payment: Payment) -> Result<(), PaymentError> {
        if mutant!("capture_retried_under_new_reference") {
            return self.capture(payment, Source::Reconciliation).await.map(drop);
        }
        let request = ChargeRequest::of(&payment);
        match self.patiently(self.provider.query(&request)).await {
            Ok(Some(charge)) => {
                self.settle(payment, &charge, Source::Reconciliation).await.map(drop)
            }
            Ok(None) => self.capture(payment, Source::Reconciliation).await.map(drop),
            Err(error) => {
                tracing::warn!(payment.id = %payment.id(), %error, "provider cannot be asked");
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::client::scripted::Step;
    use crate::model::{Outcome, Reason, RefundId};
    use crate::service::{Actor, RefundPayment};
    use crate::testing::{Bench, create};

    async fn status(bench: &Bench, payment: &Payment) -> PaymentStatus {
        bench.service.load(payment.id()).await.unwrap().status()
    }

    async fn reconcile_later(bench: &Bench) -> usize {
        bench.clock.advance(TimeDelta::seconds(61));
        bench.service.reconcile().await.unwrap().looked_at
    }

    #[tokio::test(start_paused = true)]
    async fn a_capture_whose_answer_was_lost_is_found() {
        for step in [Step::LoseAnswer(Outcome::Captured), Step::Hang(Outcome::Captured)] {
            let bench = Bench::new([step]);
            let payment = bench.service.create_payment(create("pm_timeout")).await.unwrap();
            assert_eq!(reconcile_later(&bench).await, 1);
            assert_eq!(status(&bench, &payment).await, PaymentStatus::Succeeded);
            assert_eq!(bench.provider.captures(payment.id()), 1);
            assert_eq!(bench.repository.postings(payment.id()).len(), 1);
        }
    }

    #[tokio::test]
    async fn a_call_that_never_arrived_is_made_again() {
        let bench = Bench::new([Step::LoseCall]);
        let payment = bench.service.create_payment(create("pm_ok")).await.unwrap();
        assert_eq!(bench.provider.captures(payment.id()), 0);
        reconcile_later(&bench).await;
        assert_eq!(status(&bench, &payment).await, PaymentStatus::Succeeded);
        assert_eq!(bench.provider.captures(payment.id()), 1);
    }

    #[tokio::test]
    async fn a_pending_payment_is_settled_without_its_callback() {
        let bench = Bench::new([Step::Answer(Outcome::Pending)]);
        let payment = bench.service.create_payment(create("pm_pending_then_failed")).await.unwrap();
        reconcile_later(&bench).await;
        assert_eq!(status(&bench, &payment).await, PaymentStatus::Pending);
        let declined = Outcome::Declined(Reason::from_provider("card_declined"));
        bench.provider.decide(payment.id(), declined);
        reconcile_later(&bench).await;
        assert_eq!(status(&bench, &payment).await, PaymentStatus::Failed);
        assert_eq!(reconcile_later(&bench).await, 0);
    }

    #[tokio::test]
    async fn a_refund_that_was_interrupted_is_finished() {
        let lost = Step::LoseAnswer(Outcome::Captured);
        let bench = Bench::new([Step::Answer(Outcome::Captured), lost]);
        let payment = bench.service.create_payment(create("pm_ok")).await.unwrap();
        let command = RefundPayment {
            actor: Actor::Service,
            payment_id: payment.id(),
            refund_id: RefundId::generate(),
            reason: "late_capture".to_owned(),
        };
        bench.service.refund_payment(command).await.unwrap();
        reconcile_later(&bench).await;
        assert_eq!(status(&bench, &payment).await, PaymentStatus::Refunded);
        assert_eq!(bench.balance(payment.id()), 0);
    }

    #[tokio::test]
    async fn a_fresh_payment_is_left_to_whoever_works_on_it() {
        let bench = Bench::new([Step::LoseCall]);
        bench.service.create_payment(create("pm_ok")).await.unwrap();
        assert_eq!(bench.service.reconcile().await.unwrap(), Round { looked_at: 0, more: false });
    }

    #[tokio::test]
    async fn a_full_round_says_that_there_may_be_more() {
        let bench = Bench::new(vec![Step::LoseCall; Bench::BATCH as usize + 1]);
        for _ in 0..=Bench::BATCH {
            bench.service.create_payment(create("pm_ok")).await.unwrap();
        }
        bench.clock.advance(TimeDelta::seconds(61));
        let full = Round { looked_at: Bench::BATCH as usize, more: true };
        assert_eq!(bench.service.reconcile().await.unwrap(), full);
        let rest = Round { looked_at: 1, more: false };
        assert_eq!(bench.service.reconcile().await.unwrap(), rest);
    }
}
