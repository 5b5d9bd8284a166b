//! One connection, from its first byte to its last.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use bytes::{BufMut, BytesMut};
use http::{Request, Response, StatusCode, Version, header};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tower::Service;

use super::bounds::HeadBounds;
use super::frames::{FrameLimits, FrameMeter};
use super::linger::Lingering;
use super::progress::{Answer, Late, Limits, Progress};
use super::refusal::{self, CLOSE, Refuse, path_of, shown, to_wire};
use super::requests::RequestScan;
use super::unread;
use super::wire::{Watch, Wire};
use super::{HttpApp, HttpServerConfig};

/// What a client of HTTP/2 says first (RFC 9113, section 3.4). No method of HTTP/1 is called so.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Time in which a peer must take the last words on its connection.
const LAST_WORDS: Duration = Duration::from_secs(2);

type Answering = Pin<Box<dyn Future<Output = Result<Response<Answer>, Infallible>> + Send>>;

/// What all connections of one port share.
pub(super) struct Port {
    router: Router,
    refuse: Refuse,
    bounds: HeadBounds,
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
    limits: Limits,
    frames: FrameLimits,
}

/// What one connection is served with.
struct Talk {
    port: Arc<Port>,
    peer: SocketAddr,
    progress: Arc<Progress>,
    soft: CancellationToken,
}

/// How a conversation in HTTP/1 ended.
enum End {
    /// hyper has nothing more to do.
    Over(hyper::Result<()>),
    /// The peer was too slow.
    Late(Late),
}

impl Port {
    pub(super) fn new(app: &HttpApp) -> Self {
        let config = &app.config;
        let bounds = HeadBounds::new(config.max_header_bytes);
        Self {
            router: app.router.clone(),
            refuse: app.refuse,
            bounds,
            http1: http1_builder(config),
            http2: http2_builder(config, bounds),
            limits: Limits { head: config.header_read_timeout, answer: config.answer_timeout },
            frames: FrameLimits {
                control_frames: config.max_control_frames,
                streams: config.max_streams,
            },
        }
    }

    /// Talks until the peer leaves, is too slow, or `soft` is cancelled and nothing runs any more.
    pub(super) async fn converse(
        self: Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        soft: CancellationToken,
    ) {
        // Nagle's algorithm would hold back small replies until the peer's delayed acknowledgement.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "delay of small packets stays on");
        }
        let mut stream = Lingering::new(stream);
        let talk = Talk { port: self, peer, progress: Progress::new(), soft };
        let mut opening = BytesMut::new();
        let opened = tokio::select! {
            opened = open(&mut stream, &mut opening) => opened.is_ok(),
            _late = talk.progress.overdue(talk.port.limits) => {
                return talk.dismiss(stream, &opening).await;
            }
            () = talk.soft.cancelled() => false,
        };
        // Whoever leaves before saying anything is owed nothing.
        if !opened {
            return;
        }
        if opening == PREFACE {
            talk.http2(stream, opening).await;
        } else {
            talk.http1(stream, opening).await;
        }
    }
}

impl Talk {
    async fn http1(self, stream: Lingering<TcpStream>, opening: BytesMut) {
        let watch = Watch::Requests(RequestScan::default());
        let wire = Wire::new(stream, opening, Arc::clone(&self.progress), watch);
        let service = service_fn(|request| self.answer(request));
        let mut connection = self.port.http1.serve_connection(TokioIo::new(wire), service);
        let mut is_stopping = false;
        let end = loop {
            tokio::select! {
                biased;
                over = std::future::poll_fn(|context| connection.poll_without_shutdown(context)) => {
                    break End::Over(over);
                }
                late = self.progress.overdue(self.port.limits) => break End::Late(late),
                () = self.soft.cancelled(), if !is_stopping => {
                    is_stopping = true;
                    Pin::new(&mut connection).graceful_shutdown();
                }
            }
        };
        let parts = connection.into_parts();
        let (stream, silenced) = parts.io.into_inner().into_parts();
        match end {
            End::Over(Ok(())) => self.leave(stream).await,
            End::Over(Err(error)) => {
                tracing::debug!(%error, "connection ended early");
                match unreadable(&error, &parts.read_buf).zip(silenced) {
                    Some((status, head)) => self.refuse(stream, status, &head).await,
                    None => self.leave(stream).await,
                }
            }
            End::Late(Late::Head) => self.dismiss(stream, &parts.read_buf).await,
            // It does not read: more words would not help.
            End::Late(late) => {
                tracing::debug!(?late, "connection cut");
                stream.abandon();
            }
        }
    }

