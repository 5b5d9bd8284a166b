//! The accept loop.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::Response;
use http::{Request, StatusCode, Version, header};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tower::Service;

use super::linger::Lingering;
use super::{HttpServerConfig, unread};
use crate::shutdown::Shutdown;

/// Pause after the system refused a connection: out of file descriptors, it would spin otherwise.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `router` on `listener` until the soft token, lets running requests finish until the
/// hard token, and returns. Requests carry `ConnectInfo<SocketAddr>`.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    config: HttpServerConfig,
    shutdown: Shutdown,
) {
    let (soft, hard) = (shutdown.soft(), shutdown.hard());
    let permits = Arc::new(Semaphore::new(config.max_connections));
    let port = Arc::new(Port::new(router, &config));
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = soft.cancelled() => break,
            accepted = accept(&listener, &permits) => accepted,
        };
        // Forgets the connections that ended meanwhile.
        while connections.try_join_next().is_some() {}
        let Some((stream, peer, permit)) = accepted else {
            break;
        };
        let port = Arc::clone(&port);
        let watcher = graceful.watcher();
        connections.spawn(async move {
            port.converse(stream, peer, watcher).await;
            drop(permit);
        });
    }
    // New connections are refused from here on, so that callers turn to another instance.
    drop(listener);
    tokio::select! {
        // Connections that have ended by now are not cut.
        biased;
        () = graceful.shutdown() => {}
        () = hard.cancelled() => tracing::warn!("connections cut at the drain deadline"),
    }
    connections.shutdown().await;
}

type Accepted = (TcpStream, SocketAddr, OwnedSemaphorePermit);

/// Waits for a free place first: a connection that is not accepted costs the process nothing.
async fn accept(listener: &TcpListener, permits: &Arc<Semaphore>) -> Option<Accepted> {
    let permit = Arc::clone(permits).acquire_owned().await.ok()?;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return Some((stream, peer, permit)),
            Err(error) if concerns_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "connection not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Whether only the connection itself is lost; everything else may well happen again at once.
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}

/// What all connections of one port share.
struct Port {
    router: Router,
    builder: auto::Builder<TokioExecutor>,
    first_request_within: Duration,
}

impl Port {
    fn new(router: Router, config: &HttpServerConfig) -> Self {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            // Without a timer the timeout below would be ignored.
            .timer(TokioTimer::new())
            .header_read_timeout(config.header_read_timeout)
            .max_buf_size(config.max_header_bytes as usize);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_header_list_size(config.max_header_bytes)
            .max_concurrent_streams(config.max_streams)
            // Finds peers that vanished without a word.
            .keep_alive_interval(config.keep_alive_interval)
            .keep_alive_timeout(config.keep_alive_timeout);
        Self { router, builder, first_request_within: config.header_read_timeout }
    }

    async fn converse(&self, stream: TcpStream, peer: SocketAddr, watcher: Watcher) {
        // Nagle's algorithm would hold back small replies until the peer's delayed acknowledgement.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "delay of small packets stays on");
        }
        let asked = Arc::new(AtomicBool::new(false));
        let service = service_fn({
            let asked = Arc::clone(&asked);
            move |request: Request<Incoming>| {
                asked.store(true, Ordering::Relaxed);
                answer(self.router.clone(), request, peer)
            }
        });
        let connection =
            self.builder.serve_connection(TokioIo::new(Lingering::new(stream)), service);
        let mut connection = pin!(watcher.watch(connection));
        // The header timeout begins only when the protocol version is known, so a client that
        // sends nothing, or half of HTTP/2's preface, is shown the door here.
        let ended = tokio::select! {
            ended = &mut connection => ended,
            () = tokio::time::sleep(self.first_request_within) => {
                if !asked.load(Ordering::Relaxed) {
                    return;
                }
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(error = %error, "connection ended early");
        }
    }
}

async fn answer(
    mut router: Router,
    mut request: Request<Incoming>,
    peer: SocketAddr,
) -> Result<Response, Infallible> {
    if !names_one_host(&request) {
        let mut refusal = Response::new(Body::empty());
        *refusal.status_mut() = StatusCode::BAD_REQUEST;
        return Ok(refusal);
    }
    request.extensions_mut().insert(ConnectInfo(peer));
    let (request, reading) = unread::watch(request);
    let mut response = router.call(request).await?;
    reading.announce_close(&mut response);
    Ok(response)
}

