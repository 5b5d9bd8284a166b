//! One call at one instance: how long it waits, and what its end tells of the instance.
//!
//! A call waits for its answer until its deadline, but for a connection no longer than making one
//! may take. Whoever waits longer stands behind others in a queue that nobody serves: each attempt
//! to connect that fails is the end of one call only. Such a call is taken back. The instance is left
//! out, unless it is one slow handshake of one that was connected to before: that is one failure,
//! however many calls have met it.

use std::time::Duration;

use http::request::Parts;
use http::{Request, Response};
use tokio::time::{Instant, timeout_at};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::ServiceExt;
use tracing::Span;

use super::failure::{
    deadline_status, not_connected, transport_status, was_not_begun, was_refused, was_too_late,
};
use super::link::{Link, Silence};
use super::metrics::code_in;
use super::picker::Lease;
use super::reply::ReplyBody;
use super::unsent::Unsent;
use super::{retry, timeout};
use crate::error::RemoteError;

/// How long a call may take.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    /// When it must have its answer.
    pub(super) deadline: Instant,
    /// How long it waits for a connection.
    pub(super) connect_timeout: Duration,
}

/// A call without an answer.
pub(super) struct Failure {
    pub(super) status: Status,
    pub(super) lease: Lease<Link>,
    /// The body of a call of which the instance cannot have seen enough to act on it.
    pub(super) unsent: Option<Body>,
}

type Outcome = Result<Response<Body>, Status>;

/// Sends the call to one instance, and tells the picker how that one did.
pub(super) async fn send(
    lease: Lease<Link>,
    (mut head, body): (Parts, Body),
    bounds: Bounds,
) -> Result<Response<Body>, Failure> {
    Span::current().record("server.address", lease.endpoint().host.as_str());
    Span::current().record("server.port", lease.endpoint().port);
    let begun = Instant::now();
    let budget = bounds.deadline.saturating_duration_since(begun);
    head.headers.insert(timeout::GRPC_TIMEOUT, timeout::write(budget));
    let (body, unsent) = Unsent::watch(body);
    let link = lease.connection();
    let sent = link.connection().oneshot(Request::from_parts(head, body));
    let mut taken_back = None;
    let outcome = tokio::select! {
        // Who is out of time is not sent elsewhere.
        biased;
        answered = timeout_at(bounds.deadline, sent) => match answered {
            Ok(outcome) => outcome.map_err(transport_status),
            Err(_elapsed) => Err(deadline_status()),
        },
        body = without_connection(link, &unsent, bounds.connect_timeout) => {
            taken_back = Some(body);
            Err(not_connected())
        }
    };
    judge(&lease, &outcome, begun, bounds);
    match outcome {
        Ok(response) => {
            Ok(response.map(|body| Body::new(ReplyBody::new(body, bounds.deadline, lease))))
        }
        Err(status) => {
            let left = || if was_not_begun(&status) { unsent.take_all() } else { unsent.take() };
            let unsent = taken_back.or_else(left);
            Err(Failure { status, lease, unsent })
        }
    }
}

/// Takes the call's body back when there should be a connection and is none; else never ends.
async fn without_connection(link: &Link, unsent: &Unsent, connect_timeout: Duration) -> Body {
    tokio::time::sleep(connect_timeout).await;
    if !link.is_connected()
        && let Some(body) = unsent.take()
    {
        return body;
    }
    std::future::pending().await
}

/// Tells the picker how the instance did with a call that began then.
fn judge(lease: &Lease<Link>, outcome: &Outcome, begun: Instant, bounds: Bounds) {
    let budget = bounds.deadline.saturating_duration_since(begun);
    // Whoever came late to an attempt to connect knows only how it ended.
    let saw_it_all = begun.elapsed() >= bounds.connect_timeout;
    let silence = |status: &Status| {
        if was_refused(status) {
            return Some(Silence::Nobody);
        }
        let is_late = saw_it_all && was_too_late(status);
        is_late.then(|| lease.connection().waited_in_vain(begun))
    };
    let code = match outcome {
        Ok(response) => code_in(response.headers()),
        Err(status) => status.code(),
    };
    match code {
        // Who says when to come again is well, and has enough to do; that is no reason to give
        // the others more.
        Code::Unavailable if asks_for_patience(outcome) => retry::avoid(lease.endpoint()),
        Code::Unavailable => {
            match outcome.as_ref().err().and_then(silence) {
                Some(Silence::Nobody) => lease.is_gone(),
                Some(Silence::Nothing) => {}
                Some(Silence::SlowHandshake) | None => lease.failed(),
            }
            retry::avoid(lease.endpoint());
        }
        // A call that came with almost no time left proves nothing about the instance.
        Code::DeadlineExceeded if outcome.is_err() && budget < bounds.connect_timeout => {}
        Code::DeadlineExceeded if outcome.is_err() => lease.failed(),
        _ => lease.succeeded(),
    }
}

fn asks_for_patience(outcome: &Outcome) -> bool {
    let told = outcome.as_ref().ok();
    let status = told.and_then(|response| Status::from_header_map(response.headers()));
    status.is_some_and(|status| RemoteError::from_status(&status).retry_after.is_some())
}
