//! Ready-made orders for tests.
#![expect(clippy::expect_used, reason = "a fixture that cannot be made is a failed test")]

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    Actor, Attempt, Cart, Claim, Currency, Fingerprint, IdempotencyKey, Item, Money, Operation,
    Order, OrderId, OrderParts, OrderStatus, Outcome, PaymentCase, PaymentId, PaymentMethod,
    Placement, ProductDraft, Refund, RefundReason, Sku, UserId,
};

const EPOCH: DateTime<Utc> = DateTime::UNIX_EPOCH;

/// A price in CNY.
///
/// # Panics
///
/// When the amount is out of range.
pub fn cny(amount: i64) -> Money {
    let currency = Currency::parse("CNY").expect("CNY is a currency");
    Money::new(amount, currency).expect("the amount is in range")
}

/// A draft of a product.
///
/// # Panics
///
/// When the SKU is malformed.
pub fn draft(sku: &str, price: i64, stock: u32) -> ProductDraft {
    let sku = Sku::parse(sku, "sku").expect("the SKU is well formed");
    let name = format!("Product {sku}");
    ProductDraft::new(sku, &name, cny(price), stock).expect("the draft is valid")
}

/// A payment method.
///
/// # Panics
///
/// When the token is malformed.
pub fn method(token: &str) -> PaymentMethod {
    PaymentMethod::parse(token).expect("the token is well formed")
}

/// An order as it is placed.
pub fn order() -> Order {
    order_in(OrderStatus::Created)
}

/// An order in some state.
///
/// # Panics
///
/// Never: its parts are well formed.
pub fn order_in(status: OrderStatus) -> Order {
    let sku = Sku::parse("TEA", "sku").expect("the SKU is well formed");
    let item = Item { sku, name: "Tea".to_owned(), unit_price: cny(1990), quantity: 2 };
    Order::restore(OrderParts {
        id: OrderId::generate(),
        user_id: UserId::generate(),
        status,
        items: vec![item],
        total: cny(3980),
        version: 3,
        payment_id: Some(PaymentId::generate()),
        failure_reason: None,
        created_at: EPOCH,
        updated_at: EPOCH,
        expires_at: EPOCH + TimeDelta::minutes(30),
    })
}

/// The open attempt that an order waits for.
pub fn attempt_of(order: &Order) -> Attempt {
    Attempt {
        id: order.payment_id.unwrap_or_else(PaymentId::generate),
        order_id: order.id,
        method: method("pm_ok"),
        actor: Actor::User(order.user_id),
        outcome: None,
        checks: 0,
        check_at: EPOCH,
        created_at: EPOCH,
    }
}

/// An order with its open attempt.
pub fn case_of(order: Order) -> PaymentCase {
    PaymentCase { attempt: attempt_of(&order), order, refund: None }
}

/// An order in some state, with an open attempt.
pub fn case_in(status: OrderStatus) -> PaymentCase {
    case_of(order_in(status))
}

/// A request to give the money of a case back.
pub fn refund_of(case: &PaymentCase, reason: RefundReason) -> Refund {
    Refund::requested(case.order.id, case.attempt.id, reason)
}

/// A claim of a key that nobody else uses.
///
/// # Panics
///
/// Never: an identity is a well-formed key.
pub fn claim(operation: Operation) -> Claim {
    Claim {
        user_id: UserId::generate(),
        operation,
        key: IdempotencyKey::parse(&UserId::generate().to_string())
            .expect("the key is well formed"),
        fingerprint: Fingerprint::of(["a request"]),
    }
}

/// A placement of lines given as SKU and quantity.
///
/// # Panics
///
/// When a line is invalid.
pub fn placement(lines: &[(&str, u32)]) -> Placement {
    placement_at(lines, EPOCH)
}

/// A placement at some time; it expires half an hour later.
///
/// # Panics
///
/// When a line is invalid.
pub fn placement_at(lines: &[(&str, u32)], now: DateTime<Utc>) -> Placement {
    let claim = claim(Operation::CreateOrder);
    Placement {
        order_id: OrderId::generate(),
        user_id: claim.user_id,
        cart: Cart::parse(lines).expect("the lines are valid"),
        payment_id: PaymentId::generate(),
        method: method("pm_ok"),
        now,
        expires_at: now + TimeDelta::minutes(30),
        check_at: now + TimeDelta::seconds(10),
        claim,
        lease_until: now + TimeDelta::seconds(5),
        open_max: 100,
    }
}

/// A declined outcome.
pub fn declined() -> Outcome {
    Outcome::declined("card_declined")
}
