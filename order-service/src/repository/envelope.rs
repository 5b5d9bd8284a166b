//! The events of this service, as `proto/events/order.*.json` describes them.

use chassis::messaging::Envelope;
use serde::Serialize;

use crate::model::{Change, Effect, Order, OrderError, OrderId, PaymentId, UserId};

/// The `source` of every event of this service.
const SOURCE: &str = "order-service";

#[derive(Serialize)]
struct Data<'a> {
    order_id: OrderId,
    user_id: UserId,
    version: u64,
    status: &'static str,
    total: Total,
    #[serde(skip_serializing_if = "Option::is_none")]
    payment_id: Option<PaymentId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure_reason: Option<&'a str>,
}

#[derive(Serialize)]
struct Total {
    amount: i64,
    currency: &'static str,
}

/// The events that a change tells the fleet: one per transition, none for anything else.
pub(super) fn envelopes(change: &Change) -> Result<Vec<Envelope>, OrderError> {
    let transitions = change.effects.iter().filter(|e| matches!(e, Effect::Transition(_)));
    transitions.map(|_| envelope(&change.order)).collect()
}

fn envelope(order: &Order) -> Result<Envelope, OrderError> {
    let data = Data {
        order_id: order.id,
        user_id: order.user_id,
        version: order.version,
        status: order.status.as_str(),
        total: Total { amount: order.total.amount(), currency: order.total.currency().code() },
        payment_id: order.payment_id,
        failure_reason: order.failure_reason.as_deref(),
    };
    let subject = order.id.as_uuid();
    Envelope::new(SOURCE, order.status.event(), subject, order.version, order.updated_at, data)
        .map_err(|error| OrderError::Internal { source: Box::new(error) })
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::model::{Actor, TRANSITIONS, fixtures};

    fn check(change: &Change) {
        let envelopes = envelopes(change).unwrap();
        assert_eq!(envelopes.len(), 1);
        let event = envelopes[0].event().to_owned();
        let schema = proto::events::schema(&event).unwrap();
        let schema = serde_json::from_str(schema).unwrap();
        let json = serde_json::from_str(&envelopes[0].to_json().unwrap()).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        validator.validate(&json).unwrap_or_else(|error| panic!("{event}: {error}"));
    }

    #[test]
    fn every_event_follows_its_schema() {
        for (from, trigger, _) in TRANSITIONS {
            let order = fixtures::order_in(*from);
            let actor = Actor::system("test");
            check(&order.apply(*trigger, &actor, DateTime::UNIX_EPOCH).unwrap());
        }
        let case = fixtures::case_of(fixtures::order());
        let declined =
            case.settle(&fixtures::declined(), &Actor::system("test"), DateTime::UNIX_EPOCH);
        check(&declined);
    }

    #[test]
    fn what_is_no_transition_is_no_event() {
        let order = fixtures::order_in(crate::model::OrderStatus::PaymentFailed);
        let change = order.start_attempt(fixtures::attempt_of(&order)).unwrap();
        assert!(envelopes(&change).unwrap().is_empty());
    }
}
