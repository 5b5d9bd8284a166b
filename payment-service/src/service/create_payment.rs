//! Starting the payment of one attempt.

use chassis::{failpoint, mutant};
use tracing::instrument;

use crate::client::{ChargeRequest, ProviderError};
use crate::model::{Charge, Outcome, Payment, PaymentError, PaymentId, Reason, Terms};
use crate::service::settle::Source;
use crate::service::{Actor, PaymentService};

/// Asks for the payment of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatePayment {
    /// Who asks.
    pub actor: Actor,
    /// The attempt, which becomes the payment's id.
    pub attempt_id: PaymentId,
    /// What the attempt is about.
    pub terms: Terms,
    /// What is to be done when there is no such payment yet.
    pub unless_known: UnlessKnown,
}

/// What becomes of an attempt that was never recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnlessKnown {
    /// Its payment is started.
    Start,
    /// It is closed, for good: its order no longer awaits it.
    Close,
}

impl PaymentService {
    /// Records the intent, asks the provider to capture, and records the outcome. Of an attempt that
    /// is to be closed it records the end instead, and asks nobody.
    ///
    /// Idempotent by attempt id: a repetition answers with how the payment stands. When the provider
    /// does not answer in time the outcome is unknown and the payment stays INITIATED; the
    /// reconciliation finds out.
    #[instrument(name = "payment.create", skip_all, fields(payment.id = %command.attempt_id))]
    pub async fn create_payment(&self, command: CreatePayment) -> Result<Payment, PaymentError> {
        if !command.actor.may_act_for(command.terms.user_id) {
            return Err(PaymentError::PermissionDenied);
        }
        let now = self.clock.now();
        let begin = match command.unless_known {
            UnlessKnown::Start => Payment::initiate,
            UnlessKnown::Close => Payment::close,
        };
        let payment = begin(command.attempt_id, command.terms, now);
        let check_at = self.first_check(&payment, now);
        if let Some(existing) = self.repository.insert(&payment, check_at).await? {
            existing.require_terms(payment.terms())?;
            return Ok(existing);
        }
        match command.unless_known {
            UnlessKnown::Start => {
                failpoint!("payment.intent.committed");
                self.capture(payment, Source::Answer).await
            }
            UnlessKnown::Close => Ok(payment),
        }
    }

    /// Asks the provider to capture and settles what it says. May be asked again: the provider
    /// charges once per reference.
    pub(super) async fn capture(
        &self,
        payment: Payment,
        source: Source<'_>,
    ) -> Result<Payment, PaymentError> {
        let mut request = ChargeRequest::of(&payment);
        if mutant!("capture_retried_under_new_reference") && source.is_later() {
            request.reference = PaymentId::generate();
        }
        let charge = match self.patiently(self.provider.capture(&request)).await {
            Ok(charge) => charge,
            // It did not, and it will not: there is nothing left to be found out.
            Err(ProviderError::Refused { reason }) => refused(&reason),
            Err(_) if mutant!("unknown_capture_becomes_failed") => refused("timeout"),
            Err(error @ ProviderError::Unknown { .. }) => {
                tracing::warn!(%error, "outcome of the capture is unknown");
                return Ok(payment);
            }
        };
        failpoint!("payment.capture.answered");
        let (payment, _) = self.settle(payment, &charge, source).await?;
        failpoint!("payment.settled");
        Ok(payment)
    }
}

