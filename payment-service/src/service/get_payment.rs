//! Reading one payment.

use tracing::instrument;

use crate::model::{Payment, PaymentError, PaymentId};
use crate::service::{Actor, PaymentService};

/// Asks for one payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GetPayment {
    /// Who asks.
    pub actor: Actor,
    /// Which payment.
    pub payment_id: PaymentId,
}

/// A payment among the attempts to pay the same order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaymentView {
    /// The payment asked for.
    pub payment: Payment,
    /// Every attempt of its order, oldest first, itself included.
    pub attempts: Vec<Payment>,
}

impl PaymentService {
    /// Reads a payment with the attempts of its order. Another user's does not exist.
    #[instrument(name = "payment.get", skip_all, fields(payment.id = %query.payment_id))]
    pub async fn get_payment(&self, query: GetPayment) -> Result<PaymentView, PaymentError> {
        let payment = self.load(query.payment_id).await?;
        if !query.actor.may_act_for(payment.terms().user_id) {
            return Err(PaymentError::NotFound);
        }
        let attempts = self.repository.list_attempts(payment.terms().order_id).await?;
        Ok(PaymentView { payment, attempts })
    }

    pub(super) async fn load(&self, id: PaymentId) -> Result<Payment, PaymentError> {
        self.repository.find(id).await?.ok_or(PaymentError::NotFound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::scripted::Step;
    use crate::model::{Outcome, Reason, UserId};
    use crate::service::CreatePayment;
    use crate::testing::{Bench, create};

    #[tokio::test]
    async fn a_payment_comes_with_every_attempt_of_its_order() {
        let declined = Outcome::Declined(Reason::from_provider("card_declined"));
        let bench = Bench::new([Step::Answer(declined)]);
        let first = create("pm_declined");
        let second = CreatePayment { attempt_id: PaymentId::generate(), ..first.clone() };
        for command in [first.clone(), second.clone(), create("pm_ok")] {
            bench.service.create_payment(command).await.unwrap();
        }
        let query = GetPayment { actor: Actor::Service, payment_id: second.attempt_id };
        let view = bench.service.get_payment(query).await.unwrap();
        assert_eq!(view.payment.id(), second.attempt_id);
        let attempts: Vec<_> = view.attempts.iter().map(Payment::id).collect();
        assert_eq!(attempts, [first.attempt_id, second.attempt_id]);
    }

    #[tokio::test]
    async fn another_users_payment_does_not_exist() {
        let bench = Bench::new([]);
        let payment = bench.service.create_payment(create("pm_ok")).await.unwrap();
        let (owner, payment_id) = (payment.terms().user_id, payment.id());
        for (actor, visible) in [
            (Actor::User(owner), true),
            (Actor::Admin, true),
            (Actor::Service, true),
            (Actor::User(UserId::generate()), false),
        ] {
            let result = bench.service.get_payment(GetPayment { actor, payment_id }).await;
            assert_eq!(result.is_ok(), visible, "{actor:?}");
        }
        let unknown = GetPayment { actor: Actor::Admin, payment_id: PaymentId::generate() };
        let error = bench.service.get_payment(unknown).await.unwrap_err();
        assert!(matches!(error, PaymentError::NotFound));
    }
}
