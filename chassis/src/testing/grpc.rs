//! In-process gRPC servers for tests, on a free port of the loopback interface.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::{ServerConfig, UpstreamConfig};
use crate::discovery::Endpoint;
use crate::grpc::server::{self, Serving};
use crate::grpc::{Channel, GrpcApp};
use crate::health::Health;
use crate::identity::Identity;

/// A running server; dropping it stops it.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    task: Option<JoinHandle<Result<(), tonic::transport::Error>>>,
}

impl Server {
    /// Starts serving `app` with the given limits.
    ///
    /// # Panics
    ///
    /// When no port can be bound.
    pub async fn start(app: GrpcApp, config: ServerConfig) -> Self {
        Self::start_as(app, config, None).await
    }

    /// The same as a service that proves who it is, and demands it of its callers.
    ///
    /// # Panics
    ///
    /// When no port can be bound.
    #[expect(clippy::expect_used, reason = "a test cannot go on without its server")]
    #[expect(clippy::disallowed_methods, reason = "the test's runtime ends the task")]
    pub async fn start_as(
        app: GrpcApp,
        config: ServerConfig,
        identity: Option<Arc<Identity>>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let stop = CancellationToken::new();
        let health = Health::new();
        health.started();
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let serving = Serving { config: &config, health, reflection: true, identity };
            server::serve(app, listener, serving, stopped).await
        });
        Self { address, stop, task: Some(task) }
    }

    /// Where the server listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the server listens, as a registry reports it.
    pub fn endpoint(&self) -> Endpoint {
        Endpoint::new(self.address.ip().to_string(), self.address.port())
    }

    /// Stops the server and waits until its calls have ended.
    ///
    /// # Panics
    ///
    /// When the server failed.
    #[expect(clippy::expect_used, reason = "a server that failed fails its test")]
    pub async fn stop(mut self) {
        self.stop.cancel();
        if let Some(task) = self.task.take() {
            task.await.expect("the server did not panic").expect("the server did not fail");
        }
    }

    /// Ends the server without waiting for its calls; no new ones are accepted.
    pub fn kill(mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Serves `app` with default limits; the channel is the one services use among themselves.
pub async fn serve(app: GrpcApp) -> (Channel, Server) {
    let server = Server::start(app, ServerConfig::default()).await;
    let channel = channel(&[server.endpoint()], &UpstreamConfig::default());
    (channel, server)
}

/// Returns a channel to fixed endpoints.
pub fn channel(endpoints: &[Endpoint], config: &UpstreamConfig) -> Channel {
    let (_sender, receiver) = watch::channel(Arc::from(endpoints));
    Channel::new("test-service", config, receiver)
}

/// Returns a channel to instances of `service` at fixed endpoints, for whoever `identity` is.
pub fn channel_as(
    identity: Option<Arc<Identity>>,
    service: &'static str,
    endpoints: &[Endpoint],
    config: &UpstreamConfig,
) -> Channel {
    let (_sender, receiver) = watch::channel(Arc::from(endpoints));
    Channel::with_identity(service, config, receiver, identity)
}
