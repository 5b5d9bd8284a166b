//! The client side of a call to another service.
//!
//! Per call: choose an instance, bound the time, pass the context on, measure. Nothing here waits
//! for the registry, and no call is sent twice, but a retry is told where it has failed. What could
//! not be sent at all, because the instance has ended the connection or cannot be connected to, is sent
//! to another one; the latter is paid for as a retry is.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderMap, HeaderName, Request, Response, header};
use metrics::Gauge;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use tonic::body::Body;
use tonic::{Code, Status};
use tracing::field::Empty;
use tracing::{Instrument, Span};

use super::attempt::{self, Bounds, Failure};
use super::connect::{Connector, connect};
use super::context::{self, CallContext};
use super::failure::{self, could_not_connect, deadline_status};
use super::link::Link;
use super::metrics::{Methods, Side, code_in, code_name};
use super::picker::{Ejection, Lease, Picker};
use super::{RetryBudget, propagation, retry, split_path, timeout};
use crate::config::UpstreamConfig;
use crate::discovery::Endpoint;
use crate::identity::Identity;

/// The header that carries the request id from the edge.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A channel to every instance of one service; cheap to clone.
#[derive(Clone)]
pub struct Channel {
    inner: Arc<Inner>,
}

struct Inner {
    service: &'static str,
    timeout: Duration,
    connect_timeout: Duration,
    retry_attempts: u32,
    retry_budget: RetryBudget,
    /// One for each call under way.
    places: Semaphore,
    picker: Arc<Picker<Link>>,
    methods: Methods,
    left_out: LeftOut,
}

/// How many instances are left alone, as operators see it. A process may have several channels to one
/// service, which are added up, so each shows by how much its own number has changed.
struct LeftOut {
    gauge: Gauge,
    shown: AtomicU32,
}

impl LeftOut {
    fn of(service: &'static str) -> Self {
        let gauge = metrics::gauge!("rpc_client_ejected_instances", "peer" => service);
        Self { gauge, shown: AtomicU32::new(0) }
    }

    fn show(&self, count: u32) {
        let before = self.shown.swap(count, Ordering::Relaxed);
        self.gauge.increment(f64::from(count) - f64::from(before));
    }
}

impl Channel {
    /// Returns a channel to `service`, at the endpoints that the registry reports. It speaks plain
    /// text and refuses to do so beyond loopback.
    pub fn new(
        service: &'static str,
        config: &UpstreamConfig,
        endpoints: watch::Receiver<Arc<[Endpoint]>>,
    ) -> Self {
        Self::with_identity(service, config, endpoints, None)
    }

    /// Returns a channel to `service` that proves who calls, and speaks only to instances that
    /// prove that they are of `service`; as [`Channel::new`] without an identity.
    pub fn with_identity(
        service: &'static str,
        config: &UpstreamConfig,
        endpoints: watch::Receiver<Arc<[Endpoint]>>,
        identity: Option<Arc<Identity>>,
    ) -> Self {
        let connect_timeout = config.connect_timeout();
        let connector = Connector::new(service, identity);
        let connect = move |endpoint: &Endpoint| connect(endpoint, connect_timeout, &connector);
        Self::over(service, config, endpoints, connect)
    }

    fn over(
        service: &'static str,
        config: &UpstreamConfig,
        endpoints: watch::Receiver<Arc<[Endpoint]>>,
        connect: impl Fn(&Endpoint) -> Link + Send + Sync + 'static,
    ) -> Self {
        let ejection =
            Ejection { after_failures: config.eject_after_failures, duration: config.eject_for() };
        Self {
            inner: Arc::new(Inner {
                service,
                timeout: config.timeout(),
                connect_timeout: config.connect_timeout(),
                retry_attempts: config.retry_attempts,
                retry_budget: RetryBudget::new(
                    config.retry_budget_ratio,
                    config.retry_budget_max,
                    config.retry_debt_max,
                ),
                places: Semaphore::new(config.max_in_flight.min(Semaphore::MAX_PERMITS)),
                picker: Arc::new(Picker::new(endpoints, ejection, connect)),
                methods: Methods::new(Side::Client(service)),
                left_out: LeftOut::of(service),
            }),
        }
    }

    /// The budget that all retries of calls to this service share.
    pub fn retry_budget(&self) -> &RetryBudget {
        &self.inner.retry_budget
    }

    /// What shows, each time it is called, how many instances are left alone; nothing any more once the
    /// channel is gone.
    pub(crate) fn sampler(&self) -> impl Fn() + Send + Sync + use<> {
        let inner = Arc::downgrade(&self.inner);
        move || {
            if let Some(inner) = inner.upgrade() {
                inner.left_out.show(inner.picker.left_out());
            }
        }
    }

