//! Shipping and completing: for administrators, and in this order.

use chassis::error::Kind;
use proto::order::v1::{self as pb, OrderStatus};
use tonic::Request;

use crate::calls::{code, key, refused};
use crate::harness::{Harness, User};

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_paid_order_is_shipped_then_completed() {
    let (harness, alice) = (Harness::start().await, User::customer());
    let order = harness.place(alice, "pm_ok").await;
    let shipped = harness.ship(harness.admin, &order.id).await.unwrap();
    assert_eq!((shipped.status(), shipped.version), (OrderStatus::Shipped, 3));
    let completed = harness.complete(harness.admin, &order.id).await.unwrap();
    assert_eq!((completed.status(), completed.version), (OrderStatus::Completed, 4));
    assert_eq!(harness.read(alice, &order.id).await, Ok(completed));
    let told = ["created 1", "paid 2", "shipped 3", "completed 4"];
    assert_eq!(harness.told(&order).await, told);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn no_step_is_left_out_or_done_twice() {
    let (harness, alice) = (Harness::start().await, User::customer());
    let conflict = |reply: Result<pb::Order, chassis::error::RemoteError>| {
        let refusal = reply.unwrap_err();
        assert_eq!(
            (refusal.reason.as_str(), refusal.kind),
            ("ORDER_STATE_CONFLICT", Kind::FailedPrecondition)
        );
    };
    for method in ["pm_never", "pm_declined"] {
        let unpaid = harness.place(alice, method).await;
        conflict(harness.ship(harness.admin, &unpaid.id).await);
        conflict(harness.complete(harness.admin, &unpaid.id).await);
    }
    let order = harness.place(alice, "pm_ok").await;
    conflict(harness.complete(harness.admin, &order.id).await);
    harness.ship(harness.admin, &order.id).await.unwrap();
    conflict(harness.ship(harness.admin, &order.id).await);
    harness.complete(harness.admin, &order.id).await.unwrap();
    conflict(harness.complete(harness.admin, &order.id).await);
    assert_eq!(harness.get(&order.id).await.version, 4);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_customer_ships_nothing_not_even_their_own_order() {
    let (harness, alice) = (Harness::start().await, User::customer());
    let order = harness.place(alice, "pm_ok").await;
    assert_eq!(code(harness.ship(alice, &order.id).await), "PERMISSION_DENIED");
    assert_eq!(code(harness.complete(alice, &order.id).await), "PERMISSION_DENIED");
    let anonymous = Request::new(pb::ShipOrderRequest { order_id: order.id.clone() });
    assert_eq!(code(refused(harness.client().ship_order(anonymous).await)), "TOKEN_MISSING");
    assert_eq!(harness.get(&order.id).await, order);
    for (id, expected) in [(&*key(), "ORDER_NOT_FOUND"), ("17", "ID_INVALID")] {
        assert_eq!(code(harness.ship(harness.admin, id).await), expected);
        assert_eq!(code(harness.complete(harness.admin, id).await), expected);
    }
    harness.finish().await;
}
