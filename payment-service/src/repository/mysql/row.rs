//! Rows, and the payments they stand for.

use chassis::error::ServiceError;
use chrono::NaiveDateTime;
use sqlx::FromRow;
use uuid::Uuid;

use crate::model::{
    Money, OrderId, Payment, PaymentError, PaymentId, PaymentMethod, PaymentStatus, Reason, Refund,
    RefundId, RefundStatus, Snapshot, Terms, UserId,
};

/// A row of `payments`, joined with its refund.
#[derive(FromRow)]
pub(super) struct PaymentRow {
    id: Uuid,
    order_id: Uuid,
    user_id: Uuid,
    amount: i64,
    currency: String,
    method: String,
    status: String,
    provider_reference: Option<String>,
    failure_reason: Option<String>,
    version: u64,
    created_at: NaiveDateTime,
    updated_at: NaiveDateTime,
    refund_id: Option<Uuid>,
    refund_status: Option<String>,
    refund_reason: Option<String>,
    refund_created_at: Option<NaiveDateTime>,
}

impl PaymentRow {
    /// The payment; a row that is none is a defect.
    pub(super) fn into_payment(self) -> Result<Payment, PaymentError> {
        let amount = Money::parse("amount", self.amount, &self.currency).map_err(damaged)?;
        let refund = self.refund(amount)?;
        let status = PaymentStatus::parse(&self.status)
            .ok_or_else(|| PaymentError::internal(format!("unknown status {}", self.status)))?;
        Ok(Payment::restore(Snapshot {
            id: PaymentId::from_uuid(self.id),
            terms: Terms {
                order_id: OrderId::from_uuid(self.order_id),
                user_id: UserId::from_uuid(self.user_id),
                amount,
                method: PaymentMethod::parse("method", &self.method).map_err(damaged)?,
            },
            status,
            provider_reference: self.provider_reference,
            failure_reason: self.failure_reason.as_deref().map(Reason::from_provider),
            refund,
            version: self.version,
            created_at: self.created_at.and_utc(),
            updated_at: self.updated_at.and_utc(),
        }))
    }

    fn refund(&self, amount: Money) -> Result<Option<Refund>, PaymentError> {
        let (Some(id), Some(status), Some(reason), Some(created_at)) =
            (self.refund_id, &self.refund_status, &self.refund_reason, self.refund_created_at)
        else {
            return Ok(None);
        };
        let status = RefundStatus::parse(status)
            .ok_or_else(|| PaymentError::internal(format!("unknown refund status {status}")))?;
        Ok(Some(Refund {
            id: RefundId::from_uuid(id),
            amount,
            status,
            reason: reason.clone(),
            created_at: created_at.and_utc(),
        }))
    }
}

/// What was valid when it was written and no longer reads is a defect, not the caller's fault.
fn damaged(error: impl ServiceError + Send + Sync + 'static) -> PaymentError {
    PaymentError::internal(error)
}
