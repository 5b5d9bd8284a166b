//! The HTTP adapter in front of a small provider, which can be told to answer badly.

mod breaker;
mod fake;

use std::time::Duration;

pub(crate) use fake::{Damage, FakeProvider};

use super::*;
use crate::client::contract::{refund_of, request};
use crate::model::Outcome;

fn is_unknown<T>(result: &Result<T, ProviderError>) -> bool {
    matches!(result, Err(ProviderError::Unknown { .. }))
}

#[tokio::test]
async fn a_bad_answer_leaves_the_outcome_unknown_although_the_charge_was_made() {
    let fake = FakeProvider::start().await;
    for damage in [
        Damage::Status(500),
        Damage::Status(302),
        Damage::Status(400),
        Damage::Status(404),
        Damage::Status(429),
        Damage::Garbage,
        Damage::CutOff,
        Damage::Huge,
        Damage::Endless,
        Damage::Silence,
        Damage::Member("reference", "0193a1b2-0000-7000-8000-000000000004".into()),
        Damage::Member("amount", 19_901.into()),
        Damage::Member("amount", 199.5.into()),
        Damage::Member("currency", "USD".into()),
        Damage::Member("status", "reversed".into()),
        Damage::Member("provider_reference", "".into()),
        Damage::Member("provider_reference", "x".repeat(65).into()),
    ] {
        let (adapter, charge) = (fake.adapter(), request("pm_ok"));
        fake.damage(damage.clone());
        let answer = adapter.capture(&charge).await;
        assert!(is_unknown(&answer), "{damage:?}: {answer:?}");
        // What was done is found out when the provider is asked again.
        let found = adapter.query(&charge).await.unwrap().unwrap();
        assert_eq!(found.outcome, Outcome::Captured, "{damage:?}");
    }
}

#[tokio::test]
async fn a_bad_answer_says_neither_that_a_charge_is_known_nor_that_it_is_not() {
    let fake = FakeProvider::start().await;
    let (adapter, charge) = (fake.adapter(), request("pm_ok"));
    adapter.capture(&charge).await.unwrap();
    for damage in [
        Damage::Status(500),
        Damage::Status(404),
        Damage::Fault(404, "not_found"),
        Damage::Fault(500, "unknown_reference"),
        Damage::Status(422),
        Damage::Garbage,
        Damage::CutOff,
        Damage::Silence,
        Damage::Member("amount", 1.into()),
    ] {
        fake.damage(damage.clone());
        let answer = adapter.query(&charge).await;
        assert!(is_unknown(&answer), "{damage:?}: {answer:?}");
    }
}

#[tokio::test]
async fn a_bad_answer_to_a_refund_confirms_nothing() {
    let fake = FakeProvider::start().await;
    let (adapter, charge) = (fake.adapter(), request("pm_ok"));
    adapter.capture(&charge).await.unwrap();
    let refund = refund_of(&charge);
    for damage in [
        Damage::Status(500),
        Damage::Status(404),
        Damage::Garbage,
        Damage::CutOff,
        Damage::Silence,
        Damage::Member("refunds", serde_json::json!([])),
        Damage::Member("currency", "USD".into()),
        Damage::Member("reference", "elsewhere".into()),
        Damage::Member(
            "refunds",
            serde_json::json!([{"refund_id": refund.refund_id, "amount": 1}]),
        ),
    ] {
        fake.damage(damage.clone());
        let answer = adapter.refund(&refund).await;
        assert!(is_unknown(&answer), "{damage:?}: {answer:?}");
    }
    adapter.refund(&refund).await.unwrap();
    let listed = adapter.list_charges(None, 10).await.unwrap().charges;
    assert_eq!(listed[0].refunds.len(), 1, "however often it was asked for");
}

#[tokio::test]
async fn a_bad_page_is_no_page() {
    let fake = FakeProvider::start().await;
    let adapter = fake.adapter();
    adapter.capture(&request("pm_ok")).await.unwrap();
    for damage in [
        Damage::Status(500),
        Damage::Garbage,
        Damage::CutOff,
        Damage::Huge,
        Damage::Member("charges", 1.into()),
        Damage::Member("next", "two words".into()),
    ] {
        fake.damage(damage.clone());
        let answer = adapter.list_charges(None, 10).await;
        assert!(is_unknown(&answer), "{damage:?}");
    }
}

