//! Quotas that all gateways count together in Redis, and what happens without it.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use chassis::config::{RedisConfig, Secret};
use chassis::redis::Redis;
use gateway_service::limit::redis::RedisPermits;
use gateway_service::limit::{Grant, Key, PermitStore, Quota, StoreError, Unused};
use http::StatusCode;
use tokio::task::JoinSet;
use tower::ServiceExt;

use crate::harness::{Ask, Gateway, PATIENCE, login};

/// What is limited exactly.
const PASSWORD: &str = "/api/v1/users/me/password";
const PASSWORDS: &str = r#"{"current_password":"a","new_password":"b"}"#;

/// What is limited by leases.
const ACCOUNT: &str = "/api/v1/users/me";

/// Windows in which nothing comes back while a test runs, and no pause after a failure. Nothing but a
/// quota refuses anything, however slow the machine may be.
const LONG: [(&str, &str); 6] = [
    ("SHEDDING__CALM_MS", "10000"),
    ("RATE_LIMITS__LOGIN__REQUESTS", "20"),
    ("RATE_LIMITS__LOGIN__WINDOW_S", "36000"),
    ("RATE_LIMITS__DEFAULT__REQUESTS", "1200"),
    ("RATE_LIMITS__DEFAULT__WINDOW_S", "360000"),
    ("RATE_LIMITS__REDIS_PAUSE_MS", "0"),
];

/// A Redis at `url` whose keys are this test's alone.
fn redis(url: &str, namespace: &str) -> Redis {
    let config = RedisConfig {
        url: Secret::new(url),
        // A busy machine is no fault of the code under test.
        timeout_ms: 5_000,
        namespace: namespace.to_owned(),
    };
    chassis::redis::connect(&config).unwrap().unwrap()
}

fn namespace() -> String {
    format!("eh_test_{}", chassis::id::new_id().simple())
}

/// Redis, whose calls are counted and which can be taken away.
struct Counted {
    store: RedisPermits,
    calls: AtomicUsize,
    is_away: AtomicBool,
}

impl Counted {
    fn new(redis: Redis) -> Arc<Self> {
        let store = RedisPermits::new(redis);
        Arc::new(Self { store, calls: AtomicUsize::new(0), is_away: AtomicBool::new(false) })
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl PermitStore for Counted {
    async fn take(
        &self,
        key: &Key,
        quota: &Quota,
        unused: Option<Unused>,
    ) -> Result<Grant, StoreError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        if self.is_away.load(Ordering::SeqCst) {
            return Err(StoreError("connection refused".into()));
        }
        self.store.take(key, quota, unused).await
    }
}

async fn gateway(store: Arc<dyn PermitStore>) -> Gateway {
    Gateway::changed(&LONG, |parts| parts.permits = Some(store)).await
}

/// A gateway with a connection of its own, as another process would have.
async fn replica(namespace: &str) -> (Gateway, Arc<Counted>) {
    let store = Counted::new(redis(&chassis::testing::redis_url(), namespace));
    (gateway(store.clone()).await, store)
}

/// How many of `requests` by the customer, up to a hundred at once, are let through.
async fn served(gateway: &Gateway, path: &str, requests: usize) -> usize {
    let token = gateway.customer();
    let (method, body) = if path == PASSWORD { ("PUT", PASSWORDS) } else { ("GET", "") };
    let (mut asking, mut served) = (JoinSet::new(), 0);
    for number in 0..requests {
        if number >= 100 {
            served += usize::from(asking.join_next().await.unwrap().unwrap());
        }
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("host", "gateway.test")
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .body(axum::body::Body::from(body))
            .unwrap();
        let answer = gateway.router.clone().oneshot(request);
        asking.spawn(async { is_served(answer.await.unwrap().status()) });
    }
    served + asking.join_all().await.into_iter().filter(|is_served| *is_served).count()
}

/// Whether a request was let through; what is refused for another reason than its quota tells nothing.
fn is_served(status: StatusCode) -> bool {
    assert!(status.is_success() || status == StatusCode::TOO_MANY_REQUESTS, "{status}");
    status.is_success()
}

/// How many of `times` logins from one address, in turns at these gateways, are let through.
async fn logins(gateways: [&Gateway; 2], times: usize) -> usize {
    let mut served = 0;
    for number in 0..times {
        let reply = gateways[number % 2].ask(login().from("192.0.2.1")).await;
        served += usize::from(reply.status == 200);
    }
    served
}

#[tokio::test]
#[ignore = "needs Redis: cargo ehub test"]
async fn two_gateways_share_one_exact_quota() {
    let namespace = namespace();
    let ((one, _), (other, _)) = (replica(&namespace).await, replica(&namespace).await);
    assert_eq!(logins([&one, &other], 50).await, 20);
    let reply = other.ask(login().from("192.0.2.1")).await;
    assert_eq!(reply.code(), "RATE_LIMITED");
    let pause: u32 = reply.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=37_800).contains(&pause), "{pause}");
    assert_eq!(one.ask(login().from("192.0.2.2")).await.status, 200, "another caller");
}

