//! The timeline of an order, put together from three services.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use chassis::error::codes;
use prost_types::Timestamp;
use proto::notify::v1 as notify;
use proto::order::v1 as order;
use proto::payment::v1 as payment;
use serde_json::{Value, json};
use tonic::Code;

use crate::fleet::Answer;
use crate::harness::{Ask, Gateway, texts};
use crate::samples::{self, ID, TIME};

fn ask(gateway: &Gateway) -> Ask {
    Ask::get(&format!("/api/v1/orders/{ID}/timeline")).token(&gateway.customer())
}

/// So many milliseconds after the time of the samples.
fn later(millis: i32) -> Option<Timestamp> {
    TIME.map(|time| Timestamp { nanos: time.nanos + millis * 1_000_000, ..time })
}

fn steps(entries: Vec<order::TimelineEntry>) -> Answer {
    let parameters = HashMap::from([("reason".to_owned(), "card_declined".to_owned())]);
    let (code, text) = ("PAYMENT_DECLINED".to_owned(), "Declined.".to_owned());
    let explanation = Some(order::Explanation { code, parameters, text });
    Answer::reply(&order::GetTimelineResponse { entries, truncated: true, explanation })
}

fn kinds(timeline: &Value) -> Vec<&str> {
    let items = timeline["items"].as_array().unwrap();
    items.iter().map(|entry| entry["kind"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_timeline_reads_like_this() {
    let gateway = Gateway::start().await;
    gateway.fleet.script("GetTimeline", [steps(vec![samples::timeline_entry()])]);
    let time = "2026-01-02T03:04:05.006Z";
    let trace_id = "0af7651916cd43dd8448eb211c80319c";
    let expected = json!({
        "items": [
            {
                "time": time, "kind": "transition", "actor": "system:payment-service",
                "from": "CREATED", "to": "PAID", "cause": "payment.succeeded",
                "payment_id": ID, "trace_id": null, "details": null,
            },
            {
                "time": time, "kind": "callback", "actor": "system:payment-provider",
                "from": null, "to": "APPLIED", "cause": "payment.succeeded",
                "payment_id": ID, "trace_id": null,
                "details": { "callback_id": "evt_1", "deliveries": 2, "last_received_at": time },
            },
            {
                "time": time, "kind": "message", "actor": "system:notify-service",
                "from": null, "to": "RECEIVED", "cause": "order.paid",
                "payment_id": null, "trace_id": trace_id,
                "details": {
                    "event_id": "order.paid:1", "version": 2, "deliveries": 3,
                    "last_received_at": time,
                },
            },
            {
                "time": time, "kind": "notice", "actor": "system:notify-service",
                "from": null, "to": "CREATED", "cause": "order.paid",
                "payment_id": null, "trace_id": trace_id,
                "details": {
                    "event_id": "order.paid:1", "notification_id": ID, "channel": "in_app",
                },
            },
        ],
        "incomplete": [],
        "truncated": true,
        "explanation": {
            "code": "PAYMENT_DECLINED",
            "parameters": { "reason": "card_declined" },
            "text": "Declined.",
        },
    });
    assert_eq!(gateway.ask(ask(&gateway)).await.json(), expected);
    let asked: HashMap<_, _> =
        gateway.fleet.take_calls().into_iter().map(|call| (call.rpc.clone(), call)).collect();
    let callbacks: payment::ListCallbacksRequest = asked["ListCallbacks"].decode();
    let receipts: notify::ListEventReceiptsRequest = asked["ListEventReceipts"].decode();
    assert_eq!((callbacks.order_id.as_str(), receipts.subject.as_str()), (ID, ID));
}

#[tokio::test]
async fn entries_are_in_order_of_time_whoever_told_them() {
    let gateway = Gateway::start().await;
    let step = |at| order::TimelineEntry { time: later(at), ..samples::timeline_entry() };
    gateway.fleet.script("GetTimeline", [steps(vec![step(0), step(4)])]);
    let callback = |at| payment::CallbackReceipt { received_at: later(at), ..samples::callback() };
    let callbacks = vec![callback(4), callback(2)];
    let callbacks = payment::ListCallbacksResponse { callbacks };
    gateway.fleet.script("ListCallbacks", [Answer::reply(&callbacks)]);
    let mut receipt = notify::EventReceipt { received_at: later(1), ..samples::receipt() };
    receipt.notices[0].created_at = later(3);
    let receipts = notify::ListEventReceiptsResponse { receipts: vec![receipt] };
    gateway.fleet.script("ListEventReceipts", [Answer::reply(&receipts)]);
    let timeline = gateway.ask(ask(&gateway)).await.json();
    // What happened at once: order-service first.
    let expected = ["transition", "message", "callback", "notice", "transition", "callback"];
    assert_eq!(kinds(&timeline), expected);
}

#[tokio::test]
async fn a_timeline_comes_without_those_who_do_not_answer() {
    let settings = [("HTTP__TIMELINE_WAIT_MS", "200"), ("UPSTREAM__EJECT_AFTER_FAILURES", "1000")];
    let gateway = Gateway::with(&settings).await;
    let broken = payment::ListCallbacksResponse {
        callbacks: vec![
            samples::callback(),
            payment::CallbackReceipt { received_at: None, ..samples::callback() },
        ],
    };
    for (rpc, answer, missing, left) in [
        (
            "ListCallbacks",
            Answer::foreign(Code::Unavailable),
            "payment-service",
            &["transition", "message", "notice"][..],
        ),
        (
            "ListCallbacks",
            Answer::reply(&broken),
            "payment-service",
            &["transition", "message", "notice"],
        ),
        ("ListEventReceipts", Answer::Silence, "notify-service", &["transition", "callback"]),
        (
            "ListEventReceipts",
            Answer::foreign(Code::Unimplemented),
            "notify-service",
            &["transition", "callback"],
        ),
        (
            "ListEventReceipts",
            Answer::later(codes::SERVICE_UNAVAILABLE, Duration::from_secs(7)),
            "notify-service",
            &["transition", "callback"],
        ),
    ] {
        gateway.fleet.script(rpc, [answer]);
        let timeline = gateway.ask(ask(&gateway)).await.json();
        assert_eq!(texts(&timeline["incomplete"]), [missing]);
        assert_eq!(kinds(&timeline), left);
        gateway.fleet.script(rpc, [Answer::Usual]);
    }
    for rpc in ["ListCallbacks", "ListEventReceipts"] {
        gateway.fleet.script(rpc, [Answer::Silence]);
    }
    let timeline = gateway.ask(ask(&gateway)).await.json();
    assert_eq!(texts(&timeline["incomplete"]), ["payment-service", "notify-service"]);
    assert_eq!(kinds(&timeline), ["transition"]);
}

#[tokio::test]
async fn silence_beside_an_order_leaves_time_for_the_answer() {
    let gateway = Gateway::with(&[("SERVER__REQUEST_TIMEOUT_MS", "1000")]).await;
    for rpc in ["ListCallbacks", "ListEventReceipts"] {
        gateway.fleet.script(rpc, [Answer::Silence]);
    }
    let timeline = gateway.ask(ask(&gateway)).await.json();
    assert_eq!(texts(&timeline["incomplete"]), ["payment-service", "notify-service"]);
}

#[tokio::test]
async fn all_three_are_asked_at_once() {
    let gateway = Gateway::with(&[("SERVER__REQUEST_TIMEOUT_MS", "500")]).await;
    for rpc in ["GetTimeline", "ListCallbacks", "ListEventReceipts"] {
        gateway.fleet.script(rpc, [Answer::Silence]);
    }
    assert_eq!(gateway.code(ask(&gateway)).await, "DEADLINE_EXCEEDED");
    let asked = BTreeSet::from_iter(gateway.fleet.take_rpcs());
    let expected = ["GetTimeline", "ListCallbacks", "ListEventReceipts"].map(str::to_owned);
    assert_eq!(asked, BTreeSet::from(expected));
}

#[tokio::test]
async fn without_the_order_there_is_no_timeline() {
    let gateway = Gateway::start().await;
    gateway.fleet.script("GetTimeline", [Answer::foreign(Code::Unavailable)]);
    assert_eq!(gateway.code(ask(&gateway)).await, "SERVICE_UNAVAILABLE");
    let entries = vec![order::TimelineEntry { time: None, ..samples::timeline_entry() }];
    gateway.fleet.script("GetTimeline", [steps(entries)]);
    assert_eq!(gateway.code(ask(&gateway)).await, "UPSTREAM_INVALID");
}

#[tokio::test]
async fn the_explanation_comes_in_the_language_that_is_wanted() {
    let gateway = Gateway::start().await;
    for (wanted, tag) in [("zh-CN,zh;q=0.9,en;q=0.8", "zh-CN"), ("de, en;q=0.1", "en"), ("", "en")]
    {
        let reply = gateway.ask(ask(&gateway).header("accept-language", wanted)).await;
        assert_eq!(reply.header("content-language"), Some(tag));
        assert!(reply.header("vary").unwrap().contains("accept-language"));
        let calls = gateway.fleet.take_calls();
        let call = calls.iter().find(|call| call.rpc == "GetTimeline").unwrap();
        let asked: order::GetTimelineRequest = call.decode();
        assert_eq!((asked.order_id.as_str(), asked.locale.as_str()), (ID, tag));
    }
}
