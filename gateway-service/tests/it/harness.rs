//! A gateway in this process, in front of the stand-in for the services, and what is asked of it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use chassis::auth::{FeedPage, GrpcKeySource, Revocations, Verifier};
use chassis::config::ServerConfig;
use chassis::discovery::fixed::FixedRegistry;
use chassis::health::Health;
use chassis::testing::clock::FixedClock;
use chassis::testing::grpc::{Server, channel};
use chassis::testing::tokens::TestIssuer;
use gateway_service::client::Upstreams;
use gateway_service::config::Config;
use gateway_service::limit::Class;
use gateway_service::{App, Parts, app};
use http::{HeaderName, HeaderValue, Method, header};
use proto::auth::v1::GetJwksResponse;
use serde_json::Value;
use tower::ServiceExt;
use uuid::Uuid;

use crate::fleet::{Answer, Fleet};
use crate::replies::Reply;
use crate::samples::{CUSTOMER, ID};

/// How long a test waits for what must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A gateway, and everything a test wants to look into.
pub(crate) struct Gateway {
    pub(crate) router: Router,
    pub(crate) fleet: Fleet,
    pub(crate) issuer: TestIssuer,
    pub(crate) clock: Arc<FixedClock>,
    pub(crate) revocations: Arc<Revocations>,
    pub(crate) health: Health,
    pub(crate) config: Config,
    /// The services' server; stops with the gateway.
    _server: Server,
}

impl Gateway {
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    /// Starts with quotas that no test uses up.
    pub(crate) async fn unlimited() -> Self {
        let quotas = Class::ALL.map(|class| class.name().to_ascii_uppercase());
        let quotas = quotas.map(|class| format!("RATE_LIMITS__{class}__REQUESTS"));
        let settings: Vec<_> = quotas.iter().map(|key| (key.as_str(), "1000000")).collect();
        Self::with(&settings).await
    }

    /// Starts with settings beside the shipped defaults.
    pub(crate) async fn with(settings: &[(&str, &str)]) -> Self {
        Self::changed(settings, |_| {}).await
    }

    /// Starts with other parts than usual.
    pub(crate) async fn changed(
        settings: &[(&str, &str)],
        change: impl FnOnce(&mut Parts),
    ) -> Self {
        Self::assemble(settings, change).await.unwrap()
    }

    pub(crate) async fn try_start(settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        Self::assemble(settings, |_| {}).await
    }

    async fn assemble(
        settings: &[(&str, &str)],
        change: impl FnOnce(&mut Parts),
    ) -> anyhow::Result<Self> {
        let (fleet, config) = (Fleet::default(), config(settings));
        let server = Server::start(fleet.app(), ServerConfig::default()).await;
        let upstream = channel(&[server.endpoint()], &config.upstream);
        let clock = Arc::new(FixedClock::default());
        let issuer = TestIssuer::with_clock(clock.clone());
        fleet.script("GetJwks", [key_set(&issuer)]);
        let source = Arc::new(GrpcKeySource::new(upstream.clone(), &config.token));
        let revocations = Arc::new(Revocations::new(clock.clone()));
        revocations.apply(&FeedPage::default());
        let verifier = Verifier::new(&config.token, source, clock.clone());
        let verifier = Arc::new(verifier.refusing(Arc::clone(&revocations)));
        verifier.refresh_now().await.unwrap();
        fleet.take_calls();
        let health = Health::new();
        health.started();
        let mut parts = Parts {
            upstreams: Upstreams::new(|_| upstream.clone()),
            verifier,
            registry: Arc::new(FixedRegistry::new(&config.discovery).unwrap()),
            health: health.clone(),
            permits: None,
        };
        change(&mut parts);
        let router = app::router(&config, parts)?;
        Ok(Self { router, fleet, issuer, clock, revocations, health, config, _server: server })
    }

    /// The token of [`CUSTOMER`].
    pub(crate) fn customer(&self) -> String {
        self.token_of(CUSTOMER.parse().unwrap(), &["customer"])
    }

    pub(crate) fn admin(&self) -> String {
        self.token_of(ID.parse().unwrap(), &["customer", "admin"])
    }

    pub(crate) fn token_of(&self, user: Uuid, roles: &[&str]) -> String {
        self.issuer.token(user, roles)
    }

    /// Asks, and holds the reply against the documentation.
    pub(crate) async fn ask(&self, ask: Ask) -> Reply {
        let reply = self.send(ask).await;
        reply.check_documented();
        reply
    }

    /// Asks what is answered by a code that the operation never has.
    pub(crate) async fn send(&self, Ask(request): Ask) -> Reply {
        let (method, path) = (request.method().to_string(), request.uri().path().to_owned());
        let response = self.router.clone().oneshot(request).await.unwrap();
        Reply::read(method, path, response).await
    }

    /// The code that a request is refused with.
    pub(crate) async fn code(&self, ask: Ask) -> String {
        self.ask(ask).await.code()
    }
}

/// A request in the making.
pub(crate) struct Ask(Request);

impl Ask {
    pub(crate) fn new(method: &str, path: &str) -> Self {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = Method::from_bytes(method.as_bytes()).unwrap();
        *request.uri_mut() = path.parse().unwrap();
        request.headers_mut().insert(header::HOST, HeaderValue::from_static("gateway.test"));
        Self(request)
    }

    pub(crate) fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    pub(crate) fn post(path: &str) -> Self {
        Self::new("POST", path)
    }

    /// Adds a header to those that there are.
    pub(crate) fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let value = HeaderValue::from_bytes(value.as_ref()).unwrap();
        self.0.headers_mut().append(name.parse::<HeaderName>().unwrap(), value);
        self
    }

    pub(crate) fn token(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    pub(crate) fn body(mut self, body: impl Into<Body>) -> Self {
        *self.0.body_mut() = body.into();
        self
    }

    pub(crate) fn json(self, body: impl Into<Body>) -> Self {
        self.header(header::CONTENT_TYPE.as_str(), "application/json").body(body)
    }

    /// Says which address the connection comes from.
    pub(crate) fn from(mut self, peer: &str) -> Self {
        let peer = SocketAddr::new(peer.parse::<IpAddr>().unwrap(), 4711);
        self.0.extensions_mut().insert(ConnectInfo(peer));
        self
    }
}

/// A login that the services usually accept.
pub(crate) fn login() -> Ask {
    Ask::post("/api/v1/auth/login").json(r#"{"email":"li.lei@example.com","password":"hunter2!"}"#)
}

/// The answer of auth-service with the keys of `issuer`.
pub(crate) fn key_set(issuer: &TestIssuer) -> Answer {
    let jwks = serde_json::to_string(&issuer.key_set()).unwrap();
    Answer::reply(&GetJwksResponse { jwks })
}

/// The shipped defaults, and what a test wants otherwise.
pub(crate) fn config(settings: &[(&str, &str)]) -> Config {
    chassis::testing::config::defaults_with::<App>(settings.iter().copied())
}

/// Waits until `condition` holds.
pub(crate) async fn until(condition: impl Fn() -> bool) {
    let holds = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, holds).await.unwrap();
}

/// The strings in a JSON array.
pub(crate) fn texts(array: &Value) -> Vec<&str> {
    array.as_array().unwrap().iter().map(|item| item.as_str().unwrap()).collect()
}
