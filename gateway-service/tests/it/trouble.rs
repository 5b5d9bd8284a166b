//! Services that are away, late, or broken, and a gateway that has too much to do.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chassis::config::UpstreamConfig;
use chassis::discovery::{Endpoint, Registration, Registry, RegistryError, ServiceView};
use chassis::error::{ErrorCode, Kind, codes};
use chassis::testing::grpc::channel;
use gateway_service::client::Upstreams;
use prost_types::Timestamp;
use proto::auth::v1 as auth;
use proto::order::v1 as order;
use proto::user::v1 as user;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tonic::Code;
use tower::ServiceExt;

use crate::fleet::Answer;
use crate::harness::{Ask, Gateway, login, until};
use crate::samples;

fn read_me(gateway: &Gateway) -> Ask {
    Ask::get("/api/v1/users/me").token(&gateway.customer())
}

#[tokio::test]
async fn every_code_of_the_catalogue_arrives_as_its_page_says() {
    let gateway = Gateway::start().await;
    for page in proto::errors::PAGES {
        let code = ErrorCode::new(page.code, Kind::FailedPrecondition);
        gateway.fleet.script("GetUser", [Answer::code(code)]);
        let reply = gateway.send(read_me(&gateway)).await;
        let problem = reply.problem();
        assert_eq!(problem["code"], page.code);
        assert_eq!(problem["detail"], "what happened this time");
    }
}

#[tokio::test]
async fn a_service_that_is_away_is_no_fault_of_the_client() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refusing = [Endpoint::new("127.0.0.1", nobody.port())];
    for endpoints in [&refusing[..], &[]] {
        let away = channel(endpoints, &UpstreamConfig::default());
        let gateway =
            Gateway::changed(&[], |parts| parts.upstreams = Upstreams::new(|_| away.clone())).await;
        for ask in [read_me(&gateway), login(), Ask::get("/api/v1/products")] {
            let reply = gateway.ask(ask).await;
            assert_eq!(reply.code(), "SERVICE_UNAVAILABLE");
            assert!(!reply.text().contains("127.0.0.1"), "{}", reply.text());
        }
    }
}

#[tokio::test]
async fn a_service_says_how_long_to_stay_away() {
    let gateway = Gateway::start().await;
    let busy = Answer::later(codes::SERVICE_UNAVAILABLE, Duration::from_secs(7));
    gateway.fleet.script("GetUser", [busy]);
    let reply = gateway.ask(read_me(&gateway)).await;
    assert_eq!(reply.code(), "SERVICE_UNAVAILABLE");
    assert_eq!(reply.header("retry-after"), Some("7"));
    assert_eq!(gateway.fleet.take_calls().len(), 1, "and is not asked again before");
}

