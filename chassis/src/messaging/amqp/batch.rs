//! Events on their way through a consumer, with what is needed to settle them.

use std::time::Duration;

use lapin::Acker;
use lapin::message::Delivery;
use lapin::types::{AMQPValue, FieldTable};
use tokio::time::Instant;

use crate::messaging::{Envelope, Trust, Untrusted};

/// Under which header a quorum queue tells how often it has delivered the message before.
const DELIVERY_COUNT: &str = "x-delivery-count";

/// The consumer's obligation to settle one delivery.
#[derive(Debug)]
pub(super) struct Ticket {
    pub(super) acker: Acker,
    /// How often the message came before.
    pub(super) redeliveries: u32,
    /// How often the handler failed on it since it came this time.
    pub(super) failures: u32,
    /// When it came this time.
    pub(super) since: Instant,
}

impl Ticket {
    /// How often the message has failed, as far as is known; the measure of the next pause.
    pub(super) fn attempts(&self) -> u32 {
        self.redeliveries.saturating_add(self.failures)
    }

    /// How long the delivery has been here.
    pub(super) fn age(&self) -> Duration {
        self.since.elapsed()
    }
}

/// An event and its ticket.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) envelope: Envelope,
    pub(super) ticket: Ticket,
}

/// Events for one call of the handler; envelopes and tickets in the same order.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) envelopes: Vec<Envelope>,
    pub(super) tickets: Vec<Ticket>,
}

impl Batch {
    pub(super) fn push(&mut self, item: Item) {
        self.envelopes.push(item.envelope);
        self.tickets.push(item.ticket);
    }

    pub(super) fn extend(&mut self, items: impl IntoIterator<Item = Item>) {
        items.into_iter().for_each(|item| self.push(item));
    }

    pub(super) fn len(&self) -> usize {
        self.envelopes.len()
    }

    pub(super) fn into_items(self) -> impl Iterator<Item = Item> {
        let pairs = self.envelopes.into_iter().zip(self.tickets);
        pairs.map(|(envelope, ticket)| Item { envelope, ticket })
    }
}

/// Verifies and decodes a delivery; the acker comes back with the error, because what is no event
/// has to be settled too.
///
/// Of the event only what is signed counts. A header beside it, such as the trace context that the
/// publisher repeats there for tools, can be anybody's.
pub(super) fn decode(delivery: Delivery, trust: &Trust) -> Result<Item, (Acker, Untrusted)> {
    let envelope = match trust.open(&delivery.data) {
        Ok(envelope) => envelope,
        Err(error) => return Err((delivery.acker, error)),
    };
    let headers = delivery.properties.headers().as_ref();
    let ticket = Ticket {
        redeliveries: headers.map_or(0, delivery_count),
        acker: delivery.acker,
        failures: 0,
        since: Instant::now(),
    };
    Ok(Item { envelope, ticket })
}

/// The width of the number differs between versions of the broker.
fn delivery_count(headers: &FieldTable) -> u32 {
    let count = match headers.inner().get(DELIVERY_COUNT) {
        Some(AMQPValue::LongLongInt(count)) => u32::try_from(*count),
        Some(AMQPValue::LongInt(count)) => u32::try_from(*count),
        Some(AMQPValue::LongUInt(count)) => Ok(*count),
        Some(AMQPValue::ShortInt(count)) => u32::try_from(*count),
        Some(AMQPValue::ShortShortUInt(count)) => Ok(u32::from(*count)),
        _ => Ok(0),
    };
    count.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use lapin::BasicProperties;
    use uuid::Uuid;

    use super::*;
    use crate::messaging::Signer;
    use crate::telemetry::traceparent::TRACEPARENT;

    const SIGNED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const FOREIGN: &str = "00-ffffffffffffffffffffffffffffffff-ffffffffffffffff-01";

    #[test]
    fn the_delivery_count_is_read_in_any_width() {
        for value in [AMQPValue::LongLongInt(3), AMQPValue::LongInt(3), AMQPValue::LongUInt(3)] {
            let mut headers = FieldTable::default();
            headers.insert(DELIVERY_COUNT.into(), value);
            assert_eq!(delivery_count(&headers), 3);
        }
        assert_eq!(delivery_count(&FieldTable::default()), 0);
    }

    /// A signed event with this trace context inside, and another one in the header.
    fn delivered(traceparent: Option<&str>) -> Delivery {
        let time = DateTime::from_timestamp(1, 0).unwrap();
        let data = serde_json::json!({});
        let mut event =
            Envelope::new("order-service", "order.paid", Uuid::nil(), 2, time, data).unwrap();
        event.traceparent = traceparent.map(str::to_owned);
        let signed = Signer::for_anybody().sign(&event.to_json().unwrap());
        let mut headers = FieldTable::default();
        headers.insert(TRACEPARENT.into(), AMQPValue::LongString(FOREIGN.into()));
        headers.insert(DELIVERY_COUNT.into(), AMQPValue::LongLongInt(3));
        let (exchange, key) = ("events".into(), "order.paid".into());
        let mut delivery = Delivery::mock(1, exchange, key, false, signed.into_bytes());
        delivery.properties = BasicProperties::default().with_headers(headers);
        delivery
    }

    #[test]
    fn a_header_says_nothing_about_a_signed_event() {
        let trust = Trust::development(&["order-service"]);
        for signed in [Some(SIGNED), None] {
            let item = decode(delivered(signed), &trust).unwrap();
            assert_eq!(item.envelope.traceparent.as_deref(), signed);
            assert_eq!(item.ticket.redeliveries, 3, "that is the broker's to say");
        }
    }
}
