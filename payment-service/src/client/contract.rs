//! What every [`PaymentProvider`] does, run against each adapter: the simulated provider, and the
//! HTTP adapter in front of a provider that speaks the agreed API.

use std::sync::Arc;
use std::time::Duration;

use chassis::testing::clock::FixedClock;

use super::http::tests::FakeProvider;
use super::simulated::SimulatedProvider;
use super::simulated::memory::MemoryChargeBook;
use super::{ChargeRequest, PaymentProvider, ProviderError, RefundRequest};
use crate::model::{ListedCharge, Money, Outcome, PaymentId, PaymentMethod, Reason, RefundId};

pub(super) fn request(method: &str) -> ChargeRequest {
    ChargeRequest {
        reference: PaymentId::generate(),
        amount: Money::parse("amount", 19_900, "CNY").unwrap(),
        method: PaymentMethod::parse("method", method).unwrap(),
    }
}

pub(super) fn refund_of(charge: &ChargeRequest) -> RefundRequest {
    RefundRequest {
        reference: charge.reference,
        refund_id: RefundId::generate(),
        amount: charge.amount,
    }
}

async fn a_charge_is_made_once(provider: &dyn PaymentProvider) {
    for (method, outcome) in [
        ("pm_ok", Outcome::Captured),
        ("pm_declined", Outcome::Declined(Reason::from_provider("card_declined"))),
        ("pm_never", Outcome::Pending),
    ] {
        let request = request(method);
        assert_eq!(provider.query(&request).await.unwrap(), None);
        let made = provider.capture(&request).await.unwrap();
        assert_eq!(made.outcome, outcome, "{method}");
        assert!(!made.provider_reference.is_empty());
        assert_eq!(provider.capture(&request).await.unwrap(), made);
        assert_eq!(provider.query(&request).await.unwrap(), Some(made));
    }
    let listed = provider.list_charges(None, 10).await.unwrap();
    assert_eq!(listed.charges.len(), 3);
}

async fn a_reference_that_is_taken_says_nothing_of_the_charge(provider: &dyn PaymentProvider) {
    let first = request("pm_ok");
    provider.capture(&first).await.unwrap();
    for (amount, currency) in [(1, "CNY"), (19_900, "USD")] {
        let amount = Money::parse("amount", amount, currency).unwrap();
        let other = ChargeRequest { amount, ..first.clone() };
        let error = provider.capture(&other).await.unwrap_err();
        assert!(matches!(error, ProviderError::Unknown { .. }), "{error}");
        let error = provider.query(&other).await.unwrap_err();
        assert!(matches!(error, ProviderError::Unknown { .. }), "{error}");
    }
}

async fn a_refund_is_made_once(provider: &dyn PaymentProvider) {
    let charge = request("pm_ok");
    provider.capture(&charge).await.unwrap();
    let refund = refund_of(&charge);
    provider.refund(&refund).await.unwrap();
    provider.refund(&refund).await.unwrap();
    let error = provider.refund(&refund_of(&charge)).await.unwrap_err();
    assert!(matches!(error, ProviderError::Refused { .. }), "{error}");
    let listed = provider.list_charges(None, 10).await.unwrap().charges;
    let refunds: Vec<_> =
        listed[0].refunds.iter().map(|made| (made.id.clone(), made.amount)).collect();
    assert_eq!(refunds, [(refund.refund_id.to_string(), 19_900)]);
}

async fn what_was_not_captured_is_not_refunded(provider: &dyn PaymentProvider) {
    for method in ["pm_declined", "pm_never"] {
        let charge = request(method);
        provider.capture(&charge).await.unwrap();
        let error = provider.refund(&refund_of(&charge)).await.unwrap_err();
        assert!(matches!(error, ProviderError::Refused { .. }), "{method}: {error}");
    }
    assert!(provider.refund(&refund_of(&request("pm_ok"))).await.is_err());
}

async fn the_ledger_is_read_page_by_page(provider: &dyn PaymentProvider) {
    let mut made = Vec::new();
    for method in ["pm_ok", "pm_declined", "pm_never", "pm_ok", "pm_ok"] {
        let request = request(method);
        provider.capture(&request).await.unwrap();
        made.push(request.reference.to_string());
    }
    let (mut listed, mut after, mut pages) = (Vec::<ListedCharge>::new(), None, 0);
    loop {
        let page = provider.list_charges(after.as_deref(), 2).await.unwrap();
        assert!(page.charges.len() <= 2);
        listed.extend(page.charges);
        pages += 1;
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    assert_eq!(pages, 3);
    let references: Vec<_> = listed.iter().map(|charge| charge.reference.clone()).collect();
    assert_eq!(references, made, "in the order of creation");
    assert!(listed.is_sorted_by_key(|charge| charge.provider_reference.clone()));
    assert_eq!(listed[0].payment_id().unwrap().to_string(), made[0]);
    assert!(listed[0].is_captured() && !listed[1].is_captured() && !listed[2].is_captured());
    assert!(
        listed.iter().all(|charge| (charge.amount, charge.currency.as_str()) == (19_900, "CNY"))
    );
    assert_eq!(listed[0].held(), 19_900);
    assert_eq!(listed[1].held(), 0);
}

macro_rules! contract {
    ($($case:ident),+ $(,)?) => {
        mod simulated {
            use super::*;

            $(#[tokio::test]
            async fn $case() {
                let book = Arc::new(MemoryChargeBook::default());
                let clock = Arc::new(FixedClock::default());
                let (provider, _outgoing) =
                    SimulatedProvider::new(book, clock, Duration::from_secs(1));
                super::$case(&provider).await;
            })+
        }

        mod http {
            use super::*;

            $(#[tokio::test]
            async fn $case() {
                let fake = FakeProvider::start().await;
                super::$case(&fake.adapter()).await;
            })+
        }
    };
}

contract!(
    a_charge_is_made_once,
    a_reference_that_is_taken_says_nothing_of_the_charge,
    a_refund_is_made_once,
    what_was_not_captured_is_not_refunded,
    the_ledger_is_read_page_by_page,
);