/// A charge that the provider did not even take on, and so has no reference for.
fn refused(reason: &str) -> Charge {
    let outcome = Outcome::Declined(Reason::from_provider(reason));
    Charge { provider_reference: String::new(), outcome }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::scripted::Step;
    use crate::model::{PaymentStatus, UserId};
    use crate::testing::{Bench, create};

    #[tokio::test]
    async fn a_capture_is_stored_with_its_entries_and_event() {
        let bench = Bench::new([]);
        let command = create("pm_ok");
        let payment = bench.service.create_payment(command.clone()).await.unwrap();
        assert_eq!(payment.status(), PaymentStatus::Succeeded);
        assert_eq!(payment.version(), 2);
        assert_eq!(bench.repository.postings(payment.id()).len(), 1);
        assert_eq!(bench.event_names(payment.id()), ["payment.succeeded"]);
        let statuses: Vec<_> =
            bench.repository.history(payment.id()).iter().map(|line| line.2).collect();
        assert_eq!(statuses, [PaymentStatus::Initiated, PaymentStatus::Succeeded]);
    }

    #[tokio::test]
    async fn a_decline_is_an_outcome_not_an_error() {
        let declined = Outcome::Declined(Reason::from_provider("insufficient_funds"));
        let bench = Bench::new([Step::Answer(declined)]);
        let payment = bench.service.create_payment(create("pm_x")).await.unwrap();
        assert_eq!(payment.status(), PaymentStatus::Failed);
        assert_eq!(payment.failure_reason().unwrap().as_str(), "insufficient_funds");
        assert!(bench.repository.postings(payment.id()).is_empty());
        assert_eq!(bench.event_names(payment.id()), ["payment.failed"]);
    }

    #[tokio::test]
    async fn a_repetition_answers_with_the_state_and_charges_nothing() {
        let bench = Bench::new([]);
        let command = create("pm_ok");
        let first = bench.service.create_payment(command.clone()).await.unwrap();
        let again = bench.service.create_payment(command.clone()).await.unwrap();
        assert_eq!(first, again);
        assert_eq!(bench.provider.captures(command.attempt_id), 1);
    }

    #[tokio::test]
    async fn other_terms_under_the_same_attempt_are_refused() {
        let bench = Bench::new([]);
        let command = create("pm_ok");
        bench.service.create_payment(command.clone()).await.unwrap();
        let other = CreatePayment { terms: create("pm_ok").terms, ..command };
        let error = bench.service.create_payment(other).await.unwrap_err();
        assert!(matches!(error, PaymentError::AmountMismatch { what: "order" }));
    }

    #[tokio::test(start_paused = true)]
    async fn silence_leaves_the_outcome_unknown() {
        for step in
            [Step::Hang(Outcome::Captured), Step::LoseAnswer(Outcome::Captured), Step::LoseCall]
        {
            let bench = Bench::new([step]);
            let payment = bench.service.create_payment(create("pm_x")).await.unwrap();
            assert_eq!(payment.status(), PaymentStatus::Initiated);
            assert!(bench.event_names(payment.id()).is_empty());
        }
    }

    #[tokio::test]
    async fn a_refused_capture_has_failed() {
        for (words, reason) in
            [("currency_not_supported", "currency_not_supported"), ("No!", "declined")]
        {
            let bench = Bench::new([Step::Refuse(words)]);
            let payment = bench.service.create_payment(create("pm_ok")).await.unwrap();
            assert_eq!(payment.status(), PaymentStatus::Failed);
            assert_eq!(payment.failure_reason().unwrap().as_str(), reason);
            assert_eq!(bench.event_names(payment.id()), ["payment.failed"]);
        }
    }

    #[tokio::test]
    async fn an_attempt_whose_order_is_closed_is_never_started() {
        let bench = Bench::new([]);
        let (start, close) = (create("pm_ok"), UnlessKnown::Close);
        let closing = CreatePayment { unless_known: close, ..start.clone() };
        let closed = bench.service.create_payment(closing.clone()).await.unwrap();
        assert_eq!((closed.status(), closed.version()), (PaymentStatus::Failed, 1));
        assert_eq!(closed.failure_reason(), Some(&Reason::order_closed()));
        // Neither a repetition nor the call that was still under way moves it.
        for command in [closing, start.clone()] {
            assert_eq!(bench.service.create_payment(command).await.unwrap(), closed);
        }
        assert_eq!(bench.provider.captures(start.attempt_id), 0);
        assert_eq!(bench.event_names(start.attempt_id), ["payment.failed"]);
        assert_eq!(bench.repository.history(start.attempt_id).len(), 1);
    }

    #[tokio::test]
    async fn closing_reads_an_attempt_that_was_started_as_it_stands() {
        let declined = Outcome::Declined(Reason::from_provider("card_declined"));
        for step in [
            Step::Answer(Outcome::Captured),
            Step::Answer(declined),
            Step::Answer(Outcome::Pending),
            Step::LoseCall,
        ] {
            let bench = Bench::new([step]);
            let start = create("pm_ok");
            let started = bench.service.create_payment(start.clone()).await.unwrap();
            let closing = CreatePayment { unless_known: UnlessKnown::Close, ..start };
            assert_eq!(bench.service.create_payment(closing.clone()).await.unwrap(), started);
            let other = CreatePayment { terms: create("pm_ok").terms, ..closing };
            let error = bench.service.create_payment(other).await.unwrap_err();
            assert!(matches!(error, PaymentError::AmountMismatch { what: "order" }));
        }
    }

    #[tokio::test]
    async fn nobody_pays_in_another_name() {
        let bench = Bench::new([]);
        let command = CreatePayment { actor: Actor::User(UserId::generate()), ..create("pm_ok") };
        let error = bench.service.create_payment(command).await.unwrap_err();
        assert!(matches!(error, PaymentError::PermissionDenied));
        let own = create("pm_ok");
        let own = CreatePayment { actor: Actor::User(own.terms.user_id), ..own };
        bench.service.create_payment(own).await.unwrap();
    }
}
