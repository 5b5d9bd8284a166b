//! Rate, errors and duration per method, for both sides of a call.
//!
//! Handles are resolved once per method. Labels are bounded: the server knows its methods from
//! its descriptors and counts anything else as `other`; the client only calls generated methods.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use tokio::time::Instant;
use tonic::Code;

use super::split_path;

/// The label of what is not a known method.
const OTHER: &str = "other";

/// The status codes of gRPC, 0 to 16.
const CODES: usize = 17;

/// Which side of a call is measured; decides the names of the metrics.
#[derive(Debug, Clone, Copy)]
pub(super) enum Side {
    /// Calls served.
    Server,
    /// Calls made, with the name of the service called.
    Client(&'static str),
}

/// The metrics of every method seen on one side.
pub(super) struct Methods {
    side: Side,
    methods: RwLock<HashMap<Box<str>, Arc<Method>>>,
}

impl Methods {
    pub(super) fn new(side: Side) -> Self {
        Self { side, methods: RwLock::default() }
    }

    /// Makes `path` one of the known methods.
    pub(super) fn learn(&self, path: &str) -> Arc<Method> {
        let mut methods = self.methods.write().unwrap_or_else(PoisonError::into_inner);
        let resolve = || Arc::new(Method::resolve(self.side, path));
        Arc::clone(methods.entry(path.into()).or_insert_with(resolve))
    }

    /// Returns the method at `path`, if it is known.
    pub(super) fn find(&self, path: &str) -> Option<Arc<Method>> {
        let methods = self.methods.read().unwrap_or_else(PoisonError::into_inner);
        methods.get(path).cloned()
    }

    /// Returns the method at `path`, or the one that stands for all unknown ones.
    pub(super) fn find_or_other(&self, path: &str) -> Arc<Method> {
        self.find(path).or_else(|| self.find(OTHER)).unwrap_or_else(|| self.learn(OTHER))
    }
}

/// The metrics of one method.
pub(super) struct Method {
    side: Side,
    service: String,
    name: String,
    in_flight: Gauge,
    duration: Histogram,
    by_code: [OnceLock<Counter>; CODES],
}

impl Method {
    fn resolve(side: Side, path: &str) -> Self {
        let (service, method) = split_path(path);
        let (service, name) = (service.to_owned(), method.to_owned());
        let labels = [("rpc_service", service.clone()), ("rpc_method", name.clone())];
        let (in_flight, duration) = match side {
            Side::Server => (
                gauge!("rpc_server_in_flight", &labels),
                histogram!("rpc_server_duration_seconds", &labels),
            ),
            Side::Client(_) => (
                gauge!("rpc_client_in_flight", &labels),
                histogram!("rpc_client_duration_seconds", &labels),
            ),
        };
        Self {
            side,
            service,
            name,
            in_flight,
            duration,
            by_code: [const { OnceLock::new() }; CODES],
        }
    }

    /// Begins measuring a call.
    pub(super) fn begin(self: Arc<Self>) -> Measure {
        self.in_flight.increment(1.0);
        Measure { method: self, started: Instant::now(), code: Code::Cancelled }
    }

    fn count(&self, code: Code) {
        if let Some(counter) = self.by_code.get(code as usize) {
            counter.get_or_init(|| self.counter(code)).increment(1);
        }
    }

    fn counter(&self, code: Code) -> Counter {
        let labels = [
            ("rpc_service", self.service.clone()),
            ("rpc_method", self.name.clone()),
            ("rpc_grpc_status_code", code_name(code).to_owned()),
        ];
        match self.side {
            Side::Server => counter!("rpc_server_requests_total", &labels),
            Side::Client(peer) => {
                let [service, method, code] = labels;
                let peer = ("peer", peer.to_owned());
                counter!("rpc_client_requests_total", &[service, method, code, peer])
            }
        }
    }
}

/// A call being measured. It is recorded when this is dropped, as cancelled unless it ended.
pub(super) struct Measure {
    method: Arc<Method>,
    started: Instant,
    code: Code,
}

impl Measure {
    /// Notes how the call ended.
    pub(super) fn end(mut self, code: Code) {
        self.code = code;
    }
}

impl Drop for Measure {
    fn drop(&mut self) {
        self.method.in_flight.decrement(1.0);
        self.method.duration.record(self.started.elapsed().as_secs_f64());
        self.method.count(self.code);
    }
}

/// Returns the code's name in the gRPC specification.
pub(super) fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// Returns the status code in the headers of a response. A reply with a message has its code in
/// the trailers, but an error of a unary call never has a message, so no header means success.
pub(super) fn code_in(headers: &http::HeaderMap) -> Code {
    headers
        .get(tonic::Status::GRPC_STATUS)
        .map_or(Code::Ok, |value| Code::from_bytes(value.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_path_never_becomes_a_label() {
        let methods = Methods::new(Side::Server);
        methods.learn("/pkg.Orders/Get");
        assert_eq!(methods.find_or_other("/pkg.Orders/Get").name, "Get");
        for path in ["/pkg.Orders/Invented", "/x/y", ""] {
            assert_eq!(methods.find_or_other(path).service, OTHER);
        }
        assert_eq!(methods.methods.read().unwrap().len(), 2);
    }

    #[test]
    fn a_response_without_a_status_header_is_a_success() {
        assert_eq!(code_in(&http::HeaderMap::new()), Code::Ok);
        let refused = tonic::Status::not_found("").into_http::<()>();
        assert_eq!(code_in(refused.headers()), Code::NotFound);
    }
}
