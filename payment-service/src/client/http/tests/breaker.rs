//! When a provider that fails is left alone, and what becomes of the payments meanwhile.

use std::sync::Arc;

use chrono::TimeDelta;

use super::*;
use crate::model::PaymentStatus;
use crate::testing::{create, service_over};

const FAILURES: u32 = 3;
/// Longer than any test: only [`pass`] ends it.
const PAUSE: Duration = Duration::from_hours(1);
/// How long something is waited for that must happen.
const PATIENCE: Duration = Duration::from_secs(20);

fn adapter(fake: &FakeProvider, breaker_failures: u32) -> HttpProvider {
    let breaker_pause = PAUSE;
    let settings = HttpSettings { breaker_failures, breaker_pause, ..fake.settings() };
    HttpProvider::new(&settings).unwrap()
}

/// Moves the clock of the breaker. It stands still no longer than that: the sockets are real.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

async fn fail(fake: &FakeProvider, adapter: &HttpProvider, times: u32) {
    for _ in 0..times {
        fake.damage(Damage::Status(503));
        assert!(is_unknown(&adapter.query(&request("pm_ok")).await));
    }
}

/// Whether the provider hears of the next call.
async fn is_asked(fake: &FakeProvider, adapter: &HttpProvider) -> bool {
    let before = fake.carried_out();
    let answer = adapter.query(&request("pm_ok")).await;
    let is_asked = fake.carried_out() > before;
    assert_eq!(is_unknown(&answer), !is_asked, "{answer:?}");
    is_asked
}

/// Makes a call that is not answered, and gives it up after `time`.
async fn give_up_after(time: Duration, fake: &FakeProvider, adapter: &HttpProvider) {
    let before = fake.carried_out();
    fake.damage(Damage::Silence);
    let charge = request("pm_ok");
    let call = adapter.capture(&charge);
    let arrival = async {
        while fake.carried_out() == before {
            tokio::task::yield_now().await;
        }
        pass(time).await;
    };
    tokio::select! {
        answer = call => panic!("{answer:?}"),
        arrived = tokio::time::timeout(PATIENCE + time, arrival) => arrived.unwrap(),
    }
}

#[tokio::test]
async fn a_provider_that_fails_in_a_row_is_sent_nothing_but_one_call_per_pause() {
    let fake = FakeProvider::start().await;
    let adapter = adapter(&fake, FAILURES);
    fail(&fake, &adapter, FAILURES - 1).await;
    assert!(is_asked(&fake, &adapter).await, "an answer begins the row anew");
    fail(&fake, &adapter, FAILURES).await;
    let before = fake.carried_out();
    let (charge, refund) = (request("pm_ok"), refund_of(&request("pm_ok")));
    assert!(is_unknown(&adapter.capture(&charge).await));
    assert!(is_unknown(&adapter.query(&charge).await));
    assert!(is_unknown(&adapter.refund(&refund).await));
    assert!(is_unknown(&adapter.list_charges(None, 1).await));
    assert_eq!(fake.carried_out(), before);

    pass(PAUSE).await;
    fail(&fake, &adapter, 1).await;
    assert_eq!(fake.carried_out(), before + 1, "the probe");
    assert!(!is_asked(&fake, &adapter).await, "which has failed");
    pass(PAUSE).await;
    assert!(is_asked(&fake, &adapter).await, "the next probe");
    assert!(is_asked(&fake, &adapter).await, "which was answered");
    assert_eq!(fake.adapter().query(&charge).await.unwrap(), None);
}

#[tokio::test]
async fn no_answer_and_a_failure_of_the_provider_count() {
    let fake = FakeProvider::start().await;
    for damage in [Damage::Status(500), Damage::Status(503), Damage::CutOff, Damage::Silence] {
        let adapter = adapter(&fake, 1);
        fake.damage(damage.clone());
        assert!(is_unknown(&adapter.capture(&request("pm_ok")).await));
        assert!(!is_asked(&fake, &adapter).await, "{damage:?}");
    }
    let adapter = adapter(&fake, 1);
    fake.stop().await;
    let refused = adapter.capture(&request("pm_ok")).await.unwrap_err();
    let left_alone = adapter.capture(&request("pm_ok")).await.unwrap_err();
    for (error, is_left_alone) in [(refused, false), (left_alone, true)] {
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(source.contains("nothing was sent"), is_left_alone, "{source}");
    }
}