/// Whether everyone on the way understood the same host (RFC 9112, section 3.2). HTTP/2 has a
/// pseudo-header instead, and HTTP/1.0 knows no hosts.
fn names_one_host(request: &Request<Incoming>) -> bool {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    request.version() != Version::HTTP_11 || (hosts.next().is_some() && hosts.next().is_none())
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::Notify;

    use super::*;

    struct Server {
        address: SocketAddr,
        shutdown: Shutdown,
        tasks: JoinSet<()>,
    }

    async fn start(router: Router, config: HttpServerConfig) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = Shutdown::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, router, config, shutdown.clone()));
        Server { address, shutdown, tasks }
    }

    fn hello() -> Router {
        Router::new().route(
            "/",
            get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move {
                format!("hello {}", peer.ip())
            }),
        )
    }

    fn hasty() -> HttpServerConfig {
        HttpServerConfig {
            header_read_timeout: Duration::from_millis(100),
            ..HttpServerConfig::default()
        }
    }

    /// Sends `bytes` and reads until the server closes.
    async fn exchange(address: SocketAddr, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut reply = Vec::new();
        let _ = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut reply))
            .await
            .expect("the server did not close the connection");
        String::from_utf8_lossy(&reply).into_owned()
    }

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

    #[tokio::test]
    async fn requests_are_answered_and_know_their_peer() {
        let server = start(hello(), HttpServerConfig::default()).await;
        let reply = exchange(server.address, REQUEST).await;
        assert!(reply.starts_with("HTTP/1.1 200 OK"), "{reply}");
        assert!(reply.ends_with("hello 127.0.0.1"), "{reply}");
    }

    #[tokio::test]
    async fn a_request_of_http_1_1_names_one_host() {
        let server = start(hello(), HttpServerConfig::default()).await;
        for (head, expected) in [
            ("GET / HTTP/1.1\r\n", "400"),
            ("GET / HTTP/1.1\r\nhost: x\r\nhost: x\r\n", "400"),
            ("GET / HTTP/1.1\r\nhost: x\r\n", "200"),
            ("GET / HTTP/1.0\r\n", "200"),
        ] {
            let request = format!("{head}connection: close\r\n\r\n");
            let reply = exchange(server.address, request.as_bytes()).await;
            assert!(reply.split(' ').nth(1) == Some(expected), "{head}: {reply}");
        }
    }

    #[tokio::test]
    async fn clients_that_do_not_finish_their_head_are_cut_off() {
        let server = start(hello(), hasty()).await;
        let begun = Instant::now();
        for start in [&b""[..], b"PRI * HT", b"GET / HTTP/1.1\r\nhost:"] {
            let reply = exchange(server.address, start).await;
            assert!(!reply.contains("200"), "{reply}");
        }
        assert!(begun.elapsed() < Duration::from_secs(4));
    }

    #[tokio::test]
    async fn a_large_head_is_refused() {
        let server = start(hello(), HttpServerConfig::default()).await;
        let head = format!("GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "a".repeat(64 * 1024));
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let _ = stream.write_all(head.as_bytes()).await;
        let mut reply = [0; 12];
        if stream.read_exact(&mut reply).await.is_ok() {
            assert_eq!(&reply, b"HTTP/1.1 431");
        }
    }

    #[tokio::test]
    async fn connections_over_the_limit_wait_for_a_place() {
        let config = HttpServerConfig { max_connections: 1, ..hasty() };
        let server = start(hello(), config).await;
        let _occupied = TcpStream::connect(server.address).await.unwrap();
        let reply = exchange(server.address, REQUEST).await;
        assert!(reply.starts_with("HTTP/1.1 200 OK"), "{reply}");
    }

    #[tokio::test]
    async fn running_requests_finish_after_the_soft_token() {
        let (entered, proceed) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (entering, proceeding) = (entered.clone(), proceed.clone());
        let router = Router::new().route(
            "/",
            get(move || async move {
                entering.notify_one();
                proceeding.notified().await;
                "done"
            }),
        );
        let mut server = start(router, HttpServerConfig::default()).await;
        let asking = exchange(server.address, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n");
        let stopping = async {
            entered.notified().await;
            server.shutdown.begin();
            // The port is closed while the request still runs.
            while TcpStream::connect(server.address).await.is_ok() {
                tokio::task::yield_now().await;
            }
            proceed.notify_one();
        };
        let (reply, ()) = tokio::join!(asking, stopping);
        assert!(reply.ends_with("done"), "{reply}");
        server.tasks.join_next().await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn the_hard_token_ends_what_still_runs() {
        let entered = Arc::new(Notify::new());
        let entering = entered.clone();
        let router = Router::new().route(
            "/",
            get(move || async move {
                entering.notify_one();
                std::future::pending::<()>().await;
            }),
        );
        let mut server = start(router, HttpServerConfig::default()).await;
        let asking = exchange(server.address, REQUEST);
        let stopping = async {
            entered.notified().await;
            server.shutdown.force();
            server.tasks.join_next().await.unwrap().unwrap();
        };
        let (reply, ()) = tokio::join!(asking, stopping);
        assert_eq!(reply, "");
    }
}
