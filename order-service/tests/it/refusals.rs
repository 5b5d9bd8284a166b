//! Orders that are not placed: each says why, and leaves nothing behind.

use chassis::error::Kind;
use futures::future::join_all;
use proto::order::v1 as pb;
use tonic::Request;

use crate::calls::{cancel_of, cart, code, fields, product, refused};
use crate::harness::{Harness, STOCK, TEA, User};

/// The rows of everything that an order could leave behind.
const LEFT: &str = "SELECT (SELECT COUNT(*) FROM orders) + (SELECT COUNT(*) FROM order_items) \
                    + (SELECT COUNT(*) FROM order_history) + (SELECT COUNT(*) FROM payment_attempts) \
                    + (SELECT COUNT(*) FROM idempotency_claims) + (SELECT COUNT(*) FROM outbox)";

/// Ends a test in which no order may have been placed.
async fn finish_untouched(harness: Harness) {
    assert_eq!(harness.count(LEFT).await, 0);
    assert_eq!(harness.payments.calls(), 0);
    assert_eq!(harness.stock(TEA).await, STOCK);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn what_the_price_list_does_not_allow_is_refused() {
    let harness = Harness::start().await;
    harness.shelve("CUP", 500, 1).await;
    harness.put(product("USD-POT", (900, "USD"), 9)).await.unwrap();
    harness.shelve("HOUSE", 99_999_999_999, 9).await;
    for (lines, expected, kind, at_fault) in [
        (
            &[("NO-1", 1), (TEA, 1), ("NO-2", 1)][..],
            "PRODUCT_UNKNOWN",
            Kind::InvalidArgument,
            &["items[0].sku", "items[2].sku"][..],
        ),
        (&[(TEA, 1), ("CUP", 2)], "OUT_OF_STOCK", Kind::FailedPrecondition, &["items[1].quantity"]),
        (&[(TEA, 1), ("USD-POT", 1)], "CURRENCY_MIXED", Kind::InvalidArgument, &[]),
        (&[("HOUSE", 2)], "AMOUNT_OUT_OF_RANGE", Kind::InvalidArgument, &[]),
        (&[(TEA, 1), ("HOUSE", 1)], "AMOUNT_OUT_OF_RANGE", Kind::InvalidArgument, &[]),
    ] {
        let refusal = harness.create(User::customer(), cart(lines, "pm_ok")).await.unwrap_err();
        assert_eq!((refusal.reason.as_str(), refusal.kind), (expected, kind), "{lines:?}");
        assert_eq!(fields(&refusal), at_fault);
    }
    assert_eq!(harness.stock("CUP").await, 1);
    finish_untouched(harness).await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn odd_orders_are_refused() {
    let harness = Harness::start().await;
    let good = cart(&[(TEA, 1)], "pm_ok");
    let keyed =
        |key: &str| pb::CreateOrderRequest { idempotency_key: key.to_owned(), ..good.clone() };
    let paid_by = |method: &str| cart(&[(TEA, 1)], method);
    for (odd, expected, kind) in [
        (keyed(""), "IDEMPOTENCY_KEY_MISSING", Kind::Malformed),
        (keyed("two words"), "IDEMPOTENCY_KEY_INVALID", Kind::Malformed),
        (keyed(&"k".repeat(256)), "IDEMPOTENCY_KEY_INVALID", Kind::Malformed),
        (paid_by("cash"), "PAYMENT_METHOD_INVALID", Kind::InvalidArgument),
        (paid_by("4111111111111111"), "PAYMENT_METHOD_INVALID", Kind::InvalidArgument),
    ] {
        let refusal = harness.create(User::customer(), odd).await.unwrap_err();
        assert_eq!((refusal.reason.as_str(), refusal.kind), (expected, kind));
    }
    let long = vec![(TEA, 1); 101];
    for (lines, at_fault) in [
        (&[][..], &["items"][..]),
        (&long, &["items"]),
        (
            &[(TEA, 0), ("tea", 1), (TEA, 1001)],
            &["items[0].quantity", "items[1].sku", "items[2].sku", "items[2].quantity"],
        ),
    ] {
        let refusal = harness.create(User::customer(), cart(lines, "pm_ok")).await.unwrap_err();
        assert_eq!(
            (refusal.reason.as_str(), fields(&refusal)),
            ("VALIDATION_FAILED", at_fault.to_vec())
        );
    }
    finish_untouched(harness).await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn unpaid_orders_of_one_user_are_bounded_however_many_come_at_once() {
    const AT_ONCE: usize = 20;
    let harness = Harness::with(&[("ORDERS__OPEN_PER_USER_MAX", "3")]).await;
    let (alice, bob) = (User::customer(), User::customer());
    let one = || harness.create(alice, cart(&[(TEA, 1)], "pm_declined"));
    let mut placed = Vec::new();
    for _ in 0..3 {
        placed.push(one().await.unwrap().order);
    }
    let refusal = one().await.unwrap_err();
    assert_eq!((refusal.reason.as_str(), refusal.kind), ("QUOTA_EXCEEDED", Kind::RateLimited));
    assert_eq!(refusal.retry_after.map(|pause| pause.as_secs()), Some(60));
    assert_eq!(harness.stock(TEA).await, STOCK - 3);
    assert_eq!(harness.count("SELECT COUNT(*) FROM idempotency_claims").await, 3);
    harness.create(bob, cart(&[(TEA, 1)], "pm_declined")).await.unwrap();
    harness.cancel(alice, cancel_of(&placed[0])).await.unwrap();
    one().await.unwrap();
    // Calls that meet wait for each other at the stock of what they order.
    harness.expire_later().await;
    let met = join_all((0..AT_ONCE).map(|_| one())).await;
    let (passed, refused): (Vec<_>, Vec<_>) = met.into_iter().partition(Result::is_ok);
    assert_eq!(passed.len(), 3);
    for refusal in refused {
        assert_eq!(code(refusal), "QUOTA_EXCEEDED");
    }
    assert_eq!(code(one().await), "QUOTA_EXCEEDED");
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn whoever_has_no_good_token_orders_nothing() {
    let harness = Harness::start().await;
    let mut forged = Request::new(cart(&[(TEA, 1)], "pm_ok"));
    forged.metadata_mut().insert("authorization", "Bearer not.a.token".parse().unwrap());
    let old = harness.by(User::customer(), cart(&[(TEA, 1)], "pm_ok"));
    harness.advance(chrono::TimeDelta::hours(1));
    for (request, expected) in [
        (Request::new(cart(&[(TEA, 1)], "pm_ok")), "TOKEN_MISSING"),
        (forged, "TOKEN_INVALID"),
        (old, "TOKEN_EXPIRED"),
    ] {
        let refusal = refused(harness.client().create_order(request).await);
        assert_eq!(code(refusal), expected);
    }
    finish_untouched(harness).await;
}