#[tokio::test]
async fn refusals_are_answers() {
    let fake = FakeProvider::start().await;
    let adapter = adapter(&fake, 1);
    let declined = adapter.capture(&request("pm_declined")).await.unwrap();
    assert!(matches!(declined.outcome, Outcome::Declined(_)));
    assert!(is_asked(&fake, &adapter).await, "which finds nothing");
    adapter.capture(&request("pm_not_supported")).await.unwrap_err();
    for damage in [Damage::Status(400), Damage::Status(401), Damage::Status(429), Damage::Garbage] {
        fake.damage(damage.clone());
        adapter.capture(&request("pm_ok")).await.unwrap_err();
        assert!(is_asked(&fake, &adapter).await, "{damage:?}");
    }
}

#[tokio::test]
async fn a_call_that_is_given_up_counts_only_if_it_was_waited_for() {
    let fake = FakeProvider::start().await;
    let timeout = PAUSE * 4;
    let settings = HttpSettings { breaker_failures: 1, timeout, ..fake.settings() };
    let adapter = HttpProvider::new(&settings).unwrap();
    give_up_after(Duration::ZERO, &fake, &adapter).await;
    assert!(is_asked(&fake, &adapter).await, "whoever asked went away");
    give_up_after(timeout / 2, &fake, &adapter).await;
    assert!(!is_asked(&fake, &adapter).await);
}

#[tokio::test]
async fn calls_that_wait_for_their_turn_are_not_sent_to_a_provider_that_has_failed_meanwhile() {
    let fake = FakeProvider::start().await;
    let settings = HttpSettings { breaker_failures: 1, max_connections: 1, ..fake.settings() };
    let adapter = HttpProvider::new(&settings).unwrap();
    fake.damage(Damage::Silence);
    let requests: Vec<_> = (0..10).map(|_| request("pm_ok")).collect();
    let calls = requests.iter().map(|request| adapter.capture(request));
    let answers = futures::future::join_all(calls).await;
    assert!(answers.iter().all(is_unknown));
    assert_eq!(fake.carried_out(), 1);
}

#[tokio::test]
async fn an_attempt_that_was_not_sent_is_made_later_and_charged_once() {
    let fake = FakeProvider::start().await;
    let adapter = Arc::new(adapter(&fake, FAILURES));
    fail(&fake, &adapter, FAILURES).await;
    let (service, clock) = service_over(adapter);
    let (before, command) = (fake.carried_out(), create("pm_ok"));
    let payment = service.create_payment(command.clone()).await.unwrap();
    assert_eq!(payment.status(), PaymentStatus::Initiated, "nobody says that it failed");
    clock.advance(TimeDelta::seconds(61));
    assert_eq!(service.reconcile().await.unwrap().looked_at, 1);
    assert_eq!(fake.carried_out(), before);
    let payment = service.create_payment(command.clone()).await.unwrap();
    assert_eq!(payment.status(), PaymentStatus::Initiated);

    pass(PAUSE).await;
    clock.advance(TimeDelta::seconds(61));
    assert_eq!(service.reconcile().await.unwrap().looked_at, 1);
    let payment = service.create_payment(command).await.unwrap();
    assert_eq!(payment.status(), PaymentStatus::Succeeded);
    assert_charged_once(&fake, payment.id().to_string()).await;
}

#[tokio::test]
async fn an_attempt_that_may_have_been_sent_is_asked_about_when_the_provider_is_back() {
    let fake = FakeProvider::start().await;
    let (service, clock) = service_over(Arc::new(adapter(&fake, 1)));
    let command = create("pm_ok");
    fake.damage(Damage::Status(500));
    let payment = service.create_payment(command.clone()).await.unwrap();
    assert_eq!(payment.status(), PaymentStatus::Initiated);
    for (pause, status) in
        [(Duration::ZERO, PaymentStatus::Initiated), (PAUSE, PaymentStatus::Succeeded)]
    {
        pass(pause).await;
        clock.advance(TimeDelta::seconds(61));
        assert_eq!(service.reconcile().await.unwrap().looked_at, 1);
        let payment = service.create_payment(command.clone()).await.unwrap();
        assert_eq!(payment.status(), status);
    }
    assert_charged_once(&fake, payment.id().to_string()).await;
}

async fn assert_charged_once(fake: &FakeProvider, reference: String) {
    let listed = fake.adapter().list_charges(None, 10).await.unwrap().charges;
    let references: Vec<_> = listed.into_iter().map(|charge| charge.reference).collect();
    assert_eq!(references, [reference]);
}
