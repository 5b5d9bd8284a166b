//! Liveness and readiness for outsiders, who learn less than administrators.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use crate::middleware::authn::{Age, Identity, identify};
use crate::state::Shared;

/// Whether the gateway is up.
#[derive(Serialize, ToSchema)]
pub(crate) struct Probe {
    /// `ok`, `ready` or `not_ready`.
    #[schema(example = "ok")]
    status: &'static str,
}

/// Tells that the process runs.
#[utoipa::path(get, path = "/livez", tag = "operations",
    responses((status = 200, description = "The process runs.", body = Probe)))]
pub(crate) async fn livez() -> axum::Json<Probe> {
    axum::Json(Probe { status: "ok" })
}

/// Tells whether the gateway should get requests.
///
/// An administrator's token adds the state of each dependency.
#[utoipa::path(get, path = "/readyz", tag = "operations",
    responses(
        (status = 200, description = "The gateway is ready.", body = Probe),
        (status = 503, description = "The gateway is starting or stopping.", body = Probe),
    ))]
pub(crate) async fn readyz(State(gateway): State<Shared>, headers: HeaderMap) -> Response {
    let report = gateway.health.report();
    let status = match report.status {
        "ready" => StatusCode::OK,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    match identify(&gateway.verifier, &headers, Age::InForce).await {
        Identity::Known { caller, .. } if caller.is_admin() => {
            (status, axum::Json(report)).into_response()
        }
        _ => (status, axum::Json(Probe { status: report.status })).into_response(),
    }
}
