//! Answers that do not come, or say nothing.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use super::bench::{Bench, new_charge};
use crate::sandbox::Script;
use crate::wait;

const SOON: Duration = Duration::from_millis(200);
const LIMIT: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_client_that_hangs_up_was_heard_all_the_same() {
    for (name, method, script) in [
        ("silent", "pm_timeout", Script::default()),
        ("slow", "pm_slow_2s", Script::default()),
        ("late", "pm_ok", Script { latency_ms: 1_000, ..Script::default() }),
    ] {
        let bench = Bench::scripted(name, script).await;
        let reference = Uuid::new_v4();
        let call = (Method::POST, "/v1/charges");
        let answer = bench.call(call, Some(&new_charge(reference, method)), SOON).await;
        assert_eq!(answer, None, "{method}");
        bench.client.set_script(&Script::default()).await.unwrap();
        let done = || async { bench.client.find(reference).await };
        let charge = wait::until("the charge", LIMIT, done).await.unwrap();
        assert_eq!(charge.method, method);
        let again = bench.post("/v1/charges", &new_charge(reference, method)).await;
        assert_eq!((again.0, &again.1["status"]), (200, &json!("captured")), "{method}");
        bench.finish().await;
    }
}

#[tokio::test]
async fn a_lost_answer_belongs_to_a_call_that_was_acted_upon() {
    let script = Script { lost_answer_percent: 100, ..Script::default() };
    let bench = Bench::scripted("lost", script).await;
    let reference = Uuid::new_v4();
    let call = (Method::POST, "/v1/charges");
    let answer = bench.call(call, Some(&new_charge(reference, "pm_ok")), LIMIT).await;
    assert_eq!(answer, None);
    bench.client.set_script(&Script::default()).await.unwrap();
    assert!(bench.client.find(reference).await.unwrap().is_some());
    bench.finish().await;
}

#[tokio::test]
async fn errors_leave_open_what_was_done() {
    let bench = Bench::scripted("errors", Script { error_percent: 100, ..Script::default() }).await;
    let mut references = Vec::new();
    for _ in 0..20 {
        let reference = Uuid::new_v4();
        let (status, body) = bench.post("/v1/charges", &new_charge(reference, "pm_ok")).await;
        assert_eq!((status, body), (503, json!({"error": "unavailable"})));
        references.push(reference);
    }
    bench.client.set_script(&Script::default()).await.unwrap();
    let charged = bench.client.ledger().await.unwrap().len();
    assert!((1..20).contains(&charged), "some were charged, some were not: {charged}");
    bench.finish().await;
}

#[tokio::test]
async fn scripted_callbacks_are_lost_repeated_and_out_of_order() {
    let script = Script { lose_percent: 100, ..Script::default() };
    let bench = Bench::scripted("scripted", script).await;
    bench.charge("pm_ok").await;
    bench.until_quiet().await;
    assert!(bench.receiver.all().is_empty());
    let script = Script { duplicate_percent: 100, copies: 9, ..Script::default() };
    bench.client.set_script(&script).await.unwrap();
    bench.charge("pm_ok").await;
    assert!(bench.receiver.until(9).await.windows(2).all(|pair| pair[0] == pair[1]));
    let script = Script { reorder_percent: 100, delay_ms: 100, ..Script::default() };
    bench.client.set_script(&script).await.unwrap();
    bench.charge("pm_ok").await;
    let all = bench.receiver.until(11).await;
    assert_eq!(
        (&all[9]["type"], &all[10]["type"]),
        (&json!("payment.succeeded"), &json!("payment.pending"))
    );
    let script = Script { wrong_amount_percent: 100, ..Script::default() };
    bench.client.set_script(&script).await.unwrap();
    bench.charge("pm_ok").await;
    assert_ne!(bench.receiver.until(12).await[11]["amount"], 19_900);
    bench.finish().await;
}

#[tokio::test]
async fn a_script_is_set_whole_or_not_at_all() {
    let bench = Bench::start("script").await;
    let script = Script { latency_ms: 5, lose_percent: 3, ..Script::default() };
    bench.client.set_script(&script).await.unwrap();
    let put = (Method::PUT, "/v1/script");
    for bad in [json!({"lose_percent": 101}), json!({"lose": 1}), json!({"latency_ms": -1})] {
        let (status, body) = bench.call(put.clone(), Some(&bad), LIMIT).await.unwrap();
        assert_eq!(status, 422, "{bad}: {body}");
    }
    assert_eq!(bench.client.script().await.unwrap(), script);
    let (status, body) = bench.call(put, Some(&json!({})), LIMIT).await.unwrap();
    assert_eq!((status, body["latency_ms"].as_u64()), (200, Some(0)));
    bench.finish().await;
}
