//! The provider's HTTP API.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::body::{Body, to_bytes};
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use chrono::TimeDelta;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::charge::{NewCharge, Refusal};
use super::ledger::{Closed, Ledger};
use super::method::Manner;
use super::now;
use super::script::{CallFate, Faults, Script};

/// Largest body of a request.
const BODY_BYTES_MAX: usize = 16 * 1024;
/// Longest page of the ledger, and the usual one.
const PAGE_MAX: usize = 1_000;
const PAGE: usize = 100;
/// How long a call that is never answered is held; clients have hung up by then.
const SILENCE: Duration = Duration::from_mins(1);

/// Marks an answer that the client is never to get; the connection is closed instead.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lost;

/// What all calls share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) ledger: Ledger,
    pub(super) faults: Arc<Faults>,
    pub(super) api_key: String,
    pub(super) decided_after: TimeDelta,
    /// Told when there is something to deliver or to decide.
    pub(super) wake: Arc<Notify>,
    /// Calls under way, those whose client has hung up included.
    pub(super) calls: TaskTracker,
    pub(super) stop: CancellationToken,
}

type Handle = State<Arc<Shared>>;
type Answer = Result<Response, Fault>;

/// All routes. Scripted faults befall charges only: who sets them must be able to unset them.
pub(super) fn router(shared: Arc<Shared>) -> Router {
    let charges = Router::new()
        .route("/v1/charges", post(charge).get(list))
        .route("/v1/charges/{reference}", get(find))
        .route("/v1/charges/{reference}/refunds", post(refund))
        .route_layer(from_fn_with_state(shared.clone(), suffer));
    let operation = Router::new()
        .route("/v1/script", get(script).put(follow))
        .route("/v1/callbacks/pending", get(pending));
    charges
        .merge(operation)
        .route_layer(from_fn_with_state(shared.clone(), authenticate))
        .route("/livez", get(|| async { "ok" }))
        .fallback(|| async { Fault(StatusCode::NOT_FOUND, "not_found") })
        .with_state(shared)
}

async fn authenticate(State(shared): Handle, request: Request, next: Next) -> Response {
    let value = request.headers().get(header::AUTHORIZATION).map(header::HeaderValue::as_bytes);
    let key = value.and_then(|value| value.strip_prefix(b"Bearer ")).unwrap_or_default();
    if verify_slices_are_equal(key, shared.api_key.as_bytes()).is_err() {
        return Fault(StatusCode::UNAUTHORIZED, "unauthorized").into_response();
    }
    next.run(request).await
}

/// Lets the script's faults happen to a call. It runs to its end whether the client waits or not:
/// what was asked for is done, as it would be behind a network that loses answers.
async fn suffer(State(shared): Handle, request: Request, next: Next) -> Response {
    let fate = shared.faults.of_call();
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_BYTES_MAX).await else {
        return Fault(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large").into_response();
    };
    let request = Request::from_parts(head, Body::from(body));
    let call = shared.calls.spawn(live_through(fate, next.run(request)));
    call.await.unwrap_or_else(|_| lost())
}

async fn live_through(fate: CallFate, call: impl Future<Output = Response>) -> Response {
    let half = fate.latency / 2;
    pass(half).await;
    let unavailable = || Fault(StatusCode::SERVICE_UNAVAILABLE, "unavailable");
    if fate.is_ignored {
        pass(half).await;
        return unavailable().into_response();
    }
    let answer = call.await;
    pass(half).await;
    match fate {
        CallFate { answer_is_lost: true, .. } => lost(),
        CallFate { fails: true, .. } => unavailable().into_response(),
        _ => answer,
    }
}

async fn pass(time: Duration) {
    if !time.is_zero() {
        sleep(time).await;
    }
}

fn lost() -> Response {
    let mut response = StatusCode::BAD_GATEWAY.into_response();
    response.extensions_mut().insert(Lost);
    response
}

