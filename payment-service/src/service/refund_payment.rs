//! Giving captured money back.

use chassis::{failpoint, mutant};
use tracing::instrument;

use crate::client::{ProviderError, RefundRequest};
use crate::model::{Change, Payment, PaymentError, PaymentId, RefundId, RefundStatus};
use crate::repository::{Cause, Save, Saved};
use crate::service::{Actor, PaymentService, contended};

/// Other moves of the payment that are tolerated before the refund is given up for now.
const ATTEMPTS: u32 = 8;

/// Asks for the refund of a captured payment, in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefundPayment {
    /// Who asks.
    pub actor: Actor,
    /// Which payment.
    pub payment_id: PaymentId,
    /// Chosen by whoever asks.
    pub refund_id: RefundId,
    /// Why.
    pub reason: String,
}

impl PaymentService {
    /// Records the refund, asks the provider for it, and records that the money went back.
    ///
    /// Idempotent by refund id. When the provider does not confirm in time the payment stays
    /// REFUNDING; the reconciliation goes on with it. So it does when the provider refuses: the
    /// money is owed all the same. People are told by an error in the log, and the provider is asked
    /// again after the growing pause until it agrees.
    #[instrument(name = "payment.refund", skip_all, fields(payment.id = %command.payment_id))]
    pub async fn refund_payment(&self, command: RefundPayment) -> Result<Payment, PaymentError> {
        let payment = self.load(command.payment_id).await?;
        if !command.actor.may_act_for(payment.terms().user_id) {
            return Err(PaymentError::NotFound);
        }
        let payment = self.begin_refund(payment, &command).await?;
        self.finish_refund(payment, Cause::Answer).await
    }

    /// Brings the payment to REFUNDING under the refund's id, unless it is there or past it.
    async fn begin_refund(
        &self,
        mut payment: Payment,
        command: &RefundPayment,
    ) -> Result<Payment, PaymentError> {
        for _ in 0..ATTEMPTS {
            if payment.refund().is_some_and(|refund| refund.id == command.refund_id) {
                return Ok(payment);
            }
            let now = self.clock.now();
            let change = payment.request_refund(command.refund_id, command.reason.clone(), now)?;
            if self.store(&change, Cause::Request).await? == Saved::Stored {
                failpoint!("payment.refund.committed");
                return Ok(change.payment);
            }
            payment = self.load(payment.id()).await?;
        }
        Err(contended())
    }

    /// Asks the provider for the refund that a payment owes, if it owes one, and records that it
    /// was made.
    pub(super) async fn finish_refund(
        &self,
        payment: Payment,
        cause: Cause,
    ) -> Result<Payment, PaymentError> {
        let owed = payment.refund().filter(|refund| refund.status == RefundStatus::Pending);
        let Some(refund) = owed else { return Ok(payment) };
        let mut request =
            RefundRequest { reference: payment.id(), refund_id: refund.id, amount: refund.amount };
        if mutant!("refund_retried_under_new_id") && cause == Cause::Reconciliation {
            request.refund_id = RefundId::generate();
        }
        match self.patiently(self.provider.refund(&request)).await {
            Ok(()) => {}
            Err(error @ ProviderError::Unknown { .. }) => {
                tracing::warn!(payment.id = %payment.id(), %error, "refund is not confirmed");
                return Ok(payment);
            }
            Err(error @ ProviderError::Refused { .. }) => {
                tracing::error!(payment.id = %payment.id(), %error, "provider refuses to refund");
                return Ok(payment);
            }
        }
        failpoint!("payment.refund.answered");
        self.record_refund(&payment, cause).await
    }

    async fn record_refund(
        &self,
        payment: &Payment,
        cause: Cause,
    ) -> Result<Payment, PaymentError> {
        let now = self.clock.now();
        let (saved, after) = if payment.makes_surplus() {
            let change = payment.return_surplus(now)?;
            (self.repository.save_surplus(&change, None).await?, change.payment)
        } else {
            let change = payment.complete_refund(now)?;
            (self.store(&change, cause).await?, change.payment)
        };
        match saved {
            Saved::Stored => Ok(after),
            // Somebody else got the same confirmation and stored it.
            Saved::Stale | Saved::Replayed => self.load(payment.id()).await,
        }
    }

