//! A small provider that speaks the agreed API on loopback.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use chassis::config::Secret;
use futures::{StreamExt, stream};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::TIMEOUT;
use crate::client::http::{HttpProvider, HttpSettings};

pub(super) const API_KEY: &str = "sk_test_0123456789";
const RESPONSE_MAX: usize = 64 * 1024;

/// What is done to the next answer, after the call was carried out.
#[derive(Clone, Debug)]
pub(crate) enum Damage {
    /// Another status, without a body.
    Status(u16),
    /// Another status, with this word.
    Fault(u16, &'static str),
    /// Something that is no JSON.
    Garbage,
    /// Half of the body; then the connection breaks.
    CutOff,
    /// A body that is too long and says so.
    Huge,
    /// A body that never ends.
    Endless,
    /// None at all.
    Silence,
    /// Another value in one member.
    Member(&'static str, Value),
}

#[derive(Default)]
struct Ledger {
    charges: Mutex<Vec<Value>>,
    damage: Mutex<Option<Damage>>,
    carried_out: AtomicUsize,
    under_way: AtomicUsize,
    busiest: AtomicUsize,
}

/// See the module.
pub(crate) struct FakeProvider {
    address: SocketAddr,
    ledger: Arc<Ledger>,
    server: JoinHandle<()>,
}

impl Drop for FakeProvider {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl FakeProvider {
    pub(crate) async fn start() -> Self {
        let ledger = Arc::new(Ledger::default());
        let app = Router::new()
            .route("/v1/charges", post(capture).get(list))
            .route("/v1/charges/{reference}", get(find))
            .route("/v1/charges/{reference}/refunds", post(refund))
            .layer(middleware::from_fn_with_state(ledger.clone(), disturb))
            .with_state(ledger.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        #[expect(clippy::disallowed_methods, reason = "ended when the provider is dropped")]
        let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { address, ledger, server }
    }

    pub(crate) fn settings(&self) -> HttpSettings {
        HttpSettings {
            url: format!("http://{}/", self.address),
            api_key: Secret::new(API_KEY),
            connect_timeout: TIMEOUT,
            timeout: TIMEOUT,
            max_connections: 8,
            idle_timeout: Duration::from_secs(5),
            response_max_bytes: RESPONSE_MAX,
            breaker_failures: 5,
            breaker_pause: Duration::from_hours(1),
        }
    }

    pub(crate) fn adapter(&self) -> HttpProvider {
        HttpProvider::new(&self.settings()).unwrap()
    }

    pub(crate) fn damage(&self, damage: Damage) {
        *lock(&self.ledger.damage) = Some(damage);
    }

    /// Calls that were carried out, whatever became of the answer.
    pub(crate) fn carried_out(&self) -> usize {
        self.ledger.carried_out.load(Ordering::SeqCst)
    }

    /// Most calls that were under way at once.
    pub(crate) fn busiest(&self) -> usize {
        self.ledger.busiest.load(Ordering::SeqCst)
    }

    /// Ends it, so that nobody listens any more.
    pub(crate) async fn stop(mut self) {
        self.server.abort();
        let _ = (&mut self.server).await;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Checks the key, lets the call be carried out, and damages the answer if that was asked for.
async fn disturb(State(ledger): State<Arc<Ledger>>, request: Request, next: Next) -> Response {
    let key = request.headers().get(header::AUTHORIZATION).cloned();
    if key.is_none_or(|key| key != format!("Bearer {API_KEY}")) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let busy = ledger.under_way.fetch_add(1, Ordering::SeqCst) + 1;
    ledger.busiest.fetch_max(busy, Ordering::SeqCst);
    tokio::task::yield_now().await;
    let answer = next.run(request).await;
    let damage = lock(&ledger.damage).take();
    ledger.carried_out.fetch_add(1, Ordering::SeqCst);
    let answer = match damage {
        Some(damage) => damaged(answer, damage).await,
        None => answer,
    };
    ledger.under_way.fetch_sub(1, Ordering::SeqCst);
    answer
}

async fn damaged(answer: Response, damage: Damage) -> Response {
    let body = axum::body::to_bytes(answer.into_body(), RESPONSE_MAX).await.unwrap();
    match damage {
        Damage::Status(status) => StatusCode::from_u16(status).unwrap().into_response(),
        Damage::Fault(status, word) => fault(StatusCode::from_u16(status).unwrap(), word),
        Damage::Garbage => "<html>it works</html>".into_response(),
        Damage::CutOff => {
            let half = Ok(body.slice(..body.len() / 2));
            let cut = Err(std::io::Error::other("cut"));
            Body::from_stream(stream::iter([half, cut])).into_response()
        }
        Damage::Huge => vec![b' '; RESPONSE_MAX + 1].into_response(),
        Damage::Endless => {
            let spaces = Bytes::from_static(&[b' '; 4_096]);
            let endless = stream::repeat(spaces).map(Ok::<_, std::io::Error>);
            Body::from_stream(endless).into_response()
        }
        Damage::Silence => std::future::pending().await,
        Damage::Member(name, value) => {
            let mut read: Value = serde_json::from_slice(&body).unwrap();
            read[name] = value;
            Json(read).into_response()
        }
    }
}

fn fault(status: StatusCode, word: &str) -> Response {
    (status, Json(json!({"error": word}))).into_response()
}

fn of<'c>(charges: &'c mut [Value], reference: &str) -> Option<&'c mut Value> {
    charges.iter_mut().find(|charge| charge["reference"] == reference)
}

async fn capture(State(ledger): State<Arc<Ledger>>, Json(asked): Json<Value>) -> Response {
    let mut charges = lock(&ledger.charges);
    let count = charges.len();
    if let Some(known) = of(&mut charges, asked["reference"].as_str().unwrap()) {
        let same = ["amount", "currency", "method"].iter().all(|name| known[*name] == asked[*name]);
        if !same {
            return fault(StatusCode::CONFLICT, "reference_reused");
        }
        return Json(known.clone()).into_response();
    }
    let (status, reason) = match asked["method"].as_str().unwrap() {
        "pm_ok" => ("captured", Value::Null),
        "pm_declined" => ("declined", "card_declined".into()),
        "pm_never" => ("pending", Value::Null),
        _ => return fault(StatusCode::UNPROCESSABLE_ENTITY, "method_not_supported"),
    };
    let charge = json!({
        "reference": asked["reference"],
        "provider_reference": format!("ch_{count:08}"),
        "amount": asked["amount"],
        "currency": asked["currency"],
        "method": asked["method"],
        "status": status,
        "reason": reason,
        "created_at": "2026-01-02T03:04:05.006Z",
        "refunds": [],
        "livemode": false,
    });
    charges.push(charge.clone());
    (StatusCode::CREATED, Json(charge)).into_response()
}

async fn find(State(ledger): State<Arc<Ledger>>, Path(reference): Path<String>) -> Response {
    match of(&mut lock(&ledger.charges), &reference) {
        Some(charge) => Json(charge.clone()).into_response(),
        None => fault(StatusCode::NOT_FOUND, "unknown_reference"),
    }
}

async fn refund(
    State(ledger): State<Arc<Ledger>>,
    Path(reference): Path<String>,
    Json(asked): Json<Value>,
) -> Response {
    let mut charges = lock(&ledger.charges);
    let Some(charge) = of(&mut charges, &reference) else {
        return fault(StatusCode::NOT_FOUND, "unknown_reference");
    };
    if charge["status"] != "captured" {
        return fault(StatusCode::UNPROCESSABLE_ENTITY, "not_captured");
    }
    let made = charge["refunds"].as_array().unwrap().clone();
    if made.iter().any(|refund| refund["refund_id"] == asked["refund_id"]) {
        return Json(charge.clone()).into_response();
    }
    if !made.is_empty() {
        return fault(StatusCode::CONFLICT, "already_refunded");
    }
    let refund = json!({
        "refund_id": asked["refund_id"],
        "amount": asked["amount"],
        "created_at": "2026-01-02T03:04:06.006Z",
    });
    charge["refunds"] = json!([refund]);
    (StatusCode::CREATED, Json(charge.clone())).into_response()
}

#[derive(Deserialize)]
struct PageQuery {
    after: Option<String>,
    limit: usize,
}

async fn list(State(ledger): State<Arc<Ledger>>, Query(query): Query<PageQuery>) -> Response {
    let charges = lock(&ledger.charges);
    let behind = |charge: &&Value| {
        query
            .after
            .as_deref()
            .is_none_or(|after| charge["provider_reference"].as_str() > Some(after))
    };
    let rest: Vec<_> = charges.iter().filter(behind).cloned().collect();
    let page: Vec<_> = rest.iter().take(query.limit).cloned().collect();
    let next = page.last().filter(|_| rest.len() > page.len());
    let next = next.map(|last| last["provider_reference"].clone());
    Json(json!({"charges": page, "next": next})).into_response()
}
