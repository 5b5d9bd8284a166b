//! Which codes an operation answers with: those of its entry in the table, and those that follow
//! from its form.

use std::collections::BTreeSet;

use chassis::error::codes as fleet;
use utoipa::openapi::path::{Operation, Parameter, ParameterIn};

use crate::api::{Route, route};
use crate::error::codes;
use crate::middleware::guard::codes_of;

/// Every code that an operation answers with.
pub(super) fn codes_of_route(
    route: &Route,
    path: &str,
    operation: &Operation,
) -> BTreeSet<&'static str> {
    let mut all: BTreeSet<&str> = route.codes.iter().copied().collect();
    all.extend(codes_of(route.access));
    all.extend([
        fleet::INTERNAL.reason,
        // Also where no service is asked: overload is shed before the route is looked at.
        fleet::SERVICE_UNAVAILABLE.reason,
        codes::QUERY_INVALID.reason,
        codes::HOST_INVALID.reason,
    ]);
    if route.class.is_some() {
        all.insert(codes::RATE_LIMITED.reason);
    }
    if !route.is_local {
        all.extend([codes::UPSTREAM_INVALID.reason, fleet::DEADLINE_EXCEEDED.reason]);
    }
    // An operation that takes no body says so to whoever sends one.
    let with_body = [http::Method::POST, http::Method::PUT, http::Method::PATCH];
    if route.operation().is_some_and(|(_, method, _)| with_body.contains(&method)) {
        all.extend(codes_of_body(route));
    }
    // Whatever stands in a path may be no text.
    if path.contains('{') {
        all.insert(fleet::ID_INVALID.reason);
    }
    for parameter in route::parameters(operation) {
        all.extend(codes_of_parameter(parameter));
        // A query is text, so a value may always be none of those that its parameter has.
        if parameter.parameter_in == ParameterIn::Query {
            all.insert(fleet::VALIDATION_FAILED.reason);
        }
    }
    all
}

fn codes_of_body(route: &Route) -> Vec<&'static str> {
    let mut all = vec![
        codes::BODY_TOO_LARGE.reason,
        codes::REQUEST_TIMEOUT.reason,
        codes::MEDIA_TYPE_UNSUPPORTED.reason,
        codes::JSON_INVALID.reason,
    ];
    if route.has_strict_body {
        all.extend([
            codes::UNKNOWN_FIELD.reason,
            codes::DUPLICATE_FIELD.reason,
            fleet::VALIDATION_FAILED.reason,
        ]);
    }
    all
}

fn codes_of_parameter(parameter: &Parameter) -> &'static [&'static str] {
    match parameter.name.as_str() {
        "page_token" => &[fleet::CURSOR_INVALID.reason],
        "If-Match" => &[codes::IF_MATCH_INVALID.reason, fleet::VERSION_MISMATCH.reason],
        "sku" => &[fleet::VALIDATION_FAILED.reason],
        "Idempotency-Key" => &[
            fleet::IDEMPOTENCY_KEY_MISSING.reason,
            fleet::IDEMPOTENCY_KEY_INVALID.reason,
            fleet::IDEMPOTENCY_KEY_REUSED.reason,
            fleet::IDEMPOTENCY_IN_PROGRESS.reason,
        ],
        _ => &[],
    }
}
