//! Charges, refunds and the ledger.

use futures::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use super::bench::{Bench, new_charge};
use crate::sandbox::charge::Status;

#[tokio::test]
async fn a_reference_is_charged_once() {
    let bench = Bench::start("once").await;
    let reference = Uuid::new_v4();
    let new = new_charge(reference, "pm_ok");
    let replies = join_all((0..20).map(|_| bench.post("/v1/charges", &new))).await;
    let made = replies.iter().filter(|(status, _)| *status == 201).count();
    assert_eq!(made, 1, "{replies:?}");
    assert!(
        replies.iter().all(|(status, body)| [200, 201].contains(status) && *body == replies[0].1)
    );
    let charge = &replies[0].1;
    assert_eq!(charge["status"], "captured");
    assert_eq!((&charge["reason"], &charge["refunds"]), (&Value::Null, &json!([])));
    assert!(charge["provider_reference"].as_str().unwrap().starts_with("ch_"));
    for (member, value) in
        [("amount", json!(1)), ("currency", json!("USD")), ("method", json!("pm_declined"))]
    {
        let mut other = new.clone();
        other[member] = value;
        let (status, body) = bench.post("/v1/charges", &other).await;
        assert_eq!((status, &body["error"]), (409, &json!("reference_reused")), "{member}");
    }
    assert_eq!(bench.client.ledger().await.unwrap().len(), 1);
    bench.finish().await;
}

#[tokio::test]
async fn each_method_is_answered_as_documented() {
    let bench = Bench::start("methods").await;
    for (method, status, reason) in [
        ("pm_ok", "captured", Value::Null),
        ("pm_declined", "declined", json!("card_declined")),
        ("pm_insufficient_funds", "declined", json!("insufficient_funds")),
        ("pm_pending_then_ok", "pending", Value::Null),
        ("pm_pending_then_failed", "pending", Value::Null),
        ("pm_never", "pending", Value::Null),
        ("pm_duplicate_callback", "captured", Value::Null),
        ("pm_slow_2s", "captured", Value::Null),
        ("pm_wrong_amount", "captured", Value::Null),
        ("pm_reordered", "pending", Value::Null),
        ("pm_lost_callback", "pending", Value::Null),
        ("pm_delayed_5s", "pending", Value::Null),
        ("pm_unheard_of", "declined", json!("unknown_payment_method")),
    ] {
        let (code, body) = bench.charge(method).await;
        assert_eq!(
            (code, &body["status"], &body["reason"]),
            (201, &json!(status), &reason),
            "{method}"
        );
    }
    bench.until_quiet().await;
    for charge in bench.client.ledger().await.unwrap() {
        let expected = match charge.method.as_str() {
            "pm_never" => Status::Pending,
            "pm_declined"
            | "pm_insufficient_funds"
            | "pm_pending_then_failed"
            | "pm_unheard_of" => Status::Declined,
            _ => Status::Captured,
        };
        assert_eq!(charge.status, expected, "{}", charge.method);
    }
    bench.finish().await;
}

#[tokio::test]
async fn what_is_refused_is_not_done() {
    let bench = Bench::start("refused").await;
    for (member, value, status, word) in [
        ("amount", json!(0), 422, "amount_invalid"),
        ("amount", json!(-1), 422, "amount_invalid"),
        ("amount", json!(9_007_199_254_740_992_i64), 422, "amount_invalid"),
        ("amount", json!("1"), 422, "body_invalid"),
        ("currency", json!("XTS"), 422, "currency_not_supported"),
        ("currency", json!("cny"), 422, "currency_not_supported"),
        ("method", json!(""), 422, "method_invalid"),
        ("reference", json!("not-a-uuid"), 422, "body_invalid"),
    ] {
        let mut new = new_charge(Uuid::new_v4(), "pm_ok");
        new[member] = value;
        let (code, body) = bench.post("/v1/charges", &new).await;
        assert_eq!((code, &body["error"]), (status, &json!(word)), "{new}");
    }
    let unknown = format!("/v1/charges/{}", Uuid::new_v4());
    for (path, word) in [
        (unknown.as_str(), "unknown_reference"),
        ("/v1/charges/nothing", "unknown_reference"),
        ("/v2", "not_found"),
    ] {
        assert_eq!(bench.get(path).await, (404, json!({"error": word})), "{path}");
    }
    let large = json!({"reference": "x".repeat(20_000)});
    assert_eq!(bench.post("/v1/charges", &large).await.0, 413);
    assert!(bench.client.ledger().await.unwrap().is_empty());
    bench.finish().await;
}

