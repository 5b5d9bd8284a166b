//! The accept loop.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use metrics::counter;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use super::HttpApp;
use super::connection::Port;
use super::places::{Place, Places};
use crate::shutdown::Shutdown;

/// Pause after the system refused a connection: out of file descriptors, it would spin otherwise.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `app` on `listener` until the soft token, lets running requests finish until the hard
/// token, and returns. Requests carry `ConnectInfo<SocketAddr>`.
pub async fn serve(listener: TcpListener, app: HttpApp, shutdown: Shutdown) {
    let (soft, hard) = (shutdown.soft(), shutdown.hard());
    let entrance = Entrance::new(&app);
    let port = Arc::new(Port::new(&app));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = soft.cancelled() => break,
            accepted = entrance.accept(&listener) => accepted,
        };
        // Forgets the connections that ended meanwhile.
        while connections.try_join_next().is_some() {}
        let Some((stream, peer, places)) = accepted else {
            break;
        };
        let conversation = Arc::clone(&port).converse(stream, peer, soft.clone());
        connections.spawn(async move {
            conversation.await;
            drop(places);
        });
    }
    // New connections are refused from here on, so that callers turn to another instance.
    drop(listener);
    let ended = async { while connections.join_next().await.is_some() {} };
    tokio::select! {
        // Connections that have ended by now are not cut.
        biased;
        () = ended => {}
        () = hard.cancelled() => tracing::warn!("connections cut at the drain deadline"),
    }
    connections.shutdown().await;
}

/// What a connection occupies: a place of the port, and one of its address.
type Occupied = (OwnedSemaphorePermit, Option<Place>);

/// Lets connections in.
struct Entrance<'a> {
    app: &'a HttpApp,
    permits: Arc<Semaphore>,
    places: Arc<Places>,
}

impl<'a> Entrance<'a> {
    fn new(app: &'a HttpApp) -> Self {
        Self {
            app,
            permits: Arc::new(Semaphore::new(app.config.max_connections)),
            places: Places::new(app.config.max_connections_per_address),
        }
    }

    /// Waits for a free place first: a connection that is not accepted costs the process nothing.
    async fn accept(&self, listener: &TcpListener) -> Option<(TcpStream, SocketAddr, Occupied)> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok()?;
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => match self.place(peer) {
                    Ok(place) => return Some((stream, peer, (permit, place))),
                    // Closed at once: its other connections are its own affair.
                    Err(TooMany) => drop(stream),
                },
                Err(error) if concerns_one_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "connection not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn place(&self, peer: SocketAddr) -> Result<Option<Place>, TooMany> {
        if (self.app.is_proxy)(peer.ip().to_canonical()) {
            return Ok(None);
        }
        let place = self.places.take(peer.ip());
        if place.is_none() {
            counter!("http_server_connections_refused_total").increment(1);
        }
        place.map(Some).ok_or(TooMany)
    }
}

/// The address has all the connections that it may have.
struct TooMany;

/// Whether only the connection itself is lost; everything else may well happen again at once.
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::extract::ConnectInfo;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::Notify;
    use tower::ServiceExt;

    use super::*;
    use crate::http::HttpServerConfig;

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
        tasks.spawn(serve(listener, HttpApp::new(router, config), shutdown.clone()));
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

    /// Sends `bytes` and reads until the server closes, which is waited for half as long as it may
    /// take by default.
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
    async fn clients_that_do_not_finish_their_head_are_cut_off() {
        let server = start(hello(), hasty()).await;
        for start in [&b""[..], b"PRI * HT", b"GET / HTTP/1.1\r\nhost:"] {
            let reply = exchange(server.address, start).await;
            assert!(!reply.contains("200"), "{reply}");
        }
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
    async fn what_comes_after_a_request_for_another_protocol_is_no_request() {
        let server = start(hello(), HttpServerConfig::default()).await;
        let upgrade = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n";
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        for ahead in [&b""[..], preface, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"] {
            let reply = exchange(server.address, &[&upgrade[..], ahead].concat()).await;
            assert!(reply.starts_with("HTTP/1.1 200 OK"), "{reply}");
            assert!(reply.contains("\r\nconnection: close\r\n"), "{reply}");
            assert_eq!(reply.matches("HTTP/1.1 ").count(), 1, "{reply}");
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
        // So that a client with a pool of connections does not send its next request here.
        assert!(reply.contains("\r\nconnection: close\r\n"), "{reply}");
        server.tasks.join_next().await.unwrap().unwrap();
    }

    /// Streams that are open at the soft token are answered; the connection takes no more.
    #[tokio::test]
    async fn no_stream_of_a_connection_is_lost_after_the_soft_token() {
        const STREAMS: u32 = 20;
        let (entered, proceed) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let (entering, proceeding) = (entered.clone(), proceed.clone());
        let router = Router::new().route(
            "/",
            get(move || async move {
                entering.add_permits(1);
                proceeding.acquire().await.unwrap().forget();
                "done"
            }),
        );
        let mut server = start(router, HttpServerConfig::default()).await;
        let url = format!("http://{}/", server.address);
        let endpoint = tonic::transport::Endpoint::from_shared(url.clone()).unwrap();
        let client = endpoint.connect().await.unwrap();
        let ask = || {
            let request = http::Request::get(&url).body(tonic::body::Body::empty()).unwrap();
            client.clone().oneshot(request)
        };
        let asking = futures::future::join_all((0..STREAMS).map(|_| ask()));
        let stopping = async {
            entered.acquire_many(STREAMS).await.unwrap().forget();
            server.shutdown.begin();
            while TcpStream::connect(server.address).await.is_ok() {
                tokio::task::yield_now().await;
            }
            proceed.add_permits(STREAMS as usize);
        };
        let (answers, ()) = tokio::join!(asking, stopping);
        for answer in answers {
            assert_eq!(answer.unwrap().status(), 200);
        }
        server.tasks.join_next().await.unwrap().unwrap();
        assert!(ask().await.is_err(), "nobody is there");
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
