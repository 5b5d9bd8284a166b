//! Events of payment-service. Same shape as an rpc: parse, call a use case, render the outcome,
//! which here is whether to deliver again.

use std::sync::Arc;

use async_trait::async_trait;
use chassis::error::{Kind, ServiceError as _};
use chassis::messaging::{Envelope, HandleError, Handler};
use serde::Deserialize;

use crate::model::{OrderError, OrderId, Outcome, PaymentId};
use crate::service::{News, OrderService, PaymentNotice};

/// Queue of this service.
pub const QUEUE: &str = "order-service";

/// Events that arrive in it.
pub const BINDINGS: &[&str] = &["payment.*"];

/// Applies events of payment-service.
pub struct PaymentEvents {
    service: Arc<OrderService>,
}

impl PaymentEvents {
    /// Applies them through `service`.
    pub fn new(service: Arc<OrderService>) -> Self {
        Self { service }
    }
}

/// The members of `proto/events/payment.*.json` that matter here.
#[derive(Deserialize)]
struct Data {
    payment_id: PaymentId,
    order_id: OrderId,
    failure_reason: Option<String>,
}

#[async_trait]
impl Handler for PaymentEvents {
    async fn handle(&self, batch: &[Envelope]) -> Result<(), HandleError> {
        let notices = batch.iter().map(notice).filter_map(Result::transpose);
        let notices: Vec<PaymentNotice> = notices.collect::<Result<_, _>>()?;
        self.service.apply_notices(&notices).await.map_err(outcome)
    }
}

/// Reads an event; `None` for one that a later version of payment-service may send.
fn notice(envelope: &Envelope) -> Result<Option<PaymentNotice>, HandleError> {
    let event = envelope.event();
    if !["payment.succeeded", "payment.failed", "payment.refunded"].contains(&event) {
        tracing::debug!(event.name = event, "unknown event ignored");
        return Ok(None);
    }
    let data: Data = envelope.decode().map_err(|error| HandleError::Poison(error.to_string()))?;
    let news = match event {
        "payment.succeeded" => News::Settled(Outcome::Captured),
        "payment.failed" => {
            News::Settled(Outcome::declined(data.failure_reason.as_deref().unwrap_or_default()))
        }
        _ => News::Refunded,
    };
    Ok(Some(PaymentNotice {
        event_id: envelope.id.clone(),
        order_id: data.order_id,
        payment_id: data.payment_id,
        news,
    }))
}

/// Only what the event itself is to blame for can never be applied. Anything else, a defect that
/// the next version repairs included, comes again until the queue's delivery limit ends it.
fn outcome(error: OrderError) -> HandleError {
    match error.code().kind {
        Kind::Malformed | Kind::InvalidArgument => HandleError::Poison(error.to_string()),
        _ => HandleError::Retry(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use chassis::testing::damage::damaged;
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    /// What is put into events.
    const WORDS: &[&str] = &[
        "",
        "\"",
        "{",
        "}",
        ",",
        ":",
        "0",
        "null",
        "\u{e9}",
        "\\u0000",
        "card declined! ",
        "payment.refunded",
        "\"failure_reason\":null,",
        "\"order_id\":\"0193a1b2-0000-7000-8000-000000000009\",",
    ];

    fn example(event: &str) -> Envelope {
        let schema: serde_json::Value =
            serde_json::from_str(proto::events::schema(event).unwrap()).unwrap();
        Envelope::from_json(schema["examples"][0].to_string().as_bytes()).unwrap()
    }

    #[test]
    fn the_published_examples_are_understood() {
        let read = |event| notice(&example(event)).unwrap().unwrap();
        assert_eq!(read("payment.succeeded").news, News::Settled(Outcome::Captured));
        let declined = News::Settled(Outcome::declined("card_declined"));
        assert_eq!(read("payment.failed").news, declined);
        let refunded = read("payment.refunded");
        assert_eq!(refunded.news, News::Refunded);
        assert!(refunded.event_id.starts_with("payment.refunded:"));
    }

    /// A replica of this version reads what one of an earlier version has left in the queue, and what one
    /// of a later version puts there.
    #[test]
    fn events_of_every_release_are_read_also_with_members_of_a_later_one() {
        let mut understood = 0;
        for released in chassis::testing::corpus::events() {
            let read = |bytes: &[u8]| notice(&Envelope::from_json(bytes).unwrap()).unwrap();
            let (read, later) = (read(&released.bytes), read(&released.with_unknown_members()));
            assert_eq!(format!("{read:?}"), format!("{later:?}"), "{}", released.file);
            understood += usize::from(read.is_some());
        }
        assert!(understood >= 3, "{understood} events of payments");
    }

    #[test]
    fn other_events_are_ignored_and_damaged_ones_are_poison() {
        assert!(notice(&example("order.paid")).unwrap().is_none());
        let subject = uuid::Uuid::nil();
        let time = chrono::DateTime::UNIX_EPOCH;
        let damaged =
            Envelope::new("payment-service", "payment.failed", subject, 1, time, "no object");
        assert!(matches!(notice(&damaged.unwrap()), Err(HandleError::Poison(_))));
    }

    #[test]
    fn only_the_events_own_faults_are_poison() {
        let unavailable = OrderError::Unavailable { source: "database".into() };
        assert!(matches!(outcome(unavailable), HandleError::Retry(_)));
        let defect = OrderError::Internal { source: "bug".into() };
        assert!(matches!(outcome(defect), HandleError::Retry(_)));
        assert!(matches!(outcome(OrderError::PaymentInProgress), HandleError::Retry(_)));
        assert!(matches!(outcome(OrderError::AmountOutOfRange), HandleError::Poison(_)));
    }

    /// The events of payments, of every release.
    fn payments() -> Vec<Vec<u8>> {
        let released = chassis::testing::corpus::events().into_iter();
        released.filter(|event| event.file.contains("/payment.")).map(|event| event.bytes).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn what_is_read_of_a_damaged_event_is_what_it_says(
            event in prop::sample::select(payments()),
            changes in prop::collection::vec(
                (any::<usize>(), 0_usize..8, prop::sample::select(WORDS)),
                0..4,
            ),
        ) {
            let envelope = Envelope::from_json(&damaged(&event, &changes));
            let Ok(envelope) = envelope else { return Ok(()) };
            let read = match notice(&envelope) {
                Ok(Some(read)) => read,
                Ok(None) => {
                    let known = ["payment.succeeded", "payment.failed", "payment.refunded"];
                    prop_assert!(!known.contains(&envelope.event()));
                    return Ok(());
                }
                Err(error) => {
                    prop_assert!(matches!(error, HandleError::Poison(_)), "{:?}", error);
                    return Ok(());
                }
            };
            prop_assert_eq!(&read.event_id, &envelope.id);
            let Ok(data) = envelope.decode::<Value>() else { return Ok(()) };
            prop_assert_eq!(data["order_id"].as_str().map(OrderId::parse), Some(Ok(read.order_id)));
            let payment = data["payment_id"].as_str().map(PaymentId::parse);
            prop_assert_eq!(payment, Some(Ok(read.payment_id)));
            if let News::Settled(Outcome::Declined { reason }) = read.news {
                prop_assert!(reason.chars().count() <= 255);
                let told = data["failure_reason"].as_str().unwrap_or_default();
                prop_assert!(told.starts_with(&reason), "{:?} of {:?}", reason, told);
            }
        }
    }
}
