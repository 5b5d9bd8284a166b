//! Between the wire and the model; everything that comes in is checked here.

use chassis::error::{Invalid, Validator};
use chrono::{DateTime, Utc};
use prost_types::Timestamp;
use proto::money::v1 as money;
use proto::payment::v1 as pb;

use crate::model::{
    CallbackReceipt, Difference, Money, OrderId, Payment, PaymentError, PaymentId, PaymentMethod,
    PaymentStatus, Refund, RefundId, RefundStatus, Terms, UserId,
};
use crate::service::{
    Actor, ClassReport, CreatePayment, Cursor, GetPayment, GetReconciliation, ListCallbacks,
    Reconciliation, RefundPayment, UnlessKnown,
};

const REASON_LENGTH_MAX: usize = 64;

/// Reads the request to start a payment.
pub(super) fn create_payment(
    actor: Actor,
    request: pb::CreatePaymentRequest,
) -> Result<CreatePayment, PaymentError> {
    let attempt_id = PaymentId::parse(&request.attempt_id)?;
    let order_id = OrderId::parse(&request.order_id)?;
    let user_id = UserId::parse(&request.user_id)?;
    let wire = request.amount.unwrap_or_default();
    let amount = Money::parse("amount", wire.amount, &wire.currency);
    let method = PaymentMethod::parse("payment_method", &request.payment_method);
    let (amount, method) = both(amount, method)?;
    let terms = Terms { order_id, user_id, amount, method };
    let unless_known = if request.only_settle { UnlessKnown::Close } else { UnlessKnown::Start };
    Ok(CreatePayment { actor, attempt_id, terms, unless_known })
}

/// Reads the request for one payment.
pub(super) fn get_payment(
    actor: Actor,
    request: &pb::GetPaymentRequest,
) -> Result<GetPayment, PaymentError> {
    Ok(GetPayment { actor, payment_id: PaymentId::parse(&request.payment_id)? })
}

/// Reads the request for a refund.
pub(super) fn refund_payment(
    actor: Actor,
    request: pb::RefundPaymentRequest,
) -> Result<RefundPayment, PaymentError> {
    let payment_id = PaymentId::parse(&request.payment_id)?;
    let refund_id = RefundId::parse(&request.refund_id)?;
    let reason = request.reason;
    let printable = reason.bytes().all(|byte| byte.is_ascii_graphic());
    let mut validator = Validator::new();
    validator.check(
        (1..=REASON_LENGTH_MAX).contains(&reason.len()) && printable,
        "reason",
        "FORMAT",
        "must be 1 to 64 printable ASCII characters without spaces",
    );
    validator.finish()?;
    Ok(RefundPayment { actor, payment_id, refund_id, reason })
}

/// Reads the request for the callbacks of an order.
pub(super) fn list_callbacks(
    actor: Actor,
    request: &pb::ListCallbacksRequest,
) -> Result<ListCallbacks, PaymentError> {
    Ok(ListCallbacks { actor, order_id: OrderId::parse(&request.order_id)? })
}

/// Reads the request for the comparison with the provider's ledger.
pub(super) fn get_reconciliation(
    actor: Actor,
    request: &pb::GetReconciliationRequest,
) -> Result<GetReconciliation, PaymentError> {
    Ok(GetReconciliation { actor, after: Cursor::parse("after", &request.after)? })
}

/// Both values, or the violations of both.
fn both<A, B>(first: Result<A, Invalid>, second: Result<B, Invalid>) -> Result<(A, B), Invalid> {
    match (first, second) {
        (Ok(first), Ok(second)) => Ok((first, second)),
        (Err(mut invalid), Err(other)) => {
            invalid.violations.extend(other.violations);
            Err(invalid)
        }
        (Err(invalid), Ok(_)) | (Ok(_), Err(invalid)) => Err(invalid),
    }
}

/// Writes a payment.
pub(super) fn payment(payment: &Payment) -> pb::Payment {
    let snapshot = payment.snapshot();
    pb::Payment {
        id: snapshot.id.to_string(),
        order_id: snapshot.terms.order_id.to_string(),
        user_id: snapshot.terms.user_id.to_string(),
        amount: Some(amount(snapshot.terms.amount)),
        status: status(snapshot.status).into(),
        payment_method: snapshot.terms.method.to_string(),
        provider_reference: snapshot.provider_reference.clone().unwrap_or_default(),
        failure_reason: payment.failure_reason().map(ToString::to_string).unwrap_or_default(),
        version: snapshot.version,
        created_at: Some(timestamp(snapshot.created_at)),
        updated_at: Some(timestamp(snapshot.updated_at)),
        refunds: snapshot.refund.iter().map(refund).collect(),
    }
}

/// Writes what became of a callback.
pub(super) fn receipt(receipt: CallbackReceipt) -> pb::CallbackReceipt {
    pb::CallbackReceipt {
        callback_id: receipt.id,
        payment_id: receipt.payment_id.to_string(),
        r#type: receipt.kind.unwrap_or_default(),
        ruling: receipt.ruling,
        deliveries: receipt.deliveries,
        received_at: Some(timestamp(receipt.received_at)),
        last_received_at: Some(timestamp(receipt.last_received_at)),
    }
}

/// Writes the comparison with the provider's ledger.
pub(super) fn reconciliation(report: Reconciliation) -> pb::GetReconciliationResponse {
    pb::GetReconciliationResponse {
        compared: report.compared,
        in_flight: report.in_flight,
        classes: report.classes.into_iter().map(difference_class).collect(),
        next: report.next.as_ref().map(Cursor::to_string).unwrap_or_default(),
        compared_at: Some(timestamp(report.compared_at)),
    }
}