    /// How often an idempotent call is tried in all.
    pub fn retry_attempts(&self) -> u32 {
        self.inner.retry_attempts
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("service", &self.inner.service).finish_non_exhaustive()
    }
}

impl tower::Service<Request<Body>> for Channel {
    type Response = Response<Body>;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Status>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        // Readiness belongs to an instance, which is chosen with the call.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let inner = Arc::clone(&self.inner);
        let span = client_span(inner.service, request.uri().path());
        Box::pin(async move { inner.send(request).await }.instrument(span))
    }
}

impl Inner {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, Status> {
        let path = request.uri().path();
        let method = self.methods.find(path).unwrap_or_else(|| self.methods.learn(path));
        let measure = method.begin();
        // A service that is slow would else hold more and more of what others need as well.
        let outcome = match self.places.try_acquire() {
            Ok(_place) => self.attempt(request).await,
            Err(_) => Err(failure::crowded(self.service)),
        };
        let code = match &outcome {
            Ok(response) => code_in(response.headers()),
            Err(status) => status.code(),
        };
        let span = Span::current();
        span.record("rpc.grpc.status_code", code_name(code));
        if code != Code::Ok {
            span.record("otel.status_code", "ERROR");
            span.record("error.type", code_name(code));
        }
        measure.end(code);
        outcome
    }

    async fn attempt(&self, mut request: Request<Body>) -> Result<Response<Body>, Status> {
        let context = context::current();
        let budget = self.time_budget(&context, request.headers());
        if budget.is_zero() {
            return Err(deadline_status());
        }
        let bounds =
            Bounds { deadline: Instant::now() + budget, connect_timeout: self.connect_timeout };
        retry::enter(&self.retry_budget);
        write_headers(request.headers_mut(), context);
        let lease = self.picker.pick(&retry::tried()).ok_or_else(|| self.no_endpoint())?;
        let (head, body) = request.into_parts();
        let failure = match attempt::send(lease, (head.clone(), body), bounds).await {
            Ok(response) => return Ok(response),
            Err(failure) => failure,
        };
        let Some((lease, body)) = self.second_choice(&failure).zip(failure.unsent) else {
            return Err(failure.status);
        };
        // The instances that are left get it on top of their own: no more of it than of retries. Every
        // instance ends its connections at their age, and all when it is replaced: that is no outage,
        // and one that does nothing else is left out for its failures.
        if could_not_connect(&failure.status) && !self.retry_budget.try_withdraw() {
            return Err(failure.status);
        }
        metrics::counter!("eh_grpc_calls_sent_elsewhere_total").increment(1);
        attempt::send(lease, (head, body), bounds).await.map_err(|failure| failure.status)
    }

    /// Who gets a call that was not sent: another instance, or the same one if it had only ended the
    /// connection, which an orderly server does after telling so.
    fn second_choice(&self, failure: &Failure) -> Option<Lease<Link>> {
        if failure.unsent.is_none() || failure.status.code() != Code::Unavailable {
            return None;
        }
        let first = failure.lease.endpoint();
        let mut tried = retry::tried();
        tried.push(first.clone());
        let lease = self.picker.pick(&tried)?;
        (lease.endpoint() != first || !could_not_connect(&failure.status)).then_some(lease)
    }

    /// The shortest of our own bound, the caller's remaining time and the call's own timeout.
    fn time_budget(&self, context: &CallContext, headers: &HeaderMap) -> Duration {
        let remaining = context.deadline.map(|at| at.saturating_duration_since(Instant::now()));
        let own = timeout::read(headers);
        self.timeout.min(remaining.unwrap_or(Duration::MAX)).min(own.unwrap_or(Duration::MAX))
    }

    fn no_endpoint(&self) -> Status {
        // Whoever asked for the call knows whether that is worth a warning.
        tracing::debug!(peer = self.service, "no endpoint is known");
        Status::unavailable(format!("no endpoint of {} is known", self.service))
    }
}

fn write_headers(headers: &mut HeaderMap, context: CallContext) {
    // Credentials that the call brought itself win: a worker acts under its own name.
    if let Some(authorization) = context.authorization {
        headers.entry(header::AUTHORIZATION).or_insert(authorization);
    }
    if let Some(request_id) = context.request_id {
        headers.entry(REQUEST_ID).or_insert(request_id);
    }
    retry::write_previous(headers);
    propagation::inject(headers);
}

fn client_span(peer: &'static str, path: &str) -> Span {
    let (service, method) = split_path(path);
    tracing::info_span!(
        "rpc.call",
        otel.name = path.trim_start_matches('/'),
        otel.kind = "client",
        otel.status_code = Empty,
        rpc.system = "grpc",
        rpc.service = service,
        rpc.method = method,
        rpc.grpc.status_code = Empty,
        error.type = Empty,
        server.address = Empty,
        server.port = Empty,
        peer.service = peer,
    )
}

#[cfg(test)]
mod tests;