#[tokio::test]
async fn nobody_gets_in_without_the_key() {
    let bench = Bench::start("key").await;
    let client = crate::http::client().build().unwrap();
    for path in ["/v1/charges", "/v1/charges/x", "/v1/script", "/v1/callbacks/pending"] {
        let url = format!("{}{path}", bench.url);
        for request in [client.get(&url), client.get(&url).bearer_auth("another")] {
            assert_eq!(request.send().await.unwrap().status(), 401, "{path}");
        }
    }
    assert!(bench.client.is_alive().await);
    bench.finish().await;
}

#[tokio::test]
async fn money_goes_back_once_and_never_more_than_was_taken() {
    let bench = Bench::start("refunds").await;
    let (_, charge) = bench.charge("pm_ok").await;
    let path = format!("/v1/charges/{}/refunds", charge["reference"].as_str().unwrap());
    let refund = |amount: i64| json!({"refund_id": Uuid::new_v4(), "amount": amount});
    let first = refund(9_900);
    let replies = join_all((0..10).map(|_| bench.post(&path, &first))).await;
    assert_eq!(replies.iter().filter(|(status, _)| *status == 201).count(), 1);
    assert!(
        replies.iter().all(|(status, body)| [200, 201].contains(status) && *body == replies[0].1)
    );
    assert_eq!(replies[0].1["refunds"][0]["amount"], 9_900);
    let word = |(status, body): (u16, Value)| (status, body["error"].as_str().unwrap().to_owned());
    assert_eq!(
        word(bench.post(&path, &refund(10_001)).await),
        (409, "already_refunded".to_owned())
    );
    assert_eq!(word(bench.post(&path, &refund(0)).await), (422, "amount_invalid".to_owned()));
    let mut changed = first.clone();
    changed["amount"] = json!(1);
    assert_eq!(word(bench.post(&path, &changed).await), (409, "refund_id_reused".to_owned()));
    assert_eq!(bench.post(&path, &refund(10_000)).await.0, 201);
    let (_, declined) = bench.charge("pm_declined").await;
    let path = format!("/v1/charges/{}/refunds", declined["reference"].as_str().unwrap());
    assert_eq!(word(bench.post(&path, &refund(1)).await), (422, "not_captured".to_owned()));
    let path = format!("/v1/charges/{}/refunds", Uuid::new_v4());
    assert_eq!(word(bench.post(&path, &refund(1)).await), (404, "unknown_reference".to_owned()));
    let before = bench.client.ledger().await.unwrap();
    let bench = bench.restart().await;
    assert_eq!(bench.client.ledger().await.unwrap(), before);
    assert_eq!(before[0].refunded(), 19_900);
    bench.finish().await;
}

#[tokio::test]
async fn the_ledger_is_read_in_pages_in_the_order_of_creation() {
    let bench = Bench::start("pages").await;
    let mut made = Vec::new();
    for _ in 0..7 {
        made.push(bench.charge("pm_ok").await.1["provider_reference"].as_str().unwrap().to_owned());
    }
    assert!(made.is_sorted());
    let (mut read, mut lengths, mut after) = (Vec::new(), Vec::new(), None::<String>);
    loop {
        let page = bench.client.page(after.as_deref(), 3).await.unwrap();
        lengths.push(page.charges.len());
        read.extend(page.charges.into_iter().map(|charge| charge.provider_reference));
        let Some(next) = page.next else { break };
        after = Some(next);
    }
    assert_eq!((read, lengths), (made.clone(), vec![3, 3, 1]));
    let page = bench.client.page(Some(&made[6]), 3).await.unwrap();
    assert!(page.charges.is_empty() && page.next.is_none());
    assert_eq!(bench.get("/v1/charges?limit=0").await.0, 422);
    assert_eq!(bench.get("/v1/charges?limit=1001").await.0, 422);
    bench.finish().await;
}
