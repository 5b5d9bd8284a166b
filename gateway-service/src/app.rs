//! What is connected to what, and the layers around every request.

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use chassis::auth::{GrpcKeySource, GrpcRevocationFeed, Verifier};
use chassis::discovery::Registry;
use chassis::health::Health;
use chassis::http::{HttpApp, HttpServerConfig};
use chassis::run::{EdgeSources, Endpoint, Host, Service};
use http::header;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::sensitive_headers::SetSensitiveRequestHeadersLayer;

use crate::client::Upstreams;
use crate::config::Config;
use crate::limit::redis::RedisPermits;
use crate::limit::{Limiter, PermitStore};
use crate::middleware::admission::{Admission, admit};
use crate::middleware::bodies::Bodies;
use crate::middleware::client_address::is_trusted;
use crate::middleware::host::{self, Hosts};
use crate::middleware::trace::{RouteMetrics, Tracing, trace};
use crate::middleware::{compression, cors, problems, security};
use crate::state::Gateway;
use crate::{api, openapi, refusal};

/// What the gateway is connected to.
pub struct Parts {
    /// The services behind it.
    pub upstreams: Upstreams,
    /// Checks access tokens.
    pub verifier: Arc<Verifier>,
    /// Knows the instances of the services.
    pub registry: Arc<dyn Registry>,
    /// Knows whether the process is ready.
    pub health: Health,
    /// Where the quotas of all gateways are counted; `None`: in this process alone.
    pub permits: Option<Arc<dyn PermitStore>>,
}

/// The gateway's process.
pub struct App;

impl Service for App {
    const NAME: &'static str = "gateway-service";
    const FACES_OUTSIDE: bool = true;
    const ENV_PREFIX: &'static str = "EH_GATEWAY";
    const DEFAULTS: &'static str = include_str!("../config/default.toml");
    const METRICS: &'static str = include_str!("../metrics.toml");
    type Config = Config;

    async fn build(config: Config, host: &Host) -> anyhow::Result<Endpoint> {
        let channel = |service| host.channel(service, &config.upstream);
        let redis = host.redis(&config.redis)?;
        let issuer = channel("auth-service");
        let sources = EdgeSources {
            keys: Arc::new(GrpcKeySource::new(issuer.clone(), &config.token)),
            revocations: Arc::new(GrpcRevocationFeed::new(issuer, &config.revocations.method)),
            redis: redis.clone(),
        };
        let parts = Parts {
            upstreams: Upstreams::new(channel),
            verifier: host.edge_verifier(&config.token, &config.revocations, sources)?,
            registry: host.registry(),
            health: host.health().clone(),
            permits: redis.map(|redis| Arc::new(RedisPermits::new(redis)) as _),
        };
        let router = router(&config, parts)?;
        Ok(Endpoint::Http(port(&config, router)))
    }
}

/// The public port: what is true of a connection before there is a request.
pub fn port(config: &Config, router: Router) -> HttpApp {
    let limits = HttpServerConfig {
        max_connections_per_address: config.http.max_connections_per_address,
        answer_timeout: config.http.answer_timeout(),
        ..HttpServerConfig::from(&config.server)
    };
    let proxies = config.trusted_proxies.clone();
    HttpApp {
        refuse: refusal::document,
        is_proxy: Arc::new(move |address| is_trusted(&proxies, address)),
        ..HttpApp::new(router, limits)
    }
}

/// Builds the public router: the route table, each route behind its guard, inside the layers.
pub fn router(config: &Config, parts: Parts) -> anyhow::Result<Router> {
    let gateway = Arc::new(Gateway {
        upstreams: parts.upstreams,
        verifier: parts.verifier,
        registry: parts.registry,
        health: parts.health,
        limiter: Limiter::new(&config.rate_limits, parts.permits),
        trusted_proxies: config.trusted_proxies.clone(),
        request_timeout: config.server.request_timeout(),
        bodies: Bodies::new(&config.http),
        timeline_wait: config.http.timeline_wait(),
    });
    let routes = api::table();
    let worth = routes.iter().filter_map(api::Route::worth).collect::<Vec<_>>();
    let admission = Admission::new(&config.shedding, config.server.max_concurrency, worth);
    let mount = |router, route: api::Route| route.mount(router, &gateway);
    let router = routes.into_iter().fold(Router::new(), mount);
    layered(router.with_state(gateway), config, admission)
}

/// The layers, the outermost first. They stand inside the router, which has matched the route
/// already; unmatched paths and wrong methods pass through them too.
fn layered(router: Router, config: &Config, admission: Admission) -> anyhow::Result<Router> {
    let traced = Arc::new(Tracing::new(config, RouteMetrics::new(openapi::operations())));
    let hosts = Arc::new(Hosts::parse(&config.http.allowed_hosts)?);
    let layers = ServiceBuilder::new()
        // Marks the token before anything could print the request.
        .layer(SetSensitiveRequestHeadersLayer::new([header::AUTHORIZATION, header::COOKIE]))
        // Names, traces and measures the request; outside the rest, so that it sees every outcome.
        .layer(from_fn_with_state(traced, trace))
        // Strips asserted identities before anyone could believe them; its response headers
        // belong on everything that leaves, also on preflights.
        .layer(from_fn(security::secure))
        // Answers preflights, which carry no token and must not count against any budget.
        .option_layer(cors::layer(&config.cors)?)
        // Outside the compression, whose work it ends before a client could be slow with it.
        .layer(from_fn(compression::finish))
        // Outside the problems, so that they are compressed too.
        .layer(CompressionLayer::new())
        // Gives every refusal from further inside its one form.
        .layer(from_fn(problems::render))
        // Refuses what is for nobody or for somebody else, preflights aside.
        .layer(from_fn_with_state(hosts, host::check))
        // Turns a panic into a refusal; inside the problems, which render it.
        .layer(CatchPanicLayer::custom(problems::panicked))
        // Sheds what is too much before any work is done for it; the route says what it is worth.
        .layer(from_fn_with_state(admission, admit))
        // Refuses by Content-Length at once, and cuts off bodies that have none.
        .layer(RequestBodyLimitLayer::new(config.http.max_body_bytes));
    Ok(router.layer(layers))
}
