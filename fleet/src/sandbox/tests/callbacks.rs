//! What is told, to whom, and how often.

use serde_json::{Value, json};

use super::bench::Bench;

fn kinds(all: &[Value]) -> Vec<&str> {
    all.iter().map(|body| body["type"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_decision_is_told_in_signed_words() {
    let bench = Bench::start("told").await;
    for (method, kind, reason) in [
        ("pm_ok", "payment.succeeded", None),
        ("pm_declined", "payment.failed", Some("card_declined")),
        ("pm_pending_then_ok", "payment.succeeded", None),
        ("pm_pending_then_failed", "payment.failed", Some("card_declined")),
    ] {
        let before = bench.receiver.all().len();
        let (_, charge) = bench.charge(method).await;
        let all = bench.receiver.until(before + 1).await;
        let body = &all[before];
        assert!(body["id"].as_str().unwrap().starts_with("evt_"));
        assert_eq!((&body["type"], &body["reference"]), (&json!(kind), &charge["reference"]));
        assert_eq!((&body["amount"], &body["currency"]), (&json!(19_900), &json!("CNY")));
        assert_eq!(body.get("reason").and_then(Value::as_str), reason, "{method}");
    }
    bench.until_quiet().await;
    assert_eq!(bench.receiver.all().len(), 4);
    bench.finish().await;
}

#[tokio::test]
async fn methods_repeat_reorder_falsify_and_lose_callbacks() {
    let bench = Bench::start("odd").await;
    bench.charge("pm_duplicate_callback").await;
    let all = bench.receiver.until(5).await;
    assert!(all.iter().all(|body| *body == all[0]), "one event, five times: {all:?}");
    bench.charge("pm_reordered").await;
    let all = bench.receiver.until(7).await;
    assert_eq!(kinds(&all[5..]), ["payment.succeeded", "payment.pending"]);
    assert_eq!(all[5]["reference"], all[6]["reference"]);
    assert_ne!(all[5]["id"], all[6]["id"]);
    bench.charge("pm_wrong_amount").await;
    assert_eq!(bench.receiver.until(8).await[7]["amount"], 19_901);
    bench.charge("pm_lost_callback").await;
    bench.until_quiet().await;
    assert_eq!(bench.receiver.all().len(), 8);
    bench.finish().await;
}

#[tokio::test]
async fn a_callback_is_repeated_until_it_is_taken() {
    let bench = Bench::start("repeated").await;
    bench.receiver.answer_with(503);
    bench.charge("pm_ok").await;
    let all = bench.receiver.until(4).await;
    assert!(all.iter().all(|body| *body == all[0]));
    assert_eq!(bench.client.pending().await.unwrap(), 1);
    bench.receiver.answer_with(200);
    bench.until_quiet().await;
    bench.finish().await;
}

#[tokio::test]
async fn a_callback_that_is_refused_is_given_up_soon() {
    let bench = Bench::start("given-up").await;
    bench.receiver.answer_with(409);
    bench.charge("pm_ok").await;
    bench.until_quiet().await;
    assert_eq!(bench.receiver.all().len(), 3, "as many as refusals are allowed");
    bench.finish().await;
}

#[tokio::test]
async fn what_was_not_told_is_told_after_a_restart() {
    let bench = Bench::start("resumed").await;
    bench.receiver.answer_with(503);
    bench.charge("pm_ok").await;
    let first = bench.receiver.until(1).await[0].clone();
    let (_, pending) = bench.charge("pm_pending_then_ok").await;
    assert_eq!(pending["status"], "pending");
    let bench = bench.restart().await;
    let before = bench.receiver.all().len();
    bench.receiver.answer_with(200);
    bench.until_quiet().await;
    let all = bench.receiver.all();
    assert!(all[before..].contains(&first), "the same event again: {all:?}");
    let about =
        |reference: &Value| all.iter().filter(|body| body["reference"] == *reference).count();
    assert!(about(&pending["reference"]) >= 1, "decided and told: {all:?}");
    let again = bench.restart().await;
    assert_eq!(again.client.pending().await.unwrap(), 0, "what was taken stays taken");
    again.finish().await;
}
