//! Reading orders: one, many, and what happened to them.

use chassis::error::{Kind, RemoteError};
use proto::order::v1::{self as pb, OrderStatus};
use proto::payment::v1::PaymentStatus;
use tonic::Request;

use crate::calls::{cancel_of, code, fields, key, payment_of, refund_of, refused};
use crate::harness::{Harness, User};

async fn page(
    harness: &Harness,
    user: User,
    (page_size, status): (i32, OrderStatus),
    token: &str,
) -> Result<(Vec<pb::Order>, String), RemoteError> {
    let status = status.into();
    let request = pb::ListOrdersRequest { page_size, page_token: token.to_owned(), status };
    let page = refused(harness.client().list_orders(harness.by(user, request)).await)?;
    Ok((page.orders, page.next_page_token))
}

const ALL: OrderStatus = OrderStatus::Unspecified;

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn an_order_is_read_by_its_owner_and_by_administrators_alone() {
    let (harness, alice) = (Harness::start().await, User::customer());
    let order = harness.place(alice, "pm_ok").await;
    assert_eq!(harness.read(alice, &order.id).await, Ok(order.clone()));
    assert_eq!(harness.read(harness.admin, &order.id).await, Ok(order.clone()));
    let stranger = User::customer();
    let others = harness.read(stranger, &order.id).await.unwrap_err();
    let nobodys = harness.read(stranger, &key()).await.unwrap_err();
    assert_eq!((others.reason.as_str(), others.kind), ("ORDER_NOT_FOUND", Kind::NotFound));
    assert_eq!(others, nobodys, "a stranger cannot tell whether there is such an order");
    assert_eq!(code(harness.read(alice, "17").await), "ID_INVALID");
    let anonymous = Request::new(pb::GetOrderRequest { order_id: order.id.clone() });
    assert_eq!(code(refused(harness.client().get_order(anonymous).await)), "TOKEN_MISSING");
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn own_orders_are_listed_newest_first_whatever_comes_meanwhile() {
    let (harness, alice) = (Harness::start().await, User::customer());
    let mut placed = Vec::new();
    for method in ["pm_ok", "pm_declined", "pm_never", "pm_ok", "pm_ok"] {
        placed.insert(0, harness.place(alice, method).await);
        harness.place(User::customer(), "pm_ok").await;
    }
    let (first, token) = page(&harness, alice, (2, ALL), "").await.unwrap();
    let late = harness.place(alice, "pm_ok").await;
    let (second, next) = page(&harness, alice, (2, ALL), &token).await.unwrap();
    let (third, end) = page(&harness, alice, (2, ALL), &next).await.unwrap();
    assert_eq!(([first, second, third].concat(), end.as_str()), (placed.clone(), ""));
    let all = [vec![late], placed].concat();
    assert_eq!(page(&harness, alice, (0, ALL), "").await.unwrap(), (all.clone(), String::new()));
    assert_eq!(page(&harness, alice, (6, ALL), "").await.unwrap(), (all.clone(), String::new()));
    for status in [OrderStatus::Paid, OrderStatus::Created, OrderStatus::Cancelled] {
        let expected: Vec<_> =
            all.iter().filter(|order| order.status() == status).cloned().collect();
        assert_eq!(page(&harness, alice, (100, status), "").await.unwrap().0, expected);
    }
    assert_eq!(page(&harness, User::customer(), (0, ALL), "").await.unwrap().0, []);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_page_token_is_good_for_its_user_and_filter_alone() {
    let (harness, alice) = (Harness::start().await, User::customer());
    for _ in 0..3 {
        harness.place(alice, "pm_ok").await;
    }
    let (_, token) = page(&harness, alice, (1, ALL), "").await.unwrap();
    let (_, paid) = page(&harness, alice, (1, OrderStatus::Paid), "").await.unwrap();
    for (user, status, token) in [
        (User::customer(), ALL, &*token),
        (harness.admin, ALL, &token),
        (alice, OrderStatus::Paid, &token),
        (alice, ALL, &paid),
        (alice, OrderStatus::Created, &paid),
        (alice, ALL, "x"),
        (alice, ALL, &token[1..]),
        (alice, ALL, &format!("{token}A")),
    ] {
        let refusal = page(&harness, user, (1, status), token).await.unwrap_err();
        assert_eq!((refusal.reason.as_str(), refusal.kind), ("CURSOR_INVALID", Kind::Malformed));
    }
    assert_eq!(page(&harness, alice, (2, OrderStatus::Paid), &paid).await.unwrap().0.len(), 2);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn odd_lists_are_refused() {
    let (harness, alice) = (Harness::start().await, User::customer());
    for size in [-1, 101, i32::MAX] {
        let refusal = page(&harness, alice, (size, ALL), "").await.unwrap_err();
        assert_eq!((&*refusal.reason, fields(&refusal)), ("VALIDATION_FAILED", vec!["page_size"]));
    }
    let request = pb::ListOrdersRequest { status: 99, ..pb::ListOrdersRequest::default() };
    let refusal = refused(harness.client().list_orders(harness.by(alice, request)).await);
    assert_eq!(fields(&refusal.unwrap_err()), ["status"]);
    let anonymous = Request::new(pb::ListOrdersRequest::default());
    assert_eq!(code(refused(harness.client().list_orders(anonymous).await)), "TOKEN_MISSING");
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn the_timeline_tells_who_did_what_and_when() {
    let (harness, alice) = (Harness::start().await, User::customer());
    let second = chrono::TimeDelta::seconds(1);
    let order = harness.place(alice, "pm_declined").await;
    harness.advance(second);
    let paid = harness.pay(alice, payment_of(&order, "pm_ok")).await.unwrap().order;
    harness.advance(second);
    harness.refund(alice, refund_of(&order)).await.unwrap();
    harness.advance(second);
    harness.service.request_refunds().await.unwrap();

    let entries = harness.timeline(alice, &order.id).await.unwrap();
    let told: Vec<_> = entries
        .iter()
        .map(|e| (&*e.kind, &*e.from, &*e.to, &*e.cause, e.actor.split(':').next().unwrap()))
        .collect();
    let expected = [
        ("transition", "", "CREATED", "order_placed", "user"),
        ("transition", "CREATED", "PAYMENT_FAILED", "payment.failed", "user"),
        ("payment_attempt", "", "PENDING", "payment_attempted", "user"),
        ("payment_attempt", "PENDING", "FAILED", "card_declined", "user"),
        ("transition", "PAYMENT_FAILED", "PAID", "payment.succeeded", "user"),
        ("payment_attempt", "", "PENDING", "payment_attempted", "user"),
        ("payment_attempt", "PENDING", "SUCCEEDED", "payment.succeeded", "user"),
        ("transition", "PAID", "REFUNDING", "refund_requested", "user"),
        ("refund", "", "PENDING", "customer_request", "user"),
        ("transition", "REFUNDING", "REFUNDED", "payment.refunded", "system"),
        ("refund", "PENDING", "SUCCEEDED", "customer_request", "system"),
    ];
    assert_eq!(told, expected);
    let owner = format!("user:{}", alice.id);
    assert!(entries.iter().all(|e| !e.actor.starts_with("user") || e.actor == owner));
    let payments: Vec<_> = entries.iter().map(|entry| &*entry.payment_id).collect();
    let expected = [[&*order.payment_id; 4].as_slice(), &[&*paid.payment_id; 7]].concat();
    assert_eq!(payments, expected);
    let start = order.created_at.unwrap().seconds;
    let seconds: Vec<_> = entries.iter().map(|e| e.time.unwrap().seconds - start).collect();
    assert_eq!(seconds, [0, 0, 0, 0, 1, 1, 1, 2, 2, 3, 3]);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn the_timeline_is_for_those_who_may_see_the_order() {
    let (harness, alice) = (Harness::start().await, User::customer());
    let order = harness.place(alice, "pm_declined").await;
    harness.cancel(alice, cancel_of(&order)).await.unwrap();
    let own = harness.timeline(alice, &order.id).await.unwrap();
    assert_eq!(own.len(), 5);
    assert_eq!(harness.timeline(harness.admin, &order.id).await, Ok(own));
    for (user, id, expected) in [
        (User::customer(), &*order.id, "ORDER_NOT_FOUND"),
        (alice, &*key(), "ORDER_NOT_FOUND"),
        (alice, "17", "ID_INVALID"),
    ] {
        assert_eq!(code(harness.timeline(user, id).await), expected);
    }
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_settlement_is_told_when_it_happened_and_by_whom() {
    let (harness, alice) = (Harness::start().await, User::customer());
    let order = harness.place(alice, "pm_never").await;
    harness.payments.decide(&order.payment_id, PaymentStatus::Succeeded);
    harness.recover_later().await;
    let entries = harness.timeline(alice, &order.id).await.unwrap();
    let start = order.created_at.unwrap().seconds;
    let later = harness.policy.recheck_after.num_seconds();
    let told: Vec<_> = entries
        .iter()
        .map(|e| (&*e.kind, &*e.to, e.time.unwrap().seconds - start, &*e.actor))
        .collect();
    let owner = format!("user:{}", alice.id);
    let expected = [
        ("transition", "CREATED", 0, &*owner),
        ("payment_attempt", "PENDING", 0, &*owner),
        ("transition", "PAID", later, "system:recovery"),
        ("payment_attempt", "SUCCEEDED", later, "system:recovery"),
    ];
    assert_eq!(told, expected);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn the_explanation_speaks_the_readers_language() {
    let (harness, alice) = (Harness::start().await, User::customer());
    let order = harness.place(alice, "pm_declined").await;
    let explain = async |locale| {
        let told = harness.explained(alice, (&order.id, locale)).await.unwrap();
        assert!(!told.truncated);
        told.explanation.unwrap()
    };
    let english = explain("en").await;
    assert_eq!(english.code, "PAYMENT_DECLINED");
    assert_eq!(english.parameters["reason"], "card_declined");
    let (reason, until) = (&english.parameters["reason"], &english.parameters["until"]);
    let expected =
        format!("The payment was declined ({reason}); the order can be paid until {until}.");
    assert_eq!(english.text, expected);
    let chinese = explain("zh-CN").await;
    assert_eq!((&chinese.code, &chinese.parameters), (&english.code, &english.parameters));
    assert_eq!(chinese.text, format!("付款被拒绝（{reason}）；订单可在 {until} 之前重新支付。"));
    assert_eq!(explain("").await, english);
    harness.cancel(alice, cancel_of(&order)).await.unwrap();
    let cancelled = explain("en").await;
    assert_eq!(cancelled.code, "CANCELLED_BY_CUSTOMER");
    assert!(cancelled.text.ends_with("no money was taken."), "{}", cancelled.text);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_long_timeline_shows_what_happened_last() {
    let harness = Harness::with(&[("ORDERS__TIMELINE_MAX", "4")]).await;
    let alice = User::customer();
    let order = harness.place(alice, "pm_declined").await;
    harness.advance(chrono::TimeDelta::seconds(1));
    harness.cancel(alice, cancel_of(&order)).await.unwrap();
    let told = harness.explained(alice, (&order.id, "en")).await.unwrap();
    let states: Vec<_> = told.entries.iter().map(|entry| &*entry.to).collect();
    assert_eq!(states, ["PAYMENT_FAILED", "PENDING", "FAILED", "CANCELLED"]);
    assert!(told.truncated);
    assert_eq!(told.explanation.unwrap().code, "CANCELLED_BY_CUSTOMER");
    harness.finish().await;
}
