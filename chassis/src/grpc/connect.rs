//! Opens the connections of a channel, and makes sure that they lead to the service it wants.

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::identity::{self, Identity};

/// What a channel does on connecting.
#[derive(Clone)]
pub(super) struct Connector {
    service: &'static str,
    /// Who we are; without one, connections are plain text.
    identity: Option<Arc<Identity>>,
}

/// A stream, whichever it is.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Connector {
    pub(super) fn new(service: &'static str, identity: Option<Arc<Identity>>) -> Self {
        Self { service, identity }
    }

    async fn connect(self, uri: Uri) -> io::Result<Box<dyn Stream>> {
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let port = uri.port_u16().unwrap_or_default();
        if self.identity.is_none() && !is_loopback(host) {
            return Err(io::Error::other(
                "without certificates services speak plain text, which is for loopback",
            ));
        }
        let stream = TcpStream::connect((host, port)).await?;
        // Small requests must not wait for the acknowledgement of others.
        stream.set_nodelay(true)?;
        match &self.identity {
            None => Ok(Box::new(stream)),
            Some(own) => {
                let name = identity::server_name(self.service).map_err(io::Error::other)?;
                Ok(Box::new(own.connector().connect(name, stream).await?))
            }
        }
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
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

    #[test]
    fn loopback_has_several_names() {
        assert!(["localhost", "127.0.0.1", "127.1.2.3", "::1"].into_iter().all(is_loopback));
        assert!(!["localhost.evil", "0.0.0.0", "::", ""].into_iter().any(is_loopback));
    }
}