#[tokio::test]
#[ignore = "needs Redis: cargo ehub test"]
async fn requests_at_once_do_not_exceed_the_shared_quota() {
    let namespace = namespace();
    let ((one, _), (other, _)) = (replica(&namespace).await, replica(&namespace).await);
    let (first, second) = tokio::join!(served(&one, PASSWORD, 40), served(&other, PASSWORD, 40));
    assert_eq!(first + second, 20);
}

#[tokio::test]
#[ignore = "needs Redis: cargo ehub test"]
async fn most_requests_cost_no_call_of_redis() {
    let (gateway, store) = replica(&namespace()).await;
    assert_eq!(served(&gateway, ACCOUNT, 600).await, 600);
    // One for each lease, 60 of the user and 600 of the address; a few more where a span ends.
    let calls = store.calls();
    assert!((10 + 1..=600 / 20).contains(&calls), "{calls} calls for 600 requests");
    assert_eq!(served(&gateway, ACCOUNT, 700).await, 600, "the quota is exact");
    let calls = store.calls();
    assert_eq!(served(&gateway, ACCOUNT, 100).await, 0);
    assert!(store.calls() <= calls + 1, "refusals cost none either, but where a span ends");
}

#[tokio::test]
#[ignore = "needs Redis: cargo ehub test"]
async fn leases_of_two_gateways_do_not_exceed_the_quota() {
    let namespace = namespace();
    let ((one, _), (other, _)) = (replica(&namespace).await, replica(&namespace).await);
    let (first, second) =
        tokio::join!(served(&one, ACCOUNT, 1_000), served(&other, ACCOUNT, 1_000));
    assert_eq!(first + second, 1_200, "{first} and {second}");
}

#[tokio::test]
#[ignore = "needs Redis: cargo ehub test"]
async fn budgets_are_forgotten_when_they_are_whole_again() {
    let namespace = namespace();
    let (gateway, _) = replica(&namespace).await;
    gateway.ask(login().from("192.0.2.1")).await.json();
    let redis = redis(&chassis::testing::redis_url(), &namespace);
    let mut connection = redis.connection();
    let key = redis.key("quota:login:address:192.0.2.1");
    let left: i64 = ::redis::cmd("PTTL").arg(key).query_async(&mut connection).await.unwrap();
    assert!((1..=37_800_000).contains(&left), "{left} ms");
}

#[tokio::test]
async fn without_redis_each_gateway_counts_alone() {
    // One address refuses connections; the other takes them and never says a word.
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let refusing = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    for address in [refusing, silent.local_addr().unwrap()] {
        let (one, other) = (alone(address).await, alone(address).await);
        assert_eq!(logins([&one, &other], 60).await, 20 + 20, "{address}");
        assert_eq!(one.code(login().from("192.0.2.1")).await, "RATE_LIMITED");
        let reply = one.ask(Ask::get(ACCOUNT).token(&one.customer())).await;
        assert_eq!(reply.status, 200, "everything else goes on");
    }
}

