//! The port to payment-service over gRPC.

use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;
use chassis::error::RemoteError;
use chassis::grpc::{Channel, context, retry_idempotent};
use proto::money::v1::Money;
use proto::payment::v1::payment_service_client::PaymentServiceClient;
use proto::payment::v1::{CreatePaymentRequest, Payment, PaymentStatus, RefundPaymentRequest};
use tonic::Status;
use tracing::instrument;

use super::{OutcomeUnknown, PaymentGateway, PaymentStanding, RefundStanding};
use crate::model::{Outcome, PaymentCase, Refund};

/// Time kept back from the caller's deadline, so that what payment-service answered (or that it did
/// not) can still be stored and told.
const RESERVE: Duration = Duration::from_millis(500);

/// Why an attempt failed whose money went back before this service knew of it.
const RETURNED: &str = "money_returned";

/// payment-service, wherever its instances are.
#[derive(Clone, Debug)]
pub struct GrpcPaymentGateway {
    client: PaymentServiceClient<Channel>,
    channel: Channel,
}

impl GrpcPaymentGateway {
    /// Calls payment-service through `channel`.
    pub fn new(channel: Channel) -> Self {
        Self { client: PaymentServiceClient::new(channel.clone()), channel }
    }

    /// Calls with retries: a payment is idempotent by its attempt, a refund by its id.
    async fn call<F, Fut>(&self, operation: F) -> Result<Payment, OutcomeUnknown>
    where
        F: Fn(PaymentServiceClient<Channel>) -> Fut + Send,
        Fut: Future<Output = Result<Option<Payment>, Status>> + Send,
    {
        let mut bounded = context::current();
        bounded.deadline = bounded.deadline.map(|at| at.checked_sub(RESERVE).unwrap_or(at));
        let tried =
            retry_idempotent(self.channel.retry_budget(), self.channel.retry_attempts(), || {
                operation(self.client.clone())
            });
        let answered = context::scope(bounded, tried).await;
        let payment = answered.map_err(|status| unknown(RemoteError::from_status(&status)))?;
        payment.ok_or_else(|| unknown(Unanswered))
    }

    async fn settle(
        &self,
        case: &PaymentCase,
        request: CreatePaymentRequest,
    ) -> Result<PaymentStanding, OutcomeUnknown> {
        let payment = self
            .call(|mut client| {
                let request = request.clone();
                async move { Ok(client.create_payment(request).await?.into_inner().payment) }
            })
            .await?;
        Ok(standing(&payment, case))
    }
}

#[async_trait]
impl PaymentGateway for GrpcPaymentGateway {
    #[instrument(name = "payment.pay", skip_all, fields(payment.id = %case.attempt.id))]
    async fn pay(&self, case: &PaymentCase) -> Result<PaymentStanding, OutcomeUnknown> {
        self.settle(case, request(case)).await
    }

    #[instrument(name = "payment.close", skip_all, fields(payment.id = %case.attempt.id))]
    async fn close(&self, case: &PaymentCase) -> Result<PaymentStanding, OutcomeUnknown> {
        self.settle(case, CreatePaymentRequest { only_settle: true, ..request(case) }).await
    }

    #[instrument(name = "payment.refund", skip_all, fields(payment.id = %refund.payment_id))]
    async fn refund(&self, refund: &Refund) -> Result<RefundStanding, OutcomeUnknown> {
        let request = RefundPaymentRequest {
            payment_id: refund.payment_id.to_string(),
            refund_id: refund.id.to_string(),
            reason: refund.reason.as_str().to_owned(),
        };
        let payment = self
            .call(|mut client| {
                let request = request.clone();
                async move { Ok(client.refund_payment(request).await?.into_inner().payment) }
            })
            .await?;
        Ok(match payment.status() {
            PaymentStatus::Refunded => RefundStanding::Done,
            _ => RefundStanding::Pending,
        })
    }
}

fn request(case: &PaymentCase) -> CreatePaymentRequest {
    CreatePaymentRequest {
        attempt_id: case.attempt.id.to_string(),
        order_id: case.order.id.to_string(),
        user_id: case.order.user_id.to_string(),
        amount: Some(Money {
            amount: case.order.total.amount(),
            currency: case.order.total.currency().code().to_owned(),
        }),
        payment_method: case.attempt.method.as_str().to_owned(),
        only_settle: false,
    }
}

/// An answer without a payment in it.
#[derive(Debug, thiserror::Error)]
#[error("payment-service answered without a payment")]
struct Unanswered;

fn unknown(source: impl std::error::Error + Send + Sync + 'static) -> OutcomeUnknown {
    OutcomeUnknown { source: Box::new(source) }
}

/// Money that is on its way back was captured first. If this service never asked for it, because it
/// does not know of the capture, the money is not the shop's all the same: the order is not paid by
/// it. A state that this version does not know settles nothing.
fn standing(payment: &Payment, case: &PaymentCase) -> PaymentStanding {
    match payment.status() {
        PaymentStatus::Refunding | PaymentStatus::Refunded
            if case.attempt.outcome.is_none() && case.refund.is_none() =>
        {
            PaymentStanding::Settled(Outcome::declined(RETURNED))
        }
        PaymentStatus::Succeeded | PaymentStatus::Refunding | PaymentStatus::Refunded => {
            PaymentStanding::Settled(Outcome::Captured)
        }
        PaymentStatus::Failed => {
            PaymentStanding::Settled(Outcome::declined(&payment.failure_reason))
        }
        PaymentStatus::Unspecified | PaymentStatus::Initiated | PaymentStatus::Pending => {
            PaymentStanding::Pending
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fixtures;

    fn payment(status: i32) -> Payment {
        let failure_reason = "card_declined".to_owned();
        Payment { status, failure_reason, ..Payment::default() }
    }

    #[test]
    fn only_final_states_settle_a_payment() {
        let mut case = fixtures::case_of(fixtures::order());
        let of = |case: &PaymentCase, status: i32| standing(&payment(status), case);
        let settled = |status: PaymentStatus| of(&case, status.into());
        let captured = PaymentStanding::Settled(Outcome::Captured);
        assert_eq!(settled(PaymentStatus::Succeeded), captured);
        let returned = PaymentStanding::Settled(Outcome::declined(RETURNED));
        assert_eq!(settled(PaymentStatus::Refunding), returned);
        assert_eq!(settled(PaymentStatus::Refunded), returned);
        let declined = PaymentStanding::Settled(Outcome::declined("card_declined"));
        assert_eq!(settled(PaymentStatus::Failed), declined);
        assert_eq!(settled(PaymentStatus::Initiated), PaymentStanding::Pending);
        assert_eq!(settled(PaymentStatus::Pending), PaymentStanding::Pending);
        assert_eq!(of(&case, 99), PaymentStanding::Pending, "a state of a later version");
        case.attempt.outcome = Some(Outcome::Captured);
        assert_eq!(of(&case, PaymentStatus::Refunded.into()), captured);
    }
}
