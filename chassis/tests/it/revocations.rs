//! Following revocations at an issuer of several replicas.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use chassis::auth::{Follower, FollowerParts, GrpcRevocationFeed, Revocations, Verifier};
use chassis::clock::SystemClock;
use chassis::config::{RevocationConfig, ServerConfig, UpstreamConfig};
use chassis::discovery::Endpoint;
use chassis::grpc::GrpcApp;
use chassis::testing::grpc::{Server, channel};
use chassis::testing::tokens::TestIssuer;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::support::{Echo, METHOD, eventually};

/// Failures after which a replica is left out.
const FAILURES: usize = 3;

/// A read that is given up ends by the deadline of its call, and is held against the replica that let
/// it wait: else every other read would go there for ever.
#[tokio::test]
async fn a_replica_that_hangs_is_soon_left_out() {
    let [hung, good] = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
    let answered = Arc::clone(&good);
    // An empty message is the page of a feed in which there is nothing.
    let empty = Echo::routes(move |_| {
        answered.fetch_add(1, Ordering::SeqCst);
        async { Ok(String::new()) }
    });
    let silent = frozen(Arc::clone(&hung)).await;
    let empty = Server::start(GrpcApp::new(empty), ServerConfig::default()).await;
    let upstream = UpstreamConfig {
        connect_timeout_ms: 100,
        eject_after_failures: 3,
        eject_for_ms: 60_000,
        ..UpstreamConfig::default()
    };
    let issuer = channel(&[silent, empty.endpoint()], &upstream);
    let config = RevocationConfig {
        method: METHOD.to_owned(),
        resync_ms: 20,
        min_interval_ms: 1,
        timeout_ms: 200,
        ..RevocationConfig::default()
    };
    let (keys, clock) = (TestIssuer::new(), Arc::new(SystemClock));
    let source = Arc::new(keys.clone());
    let follower = Follower::new(FollowerParts {
        revocations: Arc::new(Revocations::new(clock.clone())),
        verifier: Arc::new(Verifier::new(keys.config(), source, clock)),
        feed: Arc::new(GrpcRevocationFeed::new(issuer, &config.method)),
        bell: Arc::new(Notify::new()),
        last_good: None,
        config,
    });
    let stop = CancellationToken::new();
    let observed = async {
        let hung = || hung.load(Ordering::SeqCst);
        eventually("a silent replica is asked", || async { hung() >= FAILURES }).await;
        let before = good.load(Ordering::SeqCst);
        let has_gone_on = || async { good.load(Ordering::SeqCst) >= before + 30 };
        eventually("the other one answers", has_gone_on).await;
        assert_eq!(hung(), FAILURES, "it was asked again and again");
        stop.cancel();
    };
    tokio::join!(follower.run(stop.clone()), observed);
    empty.stop().await;
}

/// An instance that takes calls and answers none, not even when their time is over, as one whose
/// process stands still.
async fn frozen(asked: Arc<AtomicUsize>) -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let asked = Arc::clone(&asked);
            let calls = service_fn(move |_: Request<Incoming>| {
                asked.fetch_add(1, Ordering::SeqCst);
                std::future::pending::<Result<Response<String>, Infallible>>()
            });
            tokio::spawn(
                http2::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), calls),
            );
        }
    });
    Endpoint::new(address.ip().to_string(), address.port())
}
