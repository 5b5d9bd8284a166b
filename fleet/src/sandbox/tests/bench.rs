//! A provider inside the test, and somebody who takes its callbacks.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use chrono::DateTime;
use reqwest::{Method, Url};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::sandbox::outbox::Retries;
use crate::sandbox::signature::{HEADER, SigningKey};
use crate::sandbox::{Client, Sandbox, Script, Settings, test_folder};
use crate::wait;

/// What the tests' clients send.
pub(super) const API_KEY: &str = "the-key-of-the-tests";
const CALLBACK_KEY: &str = "whsec_of-the-tests-0123456789abcdef";
const LIMIT: Duration = Duration::from_secs(20);

/// Takes callbacks and answers as it is told.
pub(super) struct Receiver {
    url: Url,
    answer: Arc<AtomicU16>,
    taken: watch::Receiver<Vec<Value>>,
    _serving: JoinSet<()>,
}

type Inbox = (watch::Sender<Vec<Value>>, Arc<AtomicU16>);

async fn take(
    State((inbox, answer)): State<Inbox>,
    headers: HeaderMap,
    body: String,
) -> StatusCode {
    let signature = headers.get(HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let seconds = signature.trim_start_matches("t=").split(',').next().unwrap_or_default();
    let at = DateTime::from_timestamp(seconds.parse().unwrap(), 0).unwrap();
    let expected = SigningKey::new(CALLBACK_KEY.as_bytes()).unwrap().sign(body.as_bytes(), at);
    if signature != expected {
        return StatusCode::UNAUTHORIZED;
    }
    let body = serde_json::from_str(&body).unwrap();
    inbox.send_modify(|all| all.push(body));
    StatusCode::from_u16(answer.load(Ordering::Relaxed)).unwrap()
}

impl Receiver {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/callback", listener.local_addr().unwrap());
        let (inbox, taken) = watch::channel(Vec::new());
        let answer = Arc::new(AtomicU16::new(200));
        let state: Inbox = (inbox, answer.clone());
        let router = Router::new().route("/callback", post(take)).with_state(state);
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url: url.parse().unwrap(), answer, taken, _serving: serving }
    }

    pub(super) fn answer_with(&self, status: u16) {
        self.answer.store(status, Ordering::Relaxed);
    }

    /// Everything that came, in order, once it is at least so much.
    pub(super) async fn until(&self, count: usize) -> Vec<Value> {
        let mut taken = self.taken.clone();
        let all = tokio::time::timeout(LIMIT, taken.wait_for(|all| all.len() >= count));
        all.await
            .unwrap_or_else(|_| panic!("no {count} callbacks: {:?}", self.all()))
            .unwrap()
            .clone()
    }

    pub(super) fn all(&self) -> Vec<Value> {
        self.taken.borrow().clone()
    }
}

/// A provider with a ledger of its own.
pub(super) struct Bench {
    pub(super) receiver: Receiver,
    pub(super) client: Client,
    pub(super) folder: PathBuf,
    pub(super) url: String,
    stop: oneshot::Sender<()>,
    serving: JoinSet<()>,
}

impl Bench {
    pub(super) async fn start(name: &str) -> Self {
        Self::open(test_folder(name), Receiver::start().await, Script::default()).await
    }

    pub(super) async fn scripted(name: &str, script: Script) -> Self {
        Self::open(test_folder(name), Receiver::start().await, script).await
    }

    async fn open(folder: PathBuf, receiver: Receiver, script: Script) -> Self {
        let sandbox = Sandbox::open(Settings {
            ledger: folder.join("ledger.jsonl"),
            callback_urls: vec![receiver.url.clone()],
            callback_key: CALLBACK_KEY.to_owned(),
            api_key: API_KEY.to_owned(),
            script,
            seed: 7,
            decided_after: Duration::from_millis(50),
            retries: Retries {
                first: Duration::from_millis(5),
                max: Duration::from_millis(20),
                tries: 1_000,
                refusals: 3,
            },
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel();
        let mut serving = JoinSet::new();
        let sandbox = sandbox.unwrap();
        serving.spawn(async move {
            let stop = async { stopped.await.unwrap_or_default() };
            sandbox.serve(listener, stop).await.unwrap();
        });
        let client = Client::new(&url, API_KEY).unwrap();
        Self { receiver, client, folder, url, stop, serving }
    }

    /// Ends the provider in order and starts another one on its ledger.
    pub(super) async fn restart(self) -> Self {
        let Self { receiver, folder, stop, mut serving, .. } = self;
        stop.send(()).unwrap();
        serving.join_next().await.unwrap().unwrap();
        Self::open(folder, receiver, Script::default()).await
    }

    pub(super) async fn finish(self) {
        let Self { folder, stop, mut serving, .. } = self;
        stop.send(()).unwrap();
        serving.join_next().await.unwrap().unwrap();
        std::fs::remove_dir_all(folder).unwrap();
    }

    /// Sends a request; `None` when no whole answer came within the time.
    pub(super) async fn call(
        &self,
        (method, path): (Method, &str),
        body: Option<&Value>,
        limit: Duration,
    ) -> Option<(u16, Value)> {
        let client = crate::http::client().timeout(limit).build().unwrap();
        let request = client.request(method, format!("{}{path}", self.url)).bearer_auth(API_KEY);
        let request = if let Some(body) = body { request.json(body) } else { request };
        let reply = request.send().await.ok()?;
        let status = reply.status().as_u16();
        Some((status, reply.json().await.ok()?))
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.call((Method::POST, path), Some(body), LIMIT).await.unwrap()
    }

    pub(super) async fn get(&self, path: &str) -> (u16, Value) {
        self.call((Method::GET, path), None, LIMIT).await.unwrap()
    }

    pub(super) async fn charge(&self, method: &str) -> (u16, Value) {
        self.post("/v1/charges", &new_charge(Uuid::new_v4(), method)).await
    }

    pub(super) async fn until_quiet(&self) {
        let quiet = || async { Ok((self.client.pending().await? == 0).then_some(())) };
        wait::until("quiet", LIMIT, quiet).await.unwrap();
    }
}

pub(super) fn new_charge(reference: Uuid, method: &str) -> Value {
    json!({"reference": reference, "amount": 19_900, "currency": "CNY", "method": method})
}
