//! Bounds each call by its caller's deadline and opens the call's context.

use std::time::Duration;

use axum::extract::Request;
use axum::response::Response;
use http::{HeaderMap, header};
use tokio::time::{Instant, timeout_at};

use super::{Around, Next, refuse};
use crate::grpc::channel::REQUEST_ID;
use crate::grpc::context::{self, CallContext, DeadlineExceeded};
use crate::grpc::{retry, timeout};

/// How much earlier than the caller's timeout a call ends. The transport reads the same header
/// and would answer CANCELLED, which tells the caller nothing; this layer has to be first.
const REPLY_MARGIN: Duration = Duration::from_millis(5);

/// Ends calls at their deadline with DEADLINE_EXCEEDED.
#[derive(Clone)]
pub(crate) struct Deadline {
    /// The longest a call may take, whatever its caller allows.
    longest: Duration,
}

impl Deadline {
    pub(crate) fn new(longest: Duration) -> Self {
        Self { longest }
    }

    fn context(&self, headers: &HeaderMap) -> CallContext {
        let asked = timeout::read(headers).map(|asked| asked.saturating_sub(REPLY_MARGIN));
        let timeout = asked.unwrap_or(self.longest).min(self.longest);
        let authorization = headers.get(header::AUTHORIZATION).cloned().map(|mut value| {
            value.set_sensitive(true);
            value
        });
        CallContext {
            authorization,
            request_id: headers.get(REQUEST_ID).cloned(),
            previous_attempts: retry::read_previous(headers),
            ..CallContext::with_timeout(timeout)
        }
    }
}

impl Around for Deadline {
    async fn around<N: Next>(&self, request: Request, next: N) -> Response {
        let context = self.context(request.headers());
        let deadline = context.deadline.unwrap_or_else(|| Instant::now() + self.longest);
        if deadline <= Instant::now() {
            return refuse(&DeadlineExceeded);
        }
        let call = context::scope(context, next.run(request));
        timeout_at(deadline, call).await.unwrap_or_else(|_elapsed| refuse(&DeadlineExceeded))
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http::HeaderValue;
    use tower::{Layer, ServiceExt};

    use super::super::Wrap;
    use super::*;
    use crate::grpc::metrics::code_in;

    fn timeout_for(header: Option<&'static str>) -> Duration {
        let mut headers = HeaderMap::new();
        if let Some(value) = header {
            headers.insert(timeout::GRPC_TIMEOUT, HeaderValue::from_static(value));
        }
        let context = Deadline::new(Duration::from_secs(10)).context(&headers);
        context.deadline.unwrap() - Instant::now()
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_ends_before_the_transport_would_cancel_it() {
        let hangs = tower::service_fn(|_: Request| std::future::pending::<Result<_, Infallible>>());
        let layer = Wrap(Deadline::new(Duration::from_secs(10)));
        let request = http::Request::builder().header(timeout::GRPC_TIMEOUT, "100m");
        let request = request.body(axum::body::Body::empty()).unwrap();
        let reply =
            tokio::time::timeout(Duration::from_millis(99), layer.layer(hangs).oneshot(request));
        let Ok(response) = reply.await.unwrap();
        assert_eq!(code_in(response.headers()), tonic::Code::DeadlineExceeded);
    }

    #[tokio::test(start_paused = true)]
    async fn the_shorter_of_both_bounds_holds() {
        assert_eq!(timeout_for(None), Duration::from_secs(10));
        assert_eq!(timeout_for(Some("1H")), Duration::from_secs(10));
        assert_eq!(timeout_for(Some("100m")), Duration::from_millis(95));
        assert_eq!(timeout_for(Some("1m")), Duration::ZERO);
    }
}
