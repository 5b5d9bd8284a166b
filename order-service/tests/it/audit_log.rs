//! The audit log, as somebody reads it who wants to know who did what.

use crate::calls::{cart, payment_of, product, refund_of, refused};
use crate::harness::{Harness, PRICE, STOCK, TEA, User};

/// Action, actor, request, and a member of the state before and after, in the order of a chain.
type Line = (String, String, Option<String>, Option<String>, Option<String>);

async fn lines(harness: &Harness, object: &str, member: &str) -> Vec<Line> {
    sqlx::query_as(
        "SELECT action, actor, request_id, JSON_UNQUOTE(JSON_EXTRACT(before_state, ?)), \
         JSON_UNQUOTE(JSON_EXTRACT(after_state, ?)) FROM audit_log WHERE object = ? ORDER BY seq",
    )
    .bind(format!("$.{member}"))
    .bind(format!("$.{member}"))
    .bind(object)
    .fetch_all(&harness.pool)
    .await
    .unwrap()
}

fn line(
    (action, actor, request): (&str, &str, Option<&str>),
    before: Option<&str>,
    after: &str,
) -> Line {
    let text = str::to_owned;
    (text(action), text(actor), request.map(text), before.map(text), Some(text(after)))
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn whoever_moves_an_order_is_told_with_the_request() {
    let (harness, alice) = (Harness::start().await, User::customer());
    let mut request = harness.by(alice, cart(&[(TEA, 2)], "pm_declined"));
    request.metadata_mut().insert("x-request-id", "req-of-alice".parse().unwrap());
    let order = refused(harness.client().create_order(request).await).unwrap().order.unwrap();
    harness.pay(alice, payment_of(&order, "pm_ok")).await.unwrap();
    harness.refund(alice, refund_of(&order)).await.unwrap();
    harness.service.request_refunds().await.unwrap();
    let object = format!("order:{}", order.id);
    let told = lines(&harness, &object, "status").await;
    let alice = format!("user:{}", alice.id);
    let by_alice = |action, request| (action, alice.as_str(), request);
    assert_eq!(
        told[..4],
        [
            line(by_alice("order.placed", Some("req-of-alice")), None, "CREATED"),
            line(
                by_alice("order.payment_failed", Some("req-of-alice")),
                Some("CREATED"),
                "PAYMENT_FAILED"
            ),
            line(by_alice("order.paid", None), Some("PAYMENT_FAILED"), "PAID"),
            line(by_alice("order.refunding", None), Some("PAID"), "REFUNDING"),
        ]
    );
    assert_eq!((told[4].0.as_str(), told.len()), ("order.refunded", 5));
    assert!(told[4].1.starts_with("system:"), "{told:?}");
    let totals = lines(&harness, &object, "total").await;
    let total = (2 * PRICE).to_string();
    assert!(totals.iter().all(|line| line.4.as_ref() == Some(&total)), "{totals:?}");
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn what_is_refused_leaves_no_row() {
    let (harness, alice) = (Harness::start().await, User::customer());
    let rows = "SELECT COUNT(*) FROM audit_log";
    let before = harness.count(rows).await;
    assert!(harness.create(alice, cart(&[(TEA, STOCK + 1)], "pm_ok")).await.is_err());
    assert!(harness.create(alice, cart(&[("NOTHING", 1)], "pm_ok")).await.is_err());
    assert_eq!(harness.count(rows).await, before);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_price_is_told_before_and_after() {
    let harness = Harness::start().await;
    let dearer = product(TEA, (PRICE + 10, "CNY"), STOCK);
    harness.put(dearer).await.unwrap();
    let (was, is) = (PRICE.to_string(), (PRICE + 10).to_string());
    let admin = format!("admin:{}", harness.admin.id);
    assert_eq!(
        lines(&harness, "product:TEA", "unit_price").await,
        [
            line(("product.created", &admin, None), None, &was),
            line(("product.changed", &admin, None), Some(&was), &is),
        ]
    );
    harness.finish().await;
}
