//! Guessing is slowed down by all replicas together, and known devices are kept.

use chassis::error::Kind;
use chassis::testing::redis_url;
use chrono::TimeDelta;
use proto::auth::v1 as pb;

use crate::harness::{EMAIL, Harness, Instance, PASSWORD, refused};

/// Wrong passwords that cost nothing, as shipped.
const FREE: usize = 5;

/// Tries a password from an address; the code of the refusal, or nothing.
async fn attempt(instance: &Instance, password: &str, address: &str) -> String {
    let request = pb::LoginRequest {
        email: EMAIL.to_owned(),
        password: password.to_owned(),
        user_agent: "a browser".to_owned(),
        client_address: address.to_owned(),
    };
    match refused(instance.client.clone().login(request).await) {
        Ok(_) => String::new(),
        Err(error) => {
            assert_eq!(error.kind == Kind::RateLimited, error.retry_after.is_some());
            error.reason
        }
    }
}

/// Wrong passwords that two replicas look at, of twelve that come one after the other.
async fn looked_at(harness: &Harness) -> usize {
    let replica = harness.replica().await;
    let mut answers = Vec::new();
    for n in 0..12 {
        let instance = if n % 2 == 0 { &harness.instance } else { &replica };
        answers.push(attempt(instance, "wrong", &format!("192.0.2.{n}")).await);
    }
    answers.iter().filter(|answer| *answer == "CREDENTIALS_INVALID").count()
}

/// A first pause that no test waits out.
const LONG: (&str, &str) = ("THROTTLE__ACCOUNT__PAUSE_S", "600");

#[tokio::test]
#[ignore = "needs MySQL and Redis: cargo ehub test"]
async fn replicas_count_together() {
    let (url, namespace) = (redis_url(), format!("test-{}", chassis::id::new_id()));
    let redis = [("REDIS__URL", url.as_str()), ("REDIS__NAMESPACE", namespace.as_str())];
    let patient = [redis.as_slice(), &[("REDIS__TIMEOUT_MS", "5000"), LONG]].concat();
    let harness = Harness::with(&patient).await;
    assert_eq!(looked_at(&harness).await, FREE);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn without_redis_each_replica_counts_alone() {
    let harness = Harness::with(&[LONG]).await;
    assert_eq!(looked_at(&harness).await, 2 * FREE);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_device_stays_known_to_every_replica() {
    let harness = Harness::with(&[LONG]).await;
    assert_eq!(attempt(&harness.instance, PASSWORD, "2001:db8::1").await, "");
    let replica = harness.replica().await;
    for n in 0..=FREE {
        attempt(&replica, "wrong", &format!("192.0.2.{n}")).await;
    }
    assert_eq!(attempt(&replica, PASSWORD, "192.0.2.99").await, "LOGIN_THROTTLED");
    assert_eq!(attempt(&replica, PASSWORD, "2001:db8::2").await, "", "the same /64");
    let stored: (i64, i64) =
        sqlx::query_as("SELECT COUNT(*), COUNT(DISTINCT account) FROM known_devices")
            .fetch_one(&harness.pool)
            .await
            .unwrap();
    assert_eq!(stored, (1, 1));
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn an_account_has_as_many_known_devices_as_are_configured() {
    let harness = Harness::with(&[LONG, ("THROTTLE__DEVICES_MAX", "2")]).await;
    for n in 1..=3 {
        assert_eq!(attempt(&harness.instance, PASSWORD, &format!("192.0.2.{n}")).await, "");
        harness.clock.advance(TimeDelta::seconds(1));
    }
    assert_eq!(harness.count("SELECT COUNT(*) FROM known_devices").await, 2);
    for n in 0..FREE {
        let elsewhere = format!("198.51.100.{n}");
        assert_eq!(attempt(&harness.instance, "wrong", &elsewhere).await, "CREDENTIALS_INVALID");
    }
    assert_eq!(attempt(&harness.instance, PASSWORD, "192.0.2.1").await, "LOGIN_THROTTLED");
    for newest in ["192.0.2.2", "192.0.2.3"] {
        assert_eq!(attempt(&harness.instance, PASSWORD, newest).await, "");
    }
    harness.finish().await;
}