fn difference_class(report: ClassReport) -> pb::DifferenceClass {
    pb::DifferenceClass {
        name: report.class.as_str().to_owned(),
        count: report.count,
        examples: report.examples.into_iter().map(difference).collect(),
    }
}

fn difference(difference: Difference) -> pb::Difference {
    pb::Difference {
        payment_id: difference.reference,
        provider_reference: difference.provider_reference,
        refund_id: difference.refund_id,
        ours: difference.ours,
        theirs: difference.theirs,
    }
}

fn refund(refund: &Refund) -> pb::Refund {
    let status = match refund.status {
        RefundStatus::Pending => pb::RefundStatus::Pending,
        RefundStatus::Succeeded => pb::RefundStatus::Succeeded,
    };
    pb::Refund {
        id: refund.id.to_string(),
        amount: Some(amount(refund.amount)),
        status: status.into(),
        reason: refund.reason.clone(),
        created_at: Some(timestamp(refund.created_at)),
    }
}

fn status(status: PaymentStatus) -> pb::PaymentStatus {
    match status {
        PaymentStatus::Initiated => pb::PaymentStatus::Initiated,
        PaymentStatus::Pending => pb::PaymentStatus::Pending,
        PaymentStatus::Succeeded => pb::PaymentStatus::Succeeded,
        PaymentStatus::Failed => pb::PaymentStatus::Failed,
        PaymentStatus::Refunding => pb::PaymentStatus::Refunding,
        PaymentStatus::Refunded => pb::PaymentStatus::Refunded,
    }
}

fn amount(amount: Money) -> money::Money {
    money::Money { amount: amount.amount(), currency: amount.currency().to_string() }
}

fn timestamp(time: DateTime<Utc>) -> Timestamp {
    let nanos = i32::try_from(time.timestamp_subsec_nanos()).unwrap_or_default();
    Timestamp { seconds: time.timestamp(), nanos }
}

#[cfg(test)]
mod tests {
    use chassis::error::ServiceError;

    use super::*;

    fn request() -> pb::CreatePaymentRequest {
        pb::CreatePaymentRequest {
            attempt_id: PaymentId::generate().to_string(),
            order_id: OrderId::generate().to_string(),
            user_id: UserId::generate().to_string(),
            amount: Some(money::Money { amount: 19_900, currency: "CNY".to_owned() }),
            payment_method: "pm_ok".to_owned(),
            only_settle: false,
        }
    }

    fn fields(error: &PaymentError) -> Vec<String> {
        error.violations().into_iter().map(|violation| violation.field).collect()
    }

    #[test]
    fn a_request_becomes_a_command() {
        let wire = request();
        let command = create_payment(Actor::Service, wire.clone()).unwrap();
        assert_eq!(command.attempt_id.to_string(), wire.attempt_id);
        assert_eq!(command.terms.amount.amount(), 19_900);
        assert_eq!(command.terms.method.as_str(), "pm_ok");
        assert_eq!(command.unless_known, UnlessKnown::Start);
        let closing = pb::CreatePaymentRequest { only_settle: true, ..wire };
        let command = create_payment(Actor::Service, closing).unwrap();
        assert_eq!(command.unless_known, UnlessKnown::Close);
    }

    #[test]
    fn identities_are_checked_first() {
        for damage in [
            |wire: &mut pb::CreatePaymentRequest| wire.attempt_id = "17".to_owned(),
            |wire: &mut pb::CreatePaymentRequest| wire.order_id = String::new(),
            |wire: &mut pb::CreatePaymentRequest| wire.user_id.push('0'),
        ] {
            let mut wire = request();
            damage(&mut wire);
            let error = create_payment(Actor::Service, wire).unwrap_err();
            assert_eq!(error.code().reason, "ID_INVALID");
        }
    }

    #[test]
    fn every_field_at_fault_is_named() {
        let mut wire = request();
        wire.amount = None;
        wire.payment_method = "4111111111111111".to_owned();
        let error = create_payment(Actor::Service, wire).unwrap_err();
        assert_eq!(error.code().reason, "VALIDATION_FAILED");
        assert_eq!(fields(&error), ["amount.amount", "amount.currency", "payment_method"]);
    }

    #[test]
    fn the_reason_of_a_refund_is_a_short_word() {
        let wire = |reason: &str| pb::RefundPaymentRequest {
            payment_id: PaymentId::generate().to_string(),
            refund_id: RefundId::generate().to_string(),
            reason: reason.to_owned(),
        };
        assert!(refund_payment(Actor::Service, wire("late_capture")).is_ok());
        for odd in ["", "two words", "退款", &"x".repeat(65)] {
            let error = refund_payment(Actor::Service, wire(odd)).unwrap_err();
            assert_eq!(fields(&error), ["reason"], "{odd:?}");
        }
    }

    #[test]
    fn every_status_has_its_own_number_on_the_wire() {
        let numbers: std::collections::HashSet<i32> =
            PaymentStatus::ALL.into_iter().map(|known| status(known).into()).collect();
        assert_eq!(numbers.len(), PaymentStatus::ALL.len());
        assert!(!numbers.contains(&0));
    }

    #[test]
    fn times_keep_their_milliseconds() {
        let time = DateTime::from_timestamp_millis(1_767_323_045_006).unwrap();
        let wire = timestamp(time);
        assert_eq!((wire.seconds, wire.nanos), (1_767_323_045, 6_000_000));
    }
}
