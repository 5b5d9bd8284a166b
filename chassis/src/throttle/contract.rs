//! The suite that every adapter of [`AttemptStore`] passes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;

use super::{Admission, AttemptStore, LocalAttempts, Meter, RedisAttempts, Rule, Ticket};
use crate::config::{RedisConfig, Secret};

/// What the suite waits for at most.
const PATIENCE: Duration = Duration::from_secs(20);

fn rule(free: u32) -> Rule {
    Rule {
        free,
        pause: Duration::from_millis(300),
        pause_max: Duration::from_mins(1),
        forget: Duration::from_hours(1),
    }
}

fn meter(name: &str, free: u32) -> Meter {
    Meter { key: format!("{name}:{}", crate::id::new_id()), rule: rule(free), member: None }
}

async fn admitted(store: &dyn AttemptStore, meter: &Meter) -> Option<Ticket> {
    match store.begin(meter).await.unwrap() {
        Admission::Admitted(ticket) => Some(ticket),
        Admission::Refused { retry_after } => {
            assert!(!retry_after.is_zero() && retry_after <= meter.rule.pause_max);
            None
        }
    }
}

/// Attempts until one is admitted.
async fn wait_out(store: &dyn AttemptStore, meter: &Meter) -> Ticket {
    let begun = Instant::now();
    loop {
        if let Some(ticket) = admitted(store, meter).await {
            return ticket;
        }
        assert!(begun.elapsed() < PATIENCE, "the pause does not end");
        tokio::task::yield_now().await;
    }
}

async fn after_the_free_attempts_pauses_grow(store: &dyn AttemptStore) {
    let meter = meter("growing", 3);
    for _ in 0..3 {
        assert!(admitted(store, &meter).await.is_some());
    }
    let mut pauses = Vec::new();
    for _ in 0..2 {
        let Admission::Refused { retry_after } = store.begin(&meter).await.unwrap() else {
            panic!("in a pause")
        };
        pauses.push(retry_after);
        wait_out(store, &meter).await;
    }
    assert!(pauses[0] <= Duration::from_millis(300), "{pauses:?}");
    assert!(pauses[1] > Duration::from_millis(300), "{pauses:?}");
    assert!(pauses[1] <= Duration::from_millis(600), "{pauses:?}");
}

async fn of_attempts_at_once_the_free_ones_are_admitted(store: &dyn AttemptStore) {
    let meter = Meter { rule: Rule { pause: PATIENCE, ..rule(5) }, ..meter("at-once", 5) };
    let all = join_all((0..50).map(|_| admitted(store, &meter))).await;
    assert_eq!(all.into_iter().flatten().count(), 5);
}

async fn what_is_taken_back_was_never_there(store: &dyn AttemptStore) {
    let meter = meter("taken-back", 2);
    for _ in 0..10 {
        let ticket = admitted(store, &meter).await.unwrap();
        store.take_back(&meter, &ticket).await.unwrap();
    }
    assert!(admitted(store, &meter).await.is_some());
    let second = admitted(store, &meter).await.unwrap();
    assert!(admitted(store, &meter).await.is_none());
    store.take_back(&meter, &second).await.unwrap();
    assert!(admitted(store, &meter).await.is_some(), "its pause is taken back with it");
    assert!(admitted(store, &meter).await.is_none());
}

async fn a_meter_that_is_cleared_begins_anew(store: &dyn AttemptStore) {
    let meter = Meter { rule: Rule { pause: PATIENCE, ..rule(1) }, ..meter("cleared", 1) };
    assert!(admitted(store, &meter).await.is_some());
    assert!(admitted(store, &meter).await.is_none());
    store.clear(&meter).await.unwrap();
    assert!(admitted(store, &meter).await.is_some());
}

async fn a_member_counts_once(store: &dyn AttemptStore) {
    let meter = Meter { rule: Rule { pause: PATIENCE, ..rule(3) }, ..meter("members", 3) };
    let of = |member| Meter { member: Some(member), ..meter.clone() };
    for _ in 0..10 {
        assert!(admitted(store, &of(1)).await.is_some());
    }
    let second = admitted(store, &of(2)).await.unwrap();
    assert!(admitted(store, &of(3)).await.is_some());
    assert!(admitted(store, &of(4)).await.is_none());
    assert!(admitted(store, &of(1)).await.is_some(), "a member is let through in a pause");
    store.take_back(&of(2), &second).await.unwrap();
    assert!(admitted(store, &of(2)).await.is_none(), "it is no member any more");
}

async fn wrong_attempts_are_forgotten(store: &dyn AttemptStore) {
    let rule = Rule { forget: Duration::from_millis(100), ..rule(100) };
    let meter = Meter { member: Some(1), rule, ..meter("forgotten", 100) };
    assert!(admitted(store, &meter).await.unwrap().is_counted);
    let begun = Instant::now();
    // Whom the meter remembers is not counted again, until the attempt is forgotten.
    while !admitted(store, &meter).await.unwrap().is_counted {
        assert!(begun.elapsed() < PATIENCE, "nothing is forgotten");
        tokio::task::yield_now().await;
    }
}

async fn suite(store: Arc<dyn AttemptStore>) {
    after_the_free_attempts_pauses_grow(&*store).await;
    of_attempts_at_once_the_free_ones_are_admitted(&*store).await;
    what_is_taken_back_was_never_there(&*store).await;
    a_meter_that_is_cleared_begins_anew(&*store).await;
    a_member_counts_once(&*store).await;
    wrong_attempts_are_forgotten(&*store).await;
}

#[tokio::test]
async fn the_local_adapter_keeps_the_contract() {
    suite(Arc::new(LocalAttempts::new(1_000))).await;
}

#[tokio::test]
#[ignore = "needs Redis: cargo ehub test"]
async fn the_redis_adapter_keeps_the_contract() {
    let config = RedisConfig {
        url: Secret::new(crate::testing::redis_url()),
        timeout_ms: 2_000,
        namespace: format!("test-{}", crate::id::new_id()),
    };
    let redis = crate::redis::connect(&config).unwrap().unwrap();
    suite(Arc::new(RedisAttempts::new(redis.clone()))).await;
    let mut connection = redis.connection();
    let keys: Vec<String> =
        ::redis::cmd("KEYS").arg(redis.key("*")).query_async(&mut connection).await.unwrap();
    for key in keys {
        let left: i64 = ::redis::cmd("PTTL").arg(&key).query_async(&mut connection).await.unwrap();
        assert!(left > 0 || left == -2, "{key} never expires");
    }
}