async fn charge(State(shared): Handle, body: Result<Json<NewCharge>, JsonRejection>) -> Answer {
    let Json(new) = body?;
    let (faults, decided_after) = (shared.faults.clone(), shared.decided_after);
    let job = move |book: &mut super::book::Book| book.charge(&new, &faults, now(), decided_after);
    let made = shared.ledger.run(job).await??;
    let status = if made.manner.is_some() { StatusCode::CREATED } else { StatusCode::OK };
    if made.manner.is_some() {
        shared.wake.notify_one();
    }
    match made.manner {
        Some(Manner::After(pause)) => sleep(pause).await,
        Some(Manner::Silent) => {
            tokio::select! {
                () = shared.stop.cancelled() => {}
                () = sleep(SILENCE) => {}
            }
            return Ok(lost());
        }
        Some(Manner::Prompt) | None => {}
    }
    Ok((status, Json(made.charge)).into_response())
}

async fn find(State(shared): Handle, Path(reference): Path<String>) -> Answer {
    let reference = parse(&reference)?;
    let charge = shared.ledger.run(move |book| book.find(reference)).await??;
    Ok(Json(charge).into_response())
}

#[derive(Deserialize)]
struct NewRefund {
    refund_id: Uuid,
    amount: i64,
}

async fn refund(
    State(shared): Handle,
    Path(reference): Path<String>,
    body: Result<Json<NewRefund>, JsonRejection>,
) -> Answer {
    let reference = parse(&reference)?;
    let Json(NewRefund { refund_id, amount }) = body?;
    let job =
        move |book: &mut super::book::Book| book.refund(reference, (refund_id, amount), now());
    let (charge, is_new) = shared.ledger.run(job).await??;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(charge)).into_response())
}

#[derive(Deserialize)]
struct Wanted {
    after: Option<String>,
    limit: Option<usize>,
}

async fn list(State(shared): Handle, query: Result<Query<Wanted>, QueryRejection>) -> Answer {
    let Ok(Query(Wanted { after, limit })) = query else {
        return Err(Refusal::Invalid("query_invalid").into());
    };
    let limit = limit.unwrap_or(PAGE);
    if !(1..=PAGE_MAX).contains(&limit) {
        return Err(Refusal::Invalid("limit_invalid").into());
    }
    let page = shared.ledger.run(move |book| book.page(after.as_deref(), limit)).await?;
    Ok(Json(page).into_response())
}

async fn script(State(shared): Handle) -> Json<Script> {
    Json(shared.faults.script())
}

async fn follow(State(shared): Handle, body: Result<Json<Script>, JsonRejection>) -> Answer {
    let Json(script) = body?;
    if let Some(member) = script.fault() {
        let body = json!({"error": "script_invalid", "member": member});
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, Json(body)).into_response());
    }
    shared.faults.follow(script.clone());
    Ok(Json(script).into_response())
}

async fn pending(State(shared): Handle) -> Answer {
    let pending = shared.ledger.run(|book| book.pending()).await?;
    let (decisions, deliveries) = (pending.decisions, pending.deliveries);
    let all = decisions + deliveries;
    let body = json!({"pending": all, "decisions": decisions, "deliveries": deliveries});
    Ok(Json(body).into_response())
}

/// A reference that is none belongs to no charge.
fn parse(reference: &str) -> Result<Uuid, Refusal> {
    Uuid::parse_str(reference).map_err(|_| Refusal::NotFound)
}

/// An answer other than the one that was hoped for.
struct Fault(StatusCode, &'static str);

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotFound => Self(StatusCode::NOT_FOUND, "unknown_reference"),
            Refusal::Conflict(word) => Self(StatusCode::CONFLICT, word),
            Refusal::Invalid(word) => Self(StatusCode::UNPROCESSABLE_ENTITY, word),
        }
    }
}

impl From<Closed> for Fault {
    fn from(_: Closed) -> Self {
        Self(StatusCode::SERVICE_UNAVAILABLE, "unavailable")
    }
}

impl From<JsonRejection> for Fault {
    fn from(rejection: JsonRejection) -> Self {
        let word = match rejection {
            JsonRejection::JsonDataError(_) => "body_invalid",
            JsonRejection::MissingJsonContentType(_) => "content_type_invalid",
            _ => "json_invalid",
        };
        Self(rejection.status(), word)
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let Self(status, word) = self;
        (status, Json(json!({"error": word}))).into_response()
    }
}
