//! The gRPC server of every service.

use std::sync::Arc;
use std::time::Duration;

use prost::Message;
use prost_types::FileDescriptorSet;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::{Error, Server};
use tower::ServiceBuilder;

use super::Callers;
use super::accept::incoming;
use super::health::HealthAnswers;
use super::layer::{
    Admission, Admitted, Authn, CatchPanic, Deadline, Measured, MessageSize, Proof, Traced, Wrap,
};
use super::metrics::{Methods, Side};
use crate::auth::Verifier;
use crate::config::ServerConfig;
use crate::health::Health;
use crate::identity::Identity;

/// Streams per connection. Callers use one connection per instance, so h2's default of 200 would
/// bound the calls in flight before our own limit, and make them queue instead of being refused.
const STREAMS_MAX: u32 = 4096;

/// How often an idle connection is probed, so that those of dead peers do not pile up.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);

/// How long a probe may stay unanswered.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Streams a peer may open and reset before they were accepted (CVE-2023-44487).
const PENDING_RESETS_MAX: usize = 64;

/// Headers of a request in bytes: a token, a trace context and little else.
const HEADERS_BYTES_MAX: u32 = 16 * 1024;

/// What a service serves: its routes and what belongs to them.
pub struct GrpcApp {
    routes: Routes,
    verifier: Option<Arc<Verifier>>,
    descriptors: &'static [u8],
    public: &'static [&'static str],
    callers: Option<Callers>,
}

impl GrpcApp {
    /// Starts from the service's own routes.
    pub fn new(routes: Routes) -> Self {
        Self { routes, verifier: None, descriptors: &[], public: &[], callers: None }
    }

    /// Verifies the tokens that calls bring; without this every call is anonymous.
    #[must_use]
    pub fn auth(mut self, verifier: Arc<Verifier>) -> Self {
        self.verifier = Some(verifier);
        self
    }

    /// Gives the encoded descriptors of the contract: they name the methods in metrics, and
    /// describe them to tools where reflection is on.
    #[must_use]
    pub fn reflection(mut self, descriptors: &'static [u8]) -> Self {
        self.descriptors = descriptors;
        self
    }

    /// Names the methods (`/pkg.Service/Method`) that do not look at tokens, such as the login.
    #[must_use]
    pub fn public(mut self, methods: &'static [&'static str]) -> Self {
        self.public = methods;
        self
    }

    /// Says which services may call which method. Without it nobody may who proves who it is.
    #[must_use]
    pub fn callers(mut self, callers: Callers) -> Self {
        self.callers = Some(callers);
        self
    }

    /// Puts the layers around the service's own routes.
    fn layered(self, config: &ServerConfig, proof: Proof) -> Routes {
        let layers = ServiceBuilder::new()
            // Counts everything, including what the layers below refuse; hence outermost.
            .layer(Wrap(Measured::new(methods_of(self.descriptors))))
            // The span has to be open before anything below logs.
            .layer(Wrap(Traced))
            // Below the two observers, so that a panic shows in the metrics and in the span.
            .layer(Wrap(CatchPanic))
            // Refuses services that have no business here, before any work is done for them.
            .layer(Wrap(Admitted::new(self.callers, proof)))
            // Starts the clock before any work is done, and opens the context for all of it.
            .layer(Wrap(Deadline::new(config.request_timeout())))
            // Refuses before the costly part: verifying a signature is work too.
            .layer(Wrap(Admission::new(config.max_concurrency)))
            // Nearer to the handler than all that refuses, none of which it has to correct.
            .layer(Wrap(MessageSize))
            // Innermost: the handler gets a verified caller or none.
            .layer(Wrap(Authn::new(self.verifier, self.public)));
        Routes::from(self.routes.into_axum_router().layer(layers))
    }
}

/// How an app is served.
pub struct Serving<'c> {
    /// Limits and timeouts.
    pub config: &'c ServerConfig,
    /// What the health protocol answers.
    pub health: Health,
    /// Whether tools may ask for the contract; off in production.
    pub reflection: bool,
    /// Who this is; callers must prove who they are, unless its mode lets them in without. Without
    /// an identity the port is plain text.
    pub identity: Option<Arc<Identity>>,
}

/// Serves `app` on `listener` until `stop` is cancelled, and returns when the calls then in
/// flight have ended.
pub async fn serve(
    app: GrpcApp,
    listener: TcpListener,
    serving: Serving<'_>,
    stop: CancellationToken,
) -> Result<(), Error> {
    let descriptors = app.descriptors;
    // Probes and reflection stay outside the layers: a probe must be answered under overload. They
    // are for everybody who got through the handshake, and tell nothing that is secret.
    let is_demanded = serving.identity.as_deref().is_some_and(Identity::demands_proof);
    let proof = if is_demanded { Proof::Demanded } else { Proof::Optional };
    let mut routes = app.layered(serving.config, proof);
    routes = routes.add_service(HealthAnswers::server(serving.health, stop.clone()));
    if serving.reflection && !descriptors.is_empty() {
        routes = add_reflection(routes, descriptors);
    }
    let mut server = Server::builder();
    if let Some(identity) = &serving.identity {
        // A connection outlives neither the caller's right nor its certificate for long.
        server = server.max_connection_age(identity.connection_max_age());
    }
    server
        .max_concurrent_streams(STREAMS_MAX)
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .http2_max_pending_accept_reset_streams(Some(PENDING_RESETS_MAX))
        .http2_max_header_list_size(HEADERS_BYTES_MAX)
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming(listener, serving.identity), stop.cancelled_owned())
        .await
}

/// Adds both versions of the protocol: newer tools speak v1, many still v1alpha.
fn add_reflection(routes: Routes, descriptors: &'static [u8]) -> Routes {
    let builder = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(descriptors)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    match (builder().build_v1(), builder().build_v1alpha()) {
        (Ok(v1), Ok(v1alpha)) => routes.add_service(v1).add_service(v1alpha),
        (Err(error), _) | (_, Err(error)) => {
            tracing::warn!(%error, "reflection is off");
            routes
        }
    }
}

/// Makes the metrics of every method of the contract known.
fn methods_of(descriptors: &[u8]) -> Methods {
    let methods = Methods::new(Side::Server);
    let set = FileDescriptorSet::decode(descriptors).unwrap_or_default();
    for file in &set.file {
        for service in &file.service {
            for method in &service.method {
                let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                methods.learn(&path);
            }
        }
    }
    methods
}
