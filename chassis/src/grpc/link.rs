//! The connection to one instance, and whether it is there.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper::rt::{Read, Write};
use tokio::time::{Instant, sleep_until};
use tonic::transport::{Channel as Connection, Endpoint as Transport};
use tower::ServiceExt;

/// How late whoever waits for an attempt to connect may see that its time is over.
const SEEN_WITHIN: Duration = Duration::from_millis(50);

/// A connection that is made when it is first needed, and again when it was lost; cheap to clone.
#[derive(Clone)]
pub(super) struct Link {
    connection: Connection,
    past: Arc<Past>,
}

/// How attempts to connect went.
#[derive(Default)]
struct Past {
    /// Whether the last one succeeded.
    is_connected: AtomicBool,
    patience: Mutex<Patience>,
}

/// What a wait in vain for a connection tells of the instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Silence {
    /// Nobody is there.
    Nobody,
    /// A handshake was slow.
    SlowHandshake,
    /// Nothing that another call has not told already.
    Nothing,
}

/// What the next wait in vain for a connection means.
#[derive(Clone, Copy, Default)]
enum Patience {
    /// Nobody is there: there never was a connection.
    #[default]
    Unmet,
    /// One handshake is slow, as those of a busy instance may be.
    Whole,
    /// Since that time, that it was not only one.
    UsedUp(Instant),
}

impl Past {
    fn begin(&self) {
        self.is_connected.store(false, Ordering::Release);
    }

    fn succeed(&self) {
        // Under one lock: a wait that ends now finds both as they were, or both as they are.
        let mut patience = self.patience();
        self.is_connected.store(true, Ordering::Release);
        *patience = Patience::Whole;
    }

    fn patience(&self) -> MutexGuard<'_, Patience> {
        self.patience.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Link {
    /// Connects by `connector`, within `connect_timeout`; `transport` should have none of its own,
    /// which would count time in which nobody waits.
    pub(super) fn lazy<S>(transport: &Transport, connector: S, connect_timeout: Duration) -> Self
    where
        S: tower::Service<Uri, Error = io::Error> + Clone + Send + 'static,
        S::Response: Read + Write + Send + Unpin + 'static,
        S::Future: Send + 'static,
    {
        let past = Arc::<Past>::default();
        let observed = Observed { connector, connect_timeout, past: Arc::clone(&past) };
        Self { connection: transport.connect_with_connector_lazy(observed), past }
    }

    /// What calls are sent by. Those that come before there is a connection wait for it, one after
    /// the other: an attempt to connect that fails is the end of the first one alone.
    pub(super) fn connection(&self) -> Connection {
        self.connection.clone()
    }

    /// Whether the last attempt to connect succeeded; not before it has ended.
    pub(super) fn is_connected(&self) -> bool {
        self.past.is_connected.load(Ordering::Acquire)
    }

    /// A call that began then has waited in vain for a connection, for all the time that making one
    /// may take. Nobody is there if there never was a connection, or a call had waited in vain before
    /// this one began, and no attempt has succeeded since. Calls that wait at the same time have met
    /// the same slow handshake, of which the first one tells.
    pub(super) fn waited_in_vain(&self, begun: Instant) -> Silence {
        let mut patience = self.past.patience();
        let left = *patience;
        match left {
            // The next attempt has succeeded already.
            Patience::Whole if self.is_connected() => Silence::Nothing,
            Patience::Whole => {
                *patience = Patience::UsedUp(Instant::now());
                Silence::SlowHandshake
            }
            Patience::UsedUp(since) if begun < since => Silence::Nothing,
            Patience::Unmet | Patience::UsedUp(_) => Silence::Nobody,
        }
    }
}

/// A connector whose outcome is seen.
struct Observed<S> {
    connector: S,
    connect_timeout: Duration,
    past: Arc<Past>,
}

impl<S> tower::Service<Uri> for Observed<S>
where
    S: tower::Service<Uri, Error = io::Error> + Clone + Send + 'static,
    S::Response: Send + 'static,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<S::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Each attempt waits for the connector itself.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        self.past.begin();
        let connecting = connect(self.connector.clone(), uri, self.connect_timeout);
        let past = Arc::clone(&self.past);
        Box::pin(async move {
            let stream = connecting.await?;
            past.succeed();
            Ok(stream)
        })
    }
}

/// Connects, or fails with `TimedOut`.
///
/// The transport lets an attempt stand still while no call waits for it, and goes on with it for the
/// next one. If its time ended meanwhile, that tells nothing of the instance, and what was half done
/// is as old as the attempt: it is begun anew.
async fn connect<S>(connector: S, uri: Uri, connect_timeout: Duration) -> io::Result<S::Response>
where
    S: tower::Service<Uri, Error = io::Error> + Clone,
{
    loop {
        let end = Instant::now() + connect_timeout;
        let attempt = connector.clone().oneshot(uri.clone());
        tokio::select! {
            // An attempt that nobody has looked at for long is not looked at any more.
            biased;
            () = sleep_until(end) => {}
            outcome = attempt => return outcome,
        }
        if end.elapsed() < SEEN_WITHIN {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
}