/// A gateway whose Redis is not there, left alone for the rest of the test after one try.
async fn alone(address: SocketAddr) -> Gateway {
    let config = RedisConfig {
        url: Secret::new(format!("redis://{address}")),
        timeout_ms: 50,
        namespace: namespace(),
    };
    let redis = chassis::redis::connect(&config).unwrap().unwrap();
    let patient = [&LONG[..5], &[("RATE_LIMITS__REDIS_PAUSE_MS", "3600000")]].concat();
    let permits = Arc::new(RedisPermits::new(redis));
    Gateway::changed(&patient, |parts| parts.permits = Some(permits)).await
}

#[tokio::test]
#[ignore = "needs Redis: cargo ehub test"]
async fn gateways_count_together_again_when_redis_is_back() {
    let namespace = namespace();
    let ((one, store), (other, _)) = (replica(&namespace).await, replica(&namespace).await);
    assert_eq!(logins([&other, &other], 15).await, 15);
    store.is_away.store(true, Ordering::SeqCst);
    assert_eq!(logins([&one, &one], 3).await, 3, "counted alone");
    store.is_away.store(false, Ordering::SeqCst);
    assert_eq!(logins([&one, &one], 10).await, 5, "what the other one left");
}

/// Each process goes on from what it has let through, so that two of them stay within twice the
/// quota, also in the window in which Redis fails.
#[tokio::test]
#[ignore = "needs Redis: cargo ehub test"]
async fn without_redis_two_gateways_let_twice_the_quota_through_at_most() {
    let namespace = namespace();
    let ((one, first), (other, second)) = (replica(&namespace).await, replica(&namespace).await);
    assert_eq!(logins([&one, &other], 16).await, 16);
    for store in [&first, &second] {
        store.is_away.store(true, Ordering::SeqCst);
    }
    let alone = logins([&one, &other], 100).await;
    assert_eq!(alone, 24, "20 at each of the two, less the 8 that each has let through");
    for store in [&first, &second] {
        store.is_away.store(false, Ordering::SeqCst);
    }
    assert_eq!(logins([&one, &other], 100).await, 0, "each has let its own through");
}

/// A window that is short enough to pass: what is used of a lease counts where it was used, and
/// what is not comes back.
#[tokio::test]
#[ignore = "needs Redis: cargo ehub test"]
async fn no_stretch_as_long_as_the_window_holds_more_than_the_quota() {
    const QUOTA: usize = 200;
    const WINDOW: Duration = Duration::from_secs(3);
    let namespace = namespace();
    let settings = [
        ("RATE_LIMITS__DEFAULT__REQUESTS", "200"),
        ("RATE_LIMITS__DEFAULT__WINDOW_S", "3"),
        ("RATE_LIMITS__DEFAULT__LEASE", "10"),
    ];
    let mut gateways = Vec::new();
    for _ in 0..2 {
        let store = Counted::new(redis(&chassis::testing::redis_url(), &namespace));
        gateways.push(Gateway::changed(&settings, |parts| parts.permits = Some(store)).await);
    }
    // When each that was let through was sent, and when it was answered.
    let mut allowed: Vec<(Instant, Instant)> = Vec::new();
    let asking = async {
        for gateway in gateways.iter().cycle() {
            let sent = Instant::now();
            let ask = Ask::get("/api/v1/products").from("192.0.2.1");
            if gateway.ask(ask).await.status == 200 {
                allowed.push((sent, Instant::now()));
            }
            if allowed.len() == QUOTA * 3 {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.expect("what is used comes back");
    for (first, (sent, _)) in allowed.iter().enumerate() {
        // Each is counted between the two, so that all of these are within one window.
        let end = *sent + WINDOW;
        let within = allowed[first..].iter().take_while(|(_, answered)| *answered < end).count();
        assert!(within <= QUOTA, "{within} within one window, of {}", allowed.len());
    }
}
