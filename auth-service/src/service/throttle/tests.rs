//! Guessing from one place and from everywhere, on meters in memory.

use std::time::Duration;

use super::*;
use crate::repository::MemoryDeviceRepository;
use crate::service::testing::{DEVICES_MAX, Fixture, PASSWORD, from, throttle_over};

const ALICE: &str = "alice@example.com";

/// Tries a password from an address; the code of the refusal, if it is one.
async fn attempt(fixture: &Fixture, email: &str, password: &str, address: &str) -> &'static str {
    match fixture.service.login(from(email, password, address)).await {
        Ok(_) => "in",
        Err(SessionError::CredentialsInvalid) => "wrong",
        Err(SessionError::Throttled { retry_after }) => {
            assert!(!retry_after.is_zero());
            "throttled"
        }
        Err(other) => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn guesses_from_everywhere_stop_and_the_owners_device_still_works() {
    let fixture = Fixture::new().await;
    fixture.accounts.add(ALICE, PASSWORD);
    assert_eq!(attempt(&fixture, ALICE, PASSWORD, "192.0.2.1").await, "in");
    let mut answers = Vec::new();
    for n in 0..20 {
        answers.push(attempt(&fixture, ALICE, "wrong", &format!("198.51.100.{n}")).await);
    }
    assert_eq!(answers.iter().filter(|answer| **answer == "wrong").count(), 5);
    assert_eq!(attempt(&fixture, ALICE, PASSWORD, "203.0.113.9").await, "throttled");
    assert_eq!(attempt(&fixture, ALICE, PASSWORD, "192.0.2.1").await, "in");
    assert_eq!(attempt(&fixture, ALICE, PASSWORD, "203.0.113.9").await, "throttled");
    // The owner mistypes: the device has tries of its own, and no more than others.
    for _ in 0..5 {
        assert_eq!(attempt(&fixture, ALICE, "wrong", "192.0.2.1").await, "wrong");
    }
    assert_eq!(attempt(&fixture, ALICE, PASSWORD, "192.0.2.1").await, "throttled");
}

#[tokio::test(start_paused = true)]
async fn of_the_devices_of_an_account_the_newest_stay_known() {
    let fixture = Fixture::new().await;
    fixture.accounts.add(ALICE, PASSWORD);
    let device = |n: u32| format!("192.0.2.{n}");
    // One more than are kept; the first one comes back before the last ones are new.
    for n in (0..DEVICES_MAX).chain([0, DEVICES_MAX]) {
        assert_eq!(attempt(&fixture, ALICE, PASSWORD, &device(n)).await, "in");
        fixture.clock.advance(TimeDelta::seconds(1));
    }
    for n in 0..5 {
        assert_eq!(attempt(&fixture, ALICE, "wrong", &format!("198.51.100.{n}")).await, "wrong");
    }
    assert_eq!(attempt(&fixture, ALICE, PASSWORD, &device(1)).await, "throttled");
    for n in (0..=DEVICES_MAX).filter(|n| *n != 1) {
        assert_eq!(attempt(&fixture, ALICE, PASSWORD, &device(n)).await, "in", "{n}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_device_that_was_seen_under_a_key_that_is_being_replaced_stays_known() {
    let mut fixture = Fixture::new().await;
    fixture.accounts.add(ALICE, PASSWORD);
    let devices = Arc::new(MemoryDeviceRepository::default());
    let under = |keys: &[&str]| Arc::new(throttle_over(devices.clone(), keys));
    fixture.service.throttle = under(&["old"]);
    assert_eq!(attempt(&fixture, ALICE, PASSWORD, "192.0.2.1").await, "in");
    for (keys, expected) in [
        (&["old"][..], "in"),
        (&["new"][..], "throttled"),
        (&["new", "old"][..], "in"),
        // The login before has named it anew.
        (&["new"][..], "in"),
    ] {
        fixture.service.throttle = under(keys);
        for n in 0..5 {
            attempt(&fixture, ALICE, "wrong", &format!("198.51.100.{n}")).await;
        }
        let own = attempt(&fixture, ALICE, PASSWORD, "192.0.2.1").await;
        assert_eq!(own, expected, "{keys:?}");
    }
}

/// Knows these keys from now on, and counts on as before.
fn know(fixture: &mut Fixture, keys: &[&str]) {
    let mut next = throttle_over(Arc::default(), keys);
    let before = Arc::get_mut(&mut fixture.service.throttle).unwrap();
    std::mem::swap(&mut next.throttle, &mut before.throttle);
    fixture.service.throttle = Arc::new(next);
}

#[tokio::test(start_paused = true)]
async fn replicas_with_and_without_the_next_key_count_together() {
    let mut fixture = Fixture::new().await;
    for (n, (keys, expected)) in [
        (&["old"][..], "wrong"),
        (&["old", "new"], "wrong"),
        (&["old"], "wrong"),
        (&["old", "new"], "wrong"),
        (&["old"], "wrong"),
        (&["old", "new"], "throttled"),
        (&["new", "old"], "throttled"),
        (&["old"], "throttled"),
    ]
    .into_iter()
    .enumerate()
    {
        know(&mut fixture, keys);
        let answer = attempt(&fixture, ALICE, "wrong", &format!("198.51.100.{n}")).await;
        assert_eq!(answer, expected, "{n}: {keys:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_there_again_counts_no_login_again() {
    let mut fixture = Fixture::new().await;
    know(&mut fixture, &["one", "two", "one", "two"]);
    let mut answers = Vec::new();
    for n in 0..6 {
        answers.push(attempt(&fixture, ALICE, "wrong", &format!("198.51.100.{n}")).await);
    }
    assert_eq!(answers, ["wrong", "wrong", "wrong", "wrong", "wrong", "throttled"]);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_gone_takes_no_count_with_it() {
    let mut fixture = Fixture::new().await;
    fixture.accounts.add(ALICE, PASSWORD);
    know(&mut fixture, &["new", "old"]);
    for n in 0..4 {
        attempt(&fixture, ALICE, "wrong", &format!("198.51.100.{n}")).await;
    }
    // The right one begins the count of the account anew, by whichever key it is named.
    assert_eq!(attempt(&fixture, ALICE, PASSWORD, "192.0.2.1").await, "in");
    for n in 0..5 {
        let answer = attempt(&fixture, ALICE, "wrong", &format!("198.51.100.{n}")).await;
        assert_eq!(answer, "wrong", "{n}");
    }
    know(&mut fixture, &["new"]);
    assert_eq!(attempt(&fixture, ALICE, "wrong", "203.0.113.9").await, "throttled");
}

#[tokio::test(start_paused = true)]
async fn an_account_that_is_not_there_is_throttled_like_one_that_is() {
    let fixture = Fixture::new().await;
    fixture.accounts.add(ALICE, PASSWORD);
    for email in [ALICE, "nobody@example.com"] {
        let mut answers = Vec::new();
        for n in 0..8 {
            answers.push(attempt(&fixture, email, "wrong", &format!("192.0.2.{n}")).await);
        }
        assert_eq!(answers[4..], ["wrong", "throttled", "throttled", "throttled"]);
    }
}

#[tokio::test(start_paused = true)]
async fn another_spelling_of_an_account_is_the_same_account() {
    let fixture = Fixture::new().await;
    let spellings = [ALICE, "ALICE@example.com", "ａlice@example.com", "Alice@Example.COM", ALICE];
    for spelling in spellings {
        assert_eq!(attempt(&fixture, spelling, "wrong", "192.0.2.1").await, "wrong");
    }
    assert_eq!(attempt(&fixture, "aLICE@example.com", "wrong", "192.0.2.2").await, "throttled");
}

#[tokio::test(start_paused = true)]
async fn of_what_is_too_long_for_an_address_no_more_is_looked_at() {
    let fixture = Fixture::new().await;
    let overlong = |end: usize| format!("{}{end}", "a".repeat(EMAIL_READ_MAX));
    for n in 0..5 {
        assert_eq!(attempt(&fixture, &overlong(n), "wrong", "192.0.2.1").await, "wrong");
    }
    assert_eq!(attempt(&fixture, &overlong(5), "wrong", "192.0.2.2").await, "throttled");
    let longest = "a".repeat(EMAIL_READ_MAX - 1);
    assert_eq!(attempt(&fixture, &longest, "wrong", "192.0.2.2").await, "wrong");
}

#[tokio::test(start_paused = true)]
async fn one_password_over_many_accounts_is_noticed() {
    let fixture = Fixture::new().await;
    let mut wrong = 0;
    // Addresses of one /64 are one subscriber.
    for n in 0..100 {
        let email = format!("user{n}@example.com");
        let address = format!("2001:db8::{n}");
        wrong += usize::from(attempt(&fixture, &email, "Summer2026", &address).await == "wrong");
    }
    assert_eq!(wrong, 20);
    let elsewhere = attempt(&fixture, "user99@example.com", "x", "2001:db8:0:1::1").await;
    assert_eq!(elsewhere, "wrong");
}

#[tokio::test(start_paused = true)]
async fn many_right_passwords_from_one_address_are_no_attack() {
    let fixture = Fixture::new().await;
    for n in 0..150 {
        let email = format!("user{n}@example.com");
        fixture.accounts.add(&email, PASSWORD);
        assert_eq!(attempt(&fixture, &email, PASSWORD, "192.0.2.1").await, "in");
    }
}

#[tokio::test(start_paused = true)]
async fn the_right_password_begins_the_count_of_its_account_anew() {
    let fixture = Fixture::new().await;
    fixture.accounts.add(ALICE, PASSWORD);
    for _ in 0..3 {
        for _ in 0..4 {
            assert_eq!(attempt(&fixture, ALICE, "wrong", "192.0.2.1").await, "wrong");
        }
        assert_eq!(attempt(&fixture, ALICE, PASSWORD, "192.0.2.1").await, "in");
    }
}

#[tokio::test(start_paused = true)]
async fn after_the_pause_the_next_try_is_allowed_and_the_next_pause_is_longer() {
    let fixture = Fixture::new().await;
    fixture.accounts.add(ALICE, PASSWORD);
    for _ in 0..5 {
        attempt(&fixture, ALICE, "wrong", "192.0.2.1").await;
    }
    for pause in [1, 2, 4, 8] {
        tokio::time::advance(Duration::from_millis(pause * 1_000 - 1)).await;
        assert_eq!(attempt(&fixture, ALICE, PASSWORD, "192.0.2.1").await, "throttled");
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(attempt(&fixture, ALICE, "wrong", "192.0.2.1").await, "wrong");
    }
}

#[test]
fn an_address_stands_for_its_subscriber() {
    assert_eq!(subscriber("192.0.2.1"), "192.0.2.1");
    assert_eq!(subscriber("::ffff:192.0.2.1"), "192.0.2.1");
    assert_eq!(subscriber("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
    assert_eq!(subscriber("nonsense"), "");
}
