//! Events on their way through a consumer, with what is needed to settle them.

use std::time::Duration;

use lapin::Acker;
use lapin::message::Delivery;
use lapin::types::{AMQPValue, FieldTable};
use tokio::time::Instant;

use crate::messaging::trace::TRACEPARENT;
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
pub(super) fn decode(delivery: Delivery, trust: &Trust) -> Result<Item, (Acker, Untrusted)> {
    let mut envelope = match trust.open(&delivery.data) {
        Ok(envelope) => envelope,
        Err(error) => return Err((delivery.acker, error)),
    };
    let headers = delivery.properties.headers().as_ref();
    if let Some(traceparent) = headers.and_then(traceparent) {
        envelope.traceparent = Some(traceparent);
    }
    let ticket = Ticket {
        redeliveries: headers.map_or(0, delivery_count),
        acker: delivery.acker,
        failures: 0,
        since: Instant::now(),
    };
    Ok(Item { envelope, ticket })
}

fn traceparent(headers: &FieldTable) -> Option<String> {
    match headers.inner().get(TRACEPARENT)? {
        AMQPValue::LongString(value) => {
            Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
        }
        AMQPValue::ShortString(value) => Some(value.to_string()),
        _ => None,
    }
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
    use super::*;

    #[test]
    fn the_delivery_count_is_read_in_any_width() {
        for value in [AMQPValue::LongLongInt(3), AMQPValue::LongInt(3), AMQPValue::LongUInt(3)] {
            let mut headers = FieldTable::default();
            headers.insert(DELIVERY_COUNT.into(), value);
            assert_eq!(delivery_count(&headers), 3);
        }
        assert_eq!(delivery_count(&FieldTable::default()), 0);
    }

    #[test]
    fn the_trace_context_is_read_from_the_header() {
        let mut headers = FieldTable::default();
        assert_eq!(traceparent(&headers), None);
        headers.insert(TRACEPARENT.into(), AMQPValue::LongString("00-1-2-01".into()));
        assert_eq!(traceparent(&headers).as_deref(), Some("00-1-2-01"));
    }
}
