//! The accept loop. Unlike an ordinary server's it can leave a call without any answer.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::Service;

use super::http::Lost;

/// Connections at once; further ones wait.
const CONNECTIONS_MAX: usize = 512;
/// Longest time for the head of a request.
const HEAD_LIMIT: Duration = Duration::from_secs(10);
/// Pause after the system refused a connection: out of file descriptors, it would spin otherwise.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Time for calls under way to be answered after the order to stop.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);

/// The connection ends here, and the client never learns why.
#[derive(Debug)]
struct NoAnswer;

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the answer is lost")
    }
}

impl std::error::Error for NoAnswer {}

/// Serves until it is told to stop, and answers the calls that are under way then.
pub(super) async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = async {
                let permit = Arc::clone(&permits).acquire_owned().await;
                (listener.accept().await, permit)
            } => accepted,
        };
        let (Ok((stream, _)), Ok(permit)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (router, watcher) = (router.clone(), graceful.watcher());
        connections.spawn(async move {
            let _permit = permit;
            let connection = watcher.watch(converse(stream, router));
            // An error is a client that left, or an answer that was lost on purpose.
            let _ = pin!(connection).await;
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(DRAIN_LIMIT, graceful.shutdown()).await;
    connections.shutdown().await;
}

type Conversation<S> = http1::Connection<TokioIo<TcpStream>, S>;

fn converse(
    stream: TcpStream,
    router: Router,
) -> Conversation<
    impl hyper::service::Service<
        hyper::Request<Incoming>,
        Response = Response,
        Error = NoAnswer,
        Future: Send,
    >,
> {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let mut router = router.clone();
        async move {
            let response = match router.call(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            };
            let is_lost = response.extensions().get::<Lost>().is_some();
            if is_lost { Err(NoAnswer) } else { Ok(response) }
        }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_LIMIT)
        .serve_connection(TokioIo::new(stream), service)
}
