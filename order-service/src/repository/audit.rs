//! What the audit log says of orders and of the price list: one row per change.
//!
//! A change that gives money back of an order that stays as it is has a row too. Stock that an order
//! takes or returns is told by the row of the order; the price list's own rows are those of
//! administrators.

use chassis::audit::{self, Entry, Value};

use crate::model::{Actor, Change, Effect, OrderStatus, Product};

/// The entry of a change of an order, if it concerns money.
pub(super) fn of_order(change: &Change) -> Option<Entry> {
    let (action, actor) = change.effects.iter().filter_map(deed).min_by_key(|deed| deed.0)?.1;
    let order = &change.order;
    let entry = Entry::new(action, "order", order.id).about(order.user_id.as_uuid());
    let entry = entry.by(acting(actor)).after(&state(change));
    if change.guard.version == 0 {
        return Some(entry.first());
    }
    Some(entry.before(&[
        ("status", change.guard.status.as_str().into()),
        ("version", change.guard.version.into()),
    ]))
}

/// What an effect is to the log, and by whom; the lower the number, the more it says.
fn deed(effect: &Effect) -> Option<(u8, (&'static str, &Actor))> {
    match effect {
        Effect::Transition(step) => Some((0, (reached(step.to), &step.actor))),
        Effect::RequestRefund { actor, .. } => Some((1, ("order.refund_requested", actor))),
        Effect::SettleRefund { actor, .. } => Some((1, ("order.refund_settled", actor))),
        Effect::ReleaseStock | Effect::StartAttempt(_) | Effect::SettleAttempt { .. } => None,
    }
}

const fn reached(status: OrderStatus) -> &'static str {
    match status {
        OrderStatus::Created => "order.placed",
        OrderStatus::Paid => "order.paid",
        OrderStatus::PaymentFailed => "order.payment_failed",
        OrderStatus::Cancelled => "order.cancelled",
        OrderStatus::Expired => "order.expired",
        OrderStatus::Shipped => "order.shipped",
        OrderStatus::Completed => "order.completed",
        OrderStatus::Refunding => "order.refunding",
        OrderStatus::Refunded => "order.refunded",
    }
}

fn acting(actor: &Actor) -> audit::Actor {
    match actor {
        Actor::User(id) => audit::Actor::User(id.as_uuid()),
        Actor::Admin(id) => audit::Actor::Admin(id.as_uuid()),
        Actor::System(name) => audit::Actor::System(name.clone().into()),
    }
}

fn state(change: &Change) -> Vec<(&'static str, Value)> {
    let order = &change.order;
    let mut state = vec![
        ("status", order.status.as_str().into()),
        ("version", order.version.into()),
        ("total", order.total.amount().into()),
        ("currency", order.total.currency().code().into()),
        ("payment_id", order.payment_id.map(|id| id.to_string()).into()),
    ];
    let refund = change.effects.iter().find_map(|effect| match effect {
        Effect::RequestRefund { refund, .. } => Some(refund.id),
        Effect::SettleRefund { id, .. } => Some(*id),
        _ => None,
    });
    if let Some(id) = refund {
        state.push(("refund_id", id.to_string().into()));
    }
    state
}

/// The entry of a product that an administrator put on the list.
pub(super) fn of_product(before: Option<&Product>, after: &Product) -> Entry {
    let sku = after.sku.as_str();
    let Some(before) = before else {
        return Entry::new("product.created", "product", sku).after(&listed(after)).first();
    };
    let entry = Entry::new("product.changed", "product", sku);
    entry.before(&listed(before)).after(&listed(after))
}

fn listed(product: &Product) -> [(&'static str, Value); 5] {
    [
        ("name", product.name.as_str().into()),
        ("unit_price", product.unit_price.amount().into()),
        ("currency", product.unit_price.currency().code().into()),
        ("stock", product.stock.into()),
        ("version", product.version.into()),
    ]
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::model::{Outcome, PaymentCase, Trigger, fixtures};

    #[test]
    fn a_change_that_concerns_money_has_an_entry() {
        let now = DateTime::UNIX_EPOCH;
        let placement = fixtures::placement_at(&[("TEA", 2)], now);
        let tea = fixtures::draft("TEA", 1_990, 10).create(now);
        let placed = placement.price(&[tea]).unwrap();
        let entry = of_order(&placed).unwrap();
        assert_eq!(entry.action(), "order.placed");
        let text = format!("{entry:?}");
        assert!(text.contains("3980") && text.contains("is_first: true"), "{text}");
        let attempt = placement.attempt();
        let case = PaymentCase { order: placed.order.clone(), attempt, refund: None };
        let robot = Actor::system("recovery");
        let paid = case.settle(&Outcome::Captured, &robot, now);
        let text = format!("{:?}", of_order(&paid).unwrap());
        assert!(text.contains("order.paid") && text.contains("recovery"), "{text}");
        assert!(text.contains("is_first: false"), "{text}");
        assert!(of_order(&case.unchanged(now)).is_none());
        // Money that comes for an order that is over goes back: the order stays, and there is a row.
        let cancelled = placed.order.apply(Trigger::Cancel, &robot, now).unwrap();
        let late = PaymentCase { order: cancelled.order, ..case };
        let refund = late.settle(&Outcome::Captured, &robot, now);
        assert_eq!(of_order(&refund).unwrap().action(), "order.refund_requested");
    }

    #[test]
    fn a_product_is_told_before_and_after() {
        let now = DateTime::UNIX_EPOCH;
        let tea = fixtures::draft("TEA", 1_990, 10).create(now);
        assert_eq!(of_product(None, &tea).action(), "product.created");
        let dearer = tea.replaced_by(&fixtures::draft("TEA", 2_990, 10), now);
        let text = format!("{:?}", of_product(Some(&tea), &dearer));
        assert!(text.contains("1990") && text.contains("2990"), "{text}");
    }
}