#[tokio::test]
async fn a_row_that_cannot_be_read_does_not_hide_the_others() {
    let fake = FakeProvider::start().await;
    let adapter = fake.adapter();
    let charge = request("pm_ok");
    adapter.capture(&charge).await.unwrap();
    let good = adapter.list_charges(None, 10).await.unwrap();
    let row = |status: &str, reference: &str| {
        serde_json::json!({
            "reference": charge.reference, "provider_reference": reference, "amount": 19_900,
            "currency": "CNY", "status": status, "created_at": "2026-01-02T03:04:05.006Z",
        })
    };
    let fitting = row("captured", "ch_00000000");
    for (odd, field, reference) in [
        (row("disputed", "ch_1"), "status", "ch_1"),
        (row("captured", "two words"), "provider_reference", ""),
        (serde_json::json!({"provider_reference": "ch_1"}), "form", "ch_1"),
        (serde_json::json!(17), "form", ""),
    ] {
        let rows = serde_json::json!([odd, fitting]);
        fake.damage(Damage::Member("charges", rows));
        let page = adapter.list_charges(None, 10).await.unwrap();
        assert_eq!(page.charges, good.charges);
        let told = &page.unreadable[0];
        assert_eq!((told.field, told.provider_reference.as_str()), (field, reference));
        assert_eq!(page.unreadable.len(), 1);
    }
}

#[tokio::test]
async fn only_a_refusal_in_the_agreed_form_is_one() {
    let fake = FakeProvider::start().await;
    let adapter = fake.adapter();
    let charge = request("pm_not_supported");
    let Err(ProviderError::Refused { reason }) = adapter.capture(&charge).await else {
        panic!("not refused")
    };
    assert_eq!(reason, "method_not_supported");
    assert_eq!(adapter.query(&charge).await.unwrap(), None, "nothing was done");
    // A status alone may come from anything in between.
    fake.damage(Damage::Status(422));
    assert!(is_unknown(&adapter.capture(&request("pm_ok")).await));
}

#[tokio::test]
async fn a_key_that_is_not_known_gets_nothing() {
    let fake = FakeProvider::start().await;
    let settings = HttpSettings { api_key: Secret::new("sk_other"), ..fake.settings() };
    let adapter = HttpProvider::new(&settings).unwrap();
    let charge = request("pm_ok");
    assert!(is_unknown(&adapter.capture(&charge).await));
    assert!(is_unknown(&adapter.query(&charge).await));
    assert!(is_unknown(&adapter.list_charges(None, 1).await));
    assert_eq!(fake.adapter().query(&charge).await.unwrap(), None);
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_unknown() {
    let fake = FakeProvider::start().await;
    let adapter = fake.adapter();
    fake.stop().await;
    assert!(is_unknown(&adapter.capture(&request("pm_ok")).await));
}

#[tokio::test]
async fn calls_beyond_the_bound_wait_for_their_turn() {
    let fake = FakeProvider::start().await;
    let adapter = HttpProvider::new(&HttpSettings { max_connections: 2, ..fake.settings() });
    let adapter = adapter.unwrap();
    let requests: Vec<_> = (0..20).map(|_| request("pm_ok")).collect();
    let calls = requests.iter().map(|request| adapter.capture(request));
    for charge in futures::future::join_all(calls).await {
        assert_eq!(charge.unwrap().outcome, Outcome::Captured);
    }
    assert!(fake.busiest() <= 2, "{}", fake.busiest());
}

#[tokio::test]
async fn the_key_is_printed_nowhere() {
    let fake = FakeProvider::start().await;
    let settings = fake.settings();
    assert!(!format!("{settings:?}").contains(fake::API_KEY));
    fake.damage(Damage::Status(500));
    let error = fake.adapter().capture(&request("pm_ok")).await.unwrap_err();
    assert!(!format!("{error:?}").contains(fake::API_KEY));
    let odd = HttpSettings { api_key: Secret::new("a\nkey"), ..settings };
    let error = HttpProvider::new(&odd).err().unwrap();
    assert!(error.to_string().contains("provider.api_key"));
    assert!(!format!("{error:?}").contains("a\nkey"));
}

/// How long the adapter waits in these tests.
const TIMEOUT: Duration = Duration::from_millis(500);
