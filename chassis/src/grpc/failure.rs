//! What a caller is told of a call that got no answer.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tonic::{ConnectError, Status, TimeoutExpired};

use super::context;
use crate::error::{ServiceError, codes, grpc};

/// When to try again a service that has all the calls it may have.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A connection that could not be made or broke. Whether the instance saw the call is unknown,
/// which is why only idempotent calls are retried.
pub(super) fn transport_status(error: tonic::transport::Error) -> Status {
    if is_timeout(&error) {
        return deadline_status();
    }
    tracing::debug!(error = %crate::error::Chain(&error), "call failed in transport");
    let mut status = Status::unavailable("the connection to the instance failed");
    status.set_source(Arc::new(error));
    status
}

/// The transport reads `grpc-timeout` as well and may be a tick ahead of our own timer.
fn is_timeout(error: &(dyn Error + 'static)) -> bool {
    has_cause(Some(error), <dyn Error>::is::<TimeoutExpired>)
}

pub(super) fn deadline_status() -> Status {
    Status::deadline_exceeded(context::DeadlineExceeded.detail())
}

/// A call that is one too many. It is not repeated, as it says when to come again.
pub(super) fn crowded(service: &'static str) -> Status {
    metrics::counter!("eh_grpc_calls_refused_total", "peer" => service).increment(1);
    let detail = "a service that is needed has more calls than it answers";
    grpc::status(codes::SERVICE_UNAVAILABLE, detail, Vec::new(), Some(RETRY_AFTER))
}

/// A call that was not sent, because there was no connection in the time for connecting.
pub(super) fn not_connected() -> Status {
    let mut status = Status::unavailable("the instance could not be connected to in time");
    status.set_source(Arc::new(io::Error::from(io::ErrorKind::TimedOut)));
    status
}

/// Whether a call failed because its instance could not be reached, or not in time.
pub(super) fn could_not_connect(status: &Status) -> bool {
    has_cause(status.source(), |cause| {
        let late = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        cause.is::<ConnectError>() || late == Some(io::ErrorKind::TimedOut)
    })
}

/// Whether the instance has said that it did not begin with the call: by the number of the last one
/// that it did begin with, when it ends a connection in order, or of this one alone (RFC 9113,
/// sections 6.8 and 8.7).
pub(super) fn was_not_begun(status: &Status) -> bool {
    has_cause(status.source(), |cause| {
        cause.downcast_ref::<h2::Error>().is_some_and(|error| {
            let is_left_out = error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR);
            let is_refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
            error.is_remote() && (is_left_out || is_refused)
        })
    })
}

/// Whether nobody listens at the address.
pub(super) fn was_refused(status: &Status) -> bool {
    is_of_kind(status, io::ErrorKind::ConnectionRefused)
}

/// Whether nobody has answered at the address in the time for it.
pub(super) fn was_too_late(status: &Status) -> bool {
    is_of_kind(status, io::ErrorKind::TimedOut)
}

fn is_of_kind(status: &Status, kind: io::ErrorKind) -> bool {
    has_cause(status.source(), |cause| {
        cause.downcast_ref::<io::Error>().map(io::Error::kind) == Some(kind)
    })
}

fn has_cause(
    mut error: Option<&(dyn Error + 'static)>,
    is_it: impl Fn(&(dyn Error + 'static)) -> bool,
) -> bool {
    while let Some(cause) = error {
        if is_it(cause) {
            return true;
        }
        error = cause.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(kind: io::ErrorKind) -> Status {
        let mut status = Status::unavailable("the connection to the instance failed");
        status.set_source(Arc::new(io::Error::from(kind)));
        status
    }

    #[test]
    fn a_connection_that_is_refused_or_late_is_told_from_one_that_broke() {
        let told = |status: &Status| (was_refused(status), was_too_late(status));
        for (kind, expected) in [
            (io::ErrorKind::ConnectionRefused, (true, false)),
            (io::ErrorKind::TimedOut, (false, true)),
            (io::ErrorKind::ConnectionReset, (false, false)),
            (io::ErrorKind::BrokenPipe, (false, false)),
        ] {
            assert_eq!(told(&status(kind)), expected, "{kind:?}");
        }
        assert!(was_too_late(&not_connected()) && could_not_connect(&not_connected()));
        assert_eq!(told(&Status::unavailable("busy")), (false, false));
    }
}
