//! Opens the connections of a channel, and makes sure that they lead to the service it wants.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tonic::transport::Endpoint as Transport;

use super::greeting::greet;
use super::link::Link;
use crate::discovery::Endpoint;
use crate::identity::{self, Identity};

/// How often an idle connection is probed. A silent peer (powered off, partitioned) is noticed
/// after this and [`KEEPALIVE_TIMEOUT`].
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// How long a probe may stay unanswered.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Headers and trailers of an answer in bytes. A larger answer ends the connection for all calls on
/// it; ours stay below a quarter of this, and the default is just that quarter.
const HEADERS_BYTES_MAX: u32 = 64 * 1024;

/// What a channel does on connecting.
#[derive(Clone)]
pub(super) struct Connector {
    service: &'static str,
    /// Who we are; without one, connections are plain text.
    identity: Option<Arc<Identity>>,
}

/// Connects on first use: an instance that is down must not hold up the set it belongs to.
pub(super) fn connect(
    endpoint: &Endpoint,
    connect_timeout: Duration,
    connector: &Connector,
) -> Link {
    // The connector decides on TLS; a scheme of https would make the transport look for its own.
    let transport = match Transport::from_shared(format!("http://{endpoint}")) {
        Ok(transport) => transport,
        Err(error) => {
            // Calls then fail as for any address where nobody listens; port 0 never connects.
            tracing::warn!(%endpoint, %error, "endpoint is not a valid address");
            Transport::from_static("http://127.0.0.1:0")
        }
    };
    let transport = transport
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .http2_max_header_list_size(HEADERS_BYTES_MAX);
    Link::lazy(&transport, connector.clone(), connect_timeout)
}

/// A stream, whichever it is.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Connector {
    pub(super) fn new(service: &'static str, identity: Option<Arc<Identity>>) -> Self {
        Self { service, identity }
    }

    /// Connects, and returns a stream on which both sides have begun HTTP/2: an error means that no call
    /// was sent.
    async fn connect(self, uri: Uri) -> io::Result<Box<dyn Stream>> {
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let endpoint = Endpoint::new(host, uri.port_u16().unwrap_or_default());
        if self.identity.is_none() && !endpoint.is_loopback() {
            return Err(io::Error::other(
                "without certificates services speak plain text, which is for loopback",
            ));
        }
        let stream = TcpStream::connect((host, endpoint.port)).await?;
        // Small requests must not wait for the acknowledgement of others.
        stream.set_nodelay(true)?;
        match self.identity.as_deref().filter(|own| own.proves_itself()) {
            None => Ok(Box::new(greet(stream).await?)),
            Some(own) => Ok(Box::new(greet(self.meet(own, stream).await?).await?)),
        }
    }

    /// Completes the handshake, and makes sure of the name by which a server knows its callers as
    /// well: an authority may issue any service a certificate with another one's DNS name.
    async fn meet(&self, own: &Identity, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let name = identity::server_name(self.service).map_err(io::Error::other)?;
        let stream = own.connector().connect(name, stream).await?;
        let (_, session) = stream.get_ref();
        identity::demand(self.service, session.peer_certificates()).map_err(io::Error::other)?;
        Ok(stream)
    }
}

impl tower::Service<Uri> for Connector {
    type Response = TokioIo<Box<dyn Stream>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move { connector.connect(uri).await.map(TokioIo::new) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn plain_text_does_not_leave_the_machine() {
        let connector = Connector::new("order-service", None);
        for uri in ["http://192.0.2.1:1", "http://order-service:1", "http://[2001:db8::1]:1"] {
            let refused = connector.clone().connect(uri.parse().unwrap()).await.err().unwrap();
            assert!(refused.to_string().contains("plain text"), "{uri}: {refused}");
        }
    }
}
