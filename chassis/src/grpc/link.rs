//! The connection to one instance, and whether it is there.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use http::Uri;
use hyper::rt::{Read, Write};
use tonic::transport::{Channel as Connection, Endpoint as Transport};

/// A connection that is made when it is first needed, and again when it was lost; cheap to clone.
#[derive(Clone)]
pub(super) struct Link {
    connection: Connection,
    is_connected: Arc<AtomicBool>,
}

impl Link {
    /// Connects by `connector`, within the connect timeout of `transport`.
    pub(super) fn lazy<S>(transport: &Transport, connector: S) -> Self
    where
        S: tower::Service<Uri, Error = io::Error> + Send + 'static,
        S::Response: Read + Write + Send + Unpin + 'static,
        S::Future: Send + 'static,
    {
        let is_connected = Arc::new(AtomicBool::new(false));
        let observed = Observed { connector, is_connected: Arc::clone(&is_connected) };
        Self { connection: transport.connect_with_connector_lazy(observed), is_connected }
    }

    /// What calls are sent by. Those that come before there is a connection wait for it, one after
    /// the other: an attempt to connect that fails is the end of the first one alone.
    pub(super) fn connection(&self) -> Connection {
        self.connection.clone()
    }

    /// Whether the last attempt to connect succeeded; not before it has ended.
    pub(super) fn is_connected(&self) -> bool {
        self.is_connected.load(Ordering::Acquire)
    }
}

/// A connector whose outcome is seen.
struct Observed<S> {
    connector: S,
    is_connected: Arc<AtomicBool>,
}

impl<S> tower::Service<Uri> for Observed<S>
where
    S: tower::Service<Uri, Error = io::Error>,
    S::Response: Send + 'static,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<S::Response>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connector.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        self.is_connected.store(false, Ordering::Release);
        let connecting = self.connector.call(uri);
        let is_connected = Arc::clone(&self.is_connected);
        Box::pin(async move {
            let stream = connecting.await?;
            is_connected.store(true, Ordering::Release);
            Ok(stream)
        })
    }
}