    async fn store(&self, change: &Change, cause: Cause) -> Result<Saved, PaymentError> {
        let check_at = self.first_check(&change.payment, change.payment.updated_at());
        self.repository.save(Save { change, cause, check_at, callback: None }).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use chrono::TimeDelta;
    use tracing::{Event, Level, Metadata, Subscriber, span};

    use super::*;
    use crate::client::scripted::Step;
    use crate::model::{Outcome, PaymentStatus, UserId};
    use crate::testing::{Bench, create};

    async fn captured(bench: &Bench) -> Payment {
        bench.service.create_payment(create("pm_ok")).await.unwrap()
    }

    fn refund(payment: &Payment) -> RefundPayment {
        RefundPayment {
            actor: Actor::Service,
            payment_id: payment.id(),
            refund_id: RefundId::generate(),
            reason: "customer_request".to_owned(),
        }
    }

    #[tokio::test]
    async fn a_refund_books_the_money_back_and_tells() {
        let bench = Bench::new([]);
        let payment = captured(&bench).await;
        let command = refund(&payment);
        let refunded = bench.service.refund_payment(command.clone()).await.unwrap();
        assert_eq!(refunded.status(), PaymentStatus::Refunded);
        assert_eq!(refunded.version(), 4);
        assert_eq!(bench.balance(payment.id()), 0);
        assert_eq!(bench.repository.postings(payment.id()).len(), 2);
        assert_eq!(bench.event_names(payment.id()), ["payment.succeeded", "payment.refunded"]);
        assert_eq!(bench.provider.refund_of(payment.id()), Some(command.refund_id));
    }

    #[tokio::test]
    async fn a_repetition_refunds_nothing_more() {
        let bench = Bench::new([]);
        let payment = captured(&bench).await;
        let command = refund(&payment);
        let first = bench.service.refund_payment(command.clone()).await.unwrap();
        let again = bench.service.refund_payment(command).await.unwrap();
        assert_eq!(first, again);
        assert_eq!(bench.repository.postings(payment.id()).len(), 2);
    }

    #[tokio::test]
    async fn a_second_refund_is_refused() {
        let bench = Bench::new([]);
        let payment = captured(&bench).await;
        bench.service.refund_payment(refund(&payment)).await.unwrap();
        let error = bench.service.refund_payment(refund(&payment)).await.unwrap_err();
        assert!(matches!(error, PaymentError::StateConflict { status: PaymentStatus::Refunded }));
    }

    #[tokio::test]
    async fn what_was_not_captured_is_not_refunded() {
        let bench = Bench::new([Step::Answer(Outcome::Pending)]);
        let payment = captured(&bench).await;
        let error = bench.service.refund_payment(refund(&payment)).await.unwrap_err();
        assert!(matches!(error, PaymentError::StateConflict { status: PaymentStatus::Pending }));
    }

    #[tokio::test]
    async fn a_refund_id_is_good_for_one_payment() {
        let bench = Bench::new([]);
        let (first, second) = (captured(&bench).await, captured(&bench).await);
        let command = refund(&first);
        bench.service.refund_payment(command.clone()).await.unwrap();
        let reused = RefundPayment { payment_id: second.id(), ..command };
        let error = bench.service.refund_payment(reused).await.unwrap_err();
        assert!(matches!(error, PaymentError::RefundIdTaken));
    }

    #[tokio::test(start_paused = true)]
    async fn an_unconfirmed_refund_goes_on_when_it_is_asked_for_again() {
        for step in
            [Step::LoseCall, Step::LoseAnswer(Outcome::Captured), Step::Hang(Outcome::Captured)]
        {
            let bench = Bench::new([Step::Answer(Outcome::Captured), step]);
            let payment = captured(&bench).await;
            let command = refund(&payment);
            let waiting = bench.service.refund_payment(command.clone()).await.unwrap();
            assert_eq!(waiting.status(), PaymentStatus::Refunding);
            let done = bench.service.refund_payment(command).await.unwrap();
            assert_eq!(done.status(), PaymentStatus::Refunded);
            assert_eq!(bench.repository.postings(payment.id()).len(), 2);
        }
    }

    #[tokio::test]
    async fn a_refused_refund_is_reported_and_goes_on() {
        let bench = Bench::new([Step::Answer(Outcome::Captured)]);
        let payment = captured(&bench).await;
        let reported = Errors::default();
        let _listening = tracing::subscriber::set_default(reported.clone());
        for _ in 0..4 {
            bench.provider.then(Step::Refuse("account_suspended"));
        }
        let waiting = bench.service.refund_payment(refund(&payment)).await.unwrap();
        assert_eq!(waiting.status(), PaymentStatus::Refunding);
        assert_eq!(reported.count(), 1);
        let mut looked_at = Vec::new();
        for _ in 0..8 {
            bench.clock.advance(TimeDelta::seconds(5));
            looked_at.push(bench.service.reconcile().await.unwrap().looked_at);
        }
        assert_eq!(looked_at, [1, 1, 0, 1, 0, 0, 0, 1]);
        let stored = bench.service.load(payment.id()).await.unwrap();
        assert_eq!((stored.status(), reported.count()), (PaymentStatus::Refunded, 4));
        assert_eq!(bench.balance(payment.id()), 0);
    }

    /// Counts what is logged as an error.
    #[derive(Clone, Default)]
    struct Errors(Arc<AtomicUsize>);

    impl Errors {
        fn count(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    impl Subscriber for Errors {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn event(&self, event: &Event<'_>) {
            let is_error = *event.metadata().level() == Level::ERROR;
            self.0.fetch_add(usize::from(is_error), Ordering::Relaxed);
        }

        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }

        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

        fn enter(&self, _: &span::Id) {}

        fn exit(&self, _: &span::Id) {}
    }

    #[tokio::test]
    async fn another_users_payment_does_not_exist() {
        let bench = Bench::new([]);
        let payment = captured(&bench).await;
        let stranger = Actor::User(UserId::generate());
        let command = RefundPayment { actor: stranger, ..refund(&payment) };
        let error = bench.service.refund_payment(command).await.unwrap_err();
        assert!(matches!(error, PaymentError::NotFound));
    }
}