#[tokio::test]
async fn what_stands_in_between_keeps_its_words_to_itself() {
    let gateway = Gateway::start().await;
    for (code, expected) in [
        (Code::Unavailable, "SERVICE_UNAVAILABLE"),
        (Code::ResourceExhausted, "SERVICE_UNAVAILABLE"),
        (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"),
        (Code::Cancelled, "DEADLINE_EXCEEDED"),
        (Code::Unauthenticated, "TOKEN_INVALID"),
        (Code::Unknown, "INTERNAL"),
        (Code::Unimplemented, "INTERNAL"),
        (Code::Internal, "INTERNAL"),
        (Code::DataLoss, "INTERNAL"),
    ] {
        gateway.fleet.script("GetUser", [Answer::foreign(code)]);
        let reply = gateway.ask(read_me(&gateway)).await;
        assert_eq!(reply.code(), expected, "{code:?}");
        for secret in ["10.0.0.7", "tcp"] {
            assert!(!reply.text().contains(secret), "{}", reply.text());
        }
    }
}

#[tokio::test]
async fn a_service_that_is_silent_is_not_waited_for() {
    for setting in ["UPSTREAM__TIMEOUT_MS", "SERVER__REQUEST_TIMEOUT_MS"] {
        let gateway = Gateway::with(&[(setting, "200")]).await;
        gateway.fleet.script("GetUser", [Answer::Silence]);
        gateway.fleet.script("Login", [Answer::Silence]);
        assert_eq!(gateway.code(read_me(&gateway)).await, "DEADLINE_EXCEEDED", "{setting}");
        assert_eq!(gateway.code(login()).await, "DEADLINE_EXCEEDED", "{setting}");
        assert!(gateway.fleet.take_calls().len() <= 2, "and not asked again");
    }
}

/// As in a rolling update, in which a service is newer than the gateway.
#[tokio::test]
async fn a_code_of_a_later_version_is_told_by_its_kind() {
    let gateway = Gateway::start().await;
    for (kind, status) in [(Kind::RateLimited, 429), (Kind::NotFound, 404), (Kind::Aborted, 409)] {
        gateway.fleet.script("GetUser", [Answer::code(ErrorCode::new("SOMETHING_NEW", kind))]);
        let reply = gateway.send(read_me(&gateway)).await;
        assert_eq!((reply.status, &*reply.code()), (status, "SOMETHING_NEW"));
        assert!(reply.text().contains("what happened this time"));
    }
}

#[tokio::test]
async fn answers_that_break_the_contract_are_not_passed_on() {
    let gateway = Gateway::start().await;
    let account = samples::account;
    let answer = |user| Answer::reply(&user::GetUserResponse { user });
    let late = Some(Timestamp { seconds: i64::MAX, nanos: 0 });
    let odd = Some(Timestamp { seconds: 0, nanos: -1 });
    for (what, answer) in [
        ("nothing", answer(None)),
        ("no status", answer(Some(user::User { status: 0, ..account() }))),
        ("unknown status", answer(Some(user::User { status: 99, ..account() }))),
        ("no time", answer(Some(user::User { created_at: None, ..account() }))),
        ("a time out of range", answer(Some(user::User { updated_at: late, ..account() }))),
        ("a time that is none", answer(Some(user::User { updated_at: odd, ..account() }))),
    ] {
        gateway.fleet.script("GetUser", [answer]);
        let reply = gateway.ask(read_me(&gateway)).await;
        assert_eq!(reply.code(), "UPSTREAM_INVALID", "{what}");
    }
    let login_without_tokens = Answer::reply(&auth::LoginResponse::default());
    gateway.fleet.script("Login", [login_without_tokens]);
    assert_eq!(gateway.code(login()).await, "UPSTREAM_INVALID");
    let free = order::Product { unit_price: None, ..samples::product() };
    gateway
        .fleet
        .script("GetProduct", [Answer::reply(&order::GetProductResponse { product: Some(free) })]);
    assert_eq!(gateway.code(Ask::get("/api/v1/products/A")).await, "UPSTREAM_INVALID");
    let keys = auth::GetJwksResponse { jwks: "{\"keys\":".to_owned() };
    gateway.fleet.script("GetJwks", [Answer::reply(&keys)]);
    assert_eq!(gateway.code(Ask::get("/.well-known/jwks.json")).await, "UPSTREAM_INVALID");
    gateway.fleet.script("GetUser", [Answer::Reply(vec![0xff; 9])]);
    assert_eq!(gateway.code(read_me(&gateway)).await, "INTERNAL", "not even a message");
}

/// A registry that breaks, gently or not.
struct Broken {
    panics: bool,
}

#[async_trait]
impl Registry for Broken {
    async fn register(&self, _: Registration) -> Result<(), RegistryError> {
        Ok(())
    }

    async fn deregister(&self, _: &str) -> Result<(), RegistryError> {
        Ok(())
    }

    fn watch(&self, _: &str) -> watch::Receiver<Arc<[Endpoint]>> {
        watch::Sender::new(Arc::from([])).subscribe()
    }

    async fn services(&self) -> Result<Vec<ServiceView>, RegistryError> {
        assert!(!self.panics, "secret of the registry");
        Err(RegistryError::Unavailable("secret of the registry".into()))
    }
}

#[tokio::test]
async fn a_broken_part_breaks_one_request_only() {
    for (panics, expected) in [(true, "INTERNAL"), (false, "SERVICE_UNAVAILABLE")] {
        let broken = Arc::new(Broken { panics });
        let gateway = Gateway::changed(&[], |parts| parts.registry = broken).await;
        let ask = Ask::get("/api/v1/admin/services").token(&gateway.admin());
        let reply = gateway.ask(ask).await;
        assert_eq!(reply.code(), expected);
        assert!(!reply.text().contains("secret"), "{}", reply.text());
        assert_eq!(gateway.ask(read_me(&gateway)).await.status, 200);
    }
}

#[tokio::test]
async fn what_is_too_much_is_refused_at_once() {
    let gateway = Gateway::with(&[("SERVER__MAX_CONCURRENCY", "1")]).await;
    gateway.fleet.script("GetUser", [Answer::Silence, Answer::Usual]);
    let mut running = JoinSet::new();
    let slow = http::Request::get("/api/v1/users/me")
        .header("host", "gateway.test")
        .header("authorization", format!("Bearer {}", gateway.customer()))
        .body(axum::body::Body::empty())
        .unwrap();
    running.spawn(gateway.router.clone().oneshot(slow));
    until(|| gateway.fleet.has_calls()).await;
    for path in ["/livez", "/readyz"] {
        assert_eq!(gateway.ask(Ask::get(path)).await.status, 200, "{path}");
    }
    for path in ["/api/v1/products", "/docs/"] {
        let reply = gateway.ask(Ask::get(path)).await;
        assert_eq!(reply.code(), "SERVICE_UNAVAILABLE", "{path}");
        assert_eq!(reply.header("retry-after"), Some("1"));
    }
    running.shutdown().await;
    assert_eq!(gateway.ask(read_me(&gateway)).await.status, 200, "the place is free again");
}
