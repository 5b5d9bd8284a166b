//! The comparison with the payment provider's ledger, as administrators read it.

use proto::payment::v1 as payment;
use serde_json::json;

use crate::fleet::Answer;
use crate::harness::{Ask, Gateway};
use crate::samples::{ID, TIME};

const PATH: &str = "/api/v1/admin/reconciliation";

#[tokio::test]
async fn differences_are_shown_by_class_and_what_is_empty_is_null() {
    let gateway = Gateway::start().await;
    let example = payment::Difference {
        payment_id: ID.into(),
        provider_reference: "ch_1".into(),
        theirs: "captured 19900 CNY".into(),
        ..payment::Difference::default()
    };
    let class = payment::DifferenceClass {
        name: "missing_here".into(),
        count: 17,
        examples: vec![example],
    };
    let report = payment::GetReconciliationResponse {
        compared: 2_000,
        in_flight: 3,
        classes: vec![class],
        next: "charge:ch_9".into(),
        compared_at: TIME,
    };
    gateway.fleet.script("GetReconciliation", [Answer::reply(&report)]);
    let reply = gateway.ask(Ask::get(PATH).token(&gateway.admin())).await.json();
    assert_eq!(
        reply,
        json!({
            "compared": 2_000,
            "in_flight": 3,
            "classes": [{
                "name": "missing_here",
                "count": 17,
                "examples": [{
                    "payment_id": ID,
                    "provider_reference": "ch_1",
                    "refund_id": null,
                    "ours": null,
                    "theirs": "captured 19900 CNY",
                }],
            }],
            "next": "charge:ch_9",
            "compared_at": "2026-01-02T03:04:05.006Z",
        })
    );
    let asked: payment::GetReconciliationRequest = gateway.fleet.take_call().decode();
    assert_eq!(asked.after, "");
}

#[tokio::test]
async fn the_next_stretch_is_asked_for_where_the_one_before_ended() {
    let gateway = Gateway::start().await;
    let path = format!("{PATH}?after=charge%3Ach_9");
    gateway.ask(Ask::get(&path).token(&gateway.admin())).await.json();
    let asked: payment::GetReconciliationRequest = gateway.fleet.take_call().decode();
    assert_eq!(asked.after, "charge:ch_9");
}