    async fn http2(self, stream: Lingering<TcpStream>, opening: BytesMut) {
        let watch = Watch::Frames(FrameMeter::new(PREFACE.len(), self.port.frames));
        let wire = Wire::new(stream, opening, Arc::clone(&self.progress), watch);
        let service = service_fn(|request| self.answer(request));
        let connection = self.port.http2.serve_connection(TokioIo::new(wire), service);
        let mut connection = pin!(connection);
        let mut is_stopping = false;
        let late = loop {
            tokio::select! {
                biased;
                ended = &mut connection => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "connection ended early");
                    }
                    return;
                }
                late = self.progress.overdue(self.port.limits) => break late,
                () = self.soft.cancelled(), if !is_stopping => {
                    is_stopping = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        };
        tracing::debug!(?late, "connection cut");
        connection.as_mut().graceful_shutdown();
        let _over = tokio::time::timeout(LAST_WORDS, connection).await;
    }

    fn answer(&self, mut request: Request<Incoming>) -> Answering {
        let work = self.progress.begin();
        let refused = if work.is_doubtful() {
            Some(StatusCode::BAD_REQUEST)
        } else {
            self.port.bounds.refusal(&request)
        };
        if let Some(status) = refused {
            let path = shown(request.uri().path());
            let mut response = refusal::refuse(self.port.refuse, status, path);
            // In HTTP/2 this concerns one stream, and there is no such header.
            if request.version() != Version::HTTP_2 {
                response.headers_mut().insert(header::CONNECTION, CLOSE);
            }
            let response = response.map(|body| work.answer(Body::from(body)));
            return Box::pin(std::future::ready(Ok(response)));
        }
        let mut router = self.port.router.clone();
        request.extensions_mut().insert(ConnectInfo(self.peer));
        Box::pin(async move {
            let (request, reading) = unread::watch(request);
            let mut response = router.call(request).await?;
            reading.announce_close(&mut response);
            Ok(response.map(|body| work.answer(body)))
        })
    }

    /// Ends a connection on which no whole head arrived in time. Without a beginning of one there
    /// is nothing to answer.
    async fn dismiss(&self, stream: Lingering<TcpStream>, head: &[u8]) {
        if !head.is_empty() {
            self.refuse(stream, StatusCode::REQUEST_TIMEOUT, head).await;
        }
    }

    async fn refuse(&self, mut stream: Lingering<TcpStream>, status: StatusCode, head: &[u8]) {
        let response = refusal::refuse(self.port.refuse, status, path_of(head));
        let said = tokio::time::timeout(LAST_WORDS, stream.write_all(&to_wire(&response))).await;
        if matches!(said, Ok(Ok(()))) {
            self.leave(stream).await;
        }
    }

    /// Closes after what was said has been heard.
    async fn leave(&self, mut stream: Lingering<TcpStream>) {
        let _heard = tokio::time::timeout(LAST_WORDS, stream.shutdown()).await;
    }
}

/// Reads until it is clear which version of HTTP is spoken.
async fn open(stream: &mut Lingering<TcpStream>, opening: &mut BytesMut) -> io::Result<()> {
    while PREFACE.starts_with(opening) && opening.len() < PREFACE.len() {
        let left = PREFACE.len() - opening.len();
        if stream.read_buf(&mut (&mut *opening).limit(left)).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

/// The status for what could not be parsed; `None` if there was nothing to parse.
fn unreadable(error: &hyper::Error, head: &[u8]) -> Option<StatusCode> {
    if error.is_parse_too_large() {
        // The first line alone was too much, or all of them were.
        let is_within_uri = !head.contains(&b'\n');
        return Some(if is_within_uri {
            StatusCode::URI_TOO_LONG
        } else {
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
        });
    }
    error.is_parse().then_some(StatusCode::BAD_REQUEST)
}

fn http1_builder(config: &HttpServerConfig) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        // The time for a head is that of a quiet connection: see `Progress`.
        .header_read_timeout(None::<Duration>)
        .max_buf_size(config.max_header_bytes as usize);
    builder
}

fn http2_builder(config: &HttpServerConfig, bounds: HeadBounds) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_header_list_size(bounds.heard())
        .max_concurrent_streams(config.max_streams)
        // Streams that a peer opens and takes back, or makes the server take back.
        .max_pending_accept_reset_streams(config.max_reset_streams)
        .max_local_error_reset_streams(config.max_reset_streams)
        // What a connection can make the process hold: bodies that nobody reads, answers that
        // nobody takes.
        .initial_stream_window_size(config.stream_window_bytes)
        .initial_connection_window_size(config.connection_window_bytes)
        .max_send_buf_size(config.stream_window_bytes as usize)
        // Finds peers that vanished without a word.
        .keep_alive_interval(config.keep_alive_interval)
        .keep_alive_timeout(config.keep_alive_timeout);
    builder
}
