//! Readiness: whether this instance should get work, and which dependency is in the way.
//!
//! Liveness is not asked here: a process whose database is down must not be restarted for it.
//! Checks run in the background at a steady pace, so that a flood of probes causes no flood of
//! queries; a probe reads the last result.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use serde::Serialize;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

const INTERVAL: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(2);

type Check = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// The readiness of this instance. Clones share the state.
#[derive(Clone)]
pub struct Health {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    ready: watch::Sender<bool>,
    /// Pause between two rounds of checks.
    interval: Duration,
    /// Longest run of one check.
    timeout: Duration,
}

struct State {
    phase: Phase,
    checks: BTreeMap<&'static str, Entry>,
}

struct Entry {
    check: Check,
    required: bool,
    /// `None`: not checked yet.
    last: Option<Result<(), String>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Phase {
    Starting,
    Serving,
    Draining,
}

/// What `/readyz` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// `ready` or `not_ready`.
    pub status: &'static str,
    /// `starting`, `serving` or `draining`.
    pub phase: &'static str,
    /// Every dependency with its last result, by name.
    pub dependencies: Vec<Dependency>,
}

/// One dependency in a [`Report`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Dependency {
    /// Name given at registration.
    pub name: &'static str,
    /// `up`, `down`, or `unknown` before the first check.
    pub status: &'static str,
    /// Whether the instance is unready without it.
    pub required: bool,
    /// Why it is down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Health {
    /// Creates the readiness of an instance that is starting.
    pub fn new() -> Self {
        Self::with_pace(INTERVAL, TIMEOUT)
    }

    fn with_pace(interval: Duration, timeout: Duration) -> Self {
        let state = State { phase: Phase::Starting, checks: BTreeMap::new() };
        let shared = Shared {
            state: Mutex::new(state),
            ready: watch::Sender::new(false),
            interval,
            timeout,
        };
        Self { shared: Arc::new(shared) }
    }

    /// Adds a dependency without which the instance is not ready.
    pub fn register<F, Fut>(&self, name: &'static str, check: F)
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.add(name, true, Arc::new(move || Box::pin(check())));
    }

    /// Adds a dependency that is reported, but whose loss the instance can live with.
    pub fn register_optional<F, Fut>(&self, name: &'static str, check: F)
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.add(name, false, Arc::new(move || Box::pin(check())));
    }

    /// Follows the readiness, for `grpc.health.v1` and others that report it.
    pub fn ready(&self) -> watch::Receiver<bool> {
        self.shared.ready.subscribe()
    }

    /// Whether the instance is ready now.
    pub fn is_ready(&self) -> bool {
        *self.shared.ready.borrow()
    }

    /// The details behind [`Health::is_ready`].
    pub fn report(&self) -> Report {
        let state = self.state();
        Report {
            status: if state.is_ready() { "ready" } else { "not_ready" },
            phase: match state.phase {
                Phase::Starting => "starting",
                Phase::Serving => "serving",
                Phase::Draining => "draining",
            },
            dependencies: state.checks.iter().map(|(name, entry)| entry.view(name)).collect(),
        }
    }

    /// The start is over: ready as soon as every required dependency is up.
    pub fn started(&self) {
        self.enter(Phase::Serving);
    }

    /// The process stops: not ready from here on.
    pub fn draining(&self) {
        self.enter(Phase::Draining);
    }

    /// Runs every check once.
    pub async fn refresh(&self) {
        let checks: Vec<_> =
            self.state().checks.iter().map(|(name, entry)| (*name, entry.check.clone())).collect();
        let limit = self.shared.timeout;
        let results = join_all(checks.into_iter().map(|(name, check)| async move {
            let result = tokio::time::timeout(limit, check()).await;
            let timed_out = || Err(format!("no answer within {} ms", limit.as_millis()));
            (name, result.unwrap_or_else(|_| timed_out()))
        }));
        for (name, result) in results.await {
            self.record(name, result);
        }
        self.publish();
    }

    /// Runs the checks until `stop`.
    pub async fn watch(&self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(self.shared.interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => self.refresh().await,
            }
        }
    }

    fn add(&self, name: &'static str, required: bool, check: Check) {
        self.state().checks.insert(name, Entry { check, required, last: None });
        self.publish();
    }

    fn enter(&self, phase: Phase) {
        self.state().phase = phase;
        self.publish();
    }

    fn record(&self, name: &'static str, result: Result<(), String>) {
        let mut state = self.state();
        let Some(entry) = state.checks.get_mut(name) else {
            return;
        };
        match (&result, entry.last.as_ref()) {
            (Err(error), None | Some(Ok(()))) => {
                tracing::warn!(dependency = name, error, "dependency is down");
            }
            (Ok(()), Some(Err(_))) => tracing::info!(dependency = name, "dependency is back"),
            _ => {}
        }
        entry.last = Some(result);
    }

    fn publish(&self) {
        let ready = self.state().is_ready();
        self.shared.ready.send_if_modified(|shown| std::mem::replace(shown, ready) != ready);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}

impl State {
    fn is_ready(&self) -> bool {
        self.phase == Phase::Serving
            && self
                .checks
                .values()
                .filter(|entry| entry.required)
                .all(|entry| matches!(entry.last, Some(Ok(()))))
    }
}

impl Entry {
    fn view(&self, name: &'static str) -> Dependency {
        Dependency {
            name,
            status: match &self.last {
                None => "unknown",
                Some(Ok(())) => "up",
                Some(Err(_)) => "down",
            },
            required: self.required,
            error: self.last.as_ref().and_then(|last| last.as_ref().err().cloned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    fn switch(health: &Health, name: &'static str, up: &Arc<AtomicBool>) {
        let up = up.clone();
        health.register(name, move || {
            let up = up.load(Ordering::SeqCst);
            async move { if up { Ok(()) } else { Err("connection refused".to_owned()) } }
        });
    }

    #[tokio::test]
    async fn an_instance_is_ready_between_start_and_drain() {
        let health = Health::new();
        assert!(!health.is_ready());
        health.started();
        assert!(health.is_ready());
        health.draining();
        assert!(!health.is_ready());
        assert_eq!(health.report().phase, "draining");
    }

    #[tokio::test]
    async fn readiness_follows_required_dependencies() {
        let health = Health::new();
        let up = Arc::new(AtomicBool::new(true));
        switch(&health, "database", &up);
        health.started();
        assert!(!health.is_ready(), "nothing was checked yet");
        let mut ready = health.ready();
        health.refresh().await;
        assert!(*ready.borrow_and_update());
        up.store(false, Ordering::SeqCst);
        health.refresh().await;
        assert!(ready.has_changed().unwrap());
        assert!(!health.is_ready());
        let report = health.report();
        assert_eq!(report.status, "not_ready");
        assert_eq!(report.dependencies[0].error.as_deref(), Some("connection refused"));
    }

    #[tokio::test]
    async fn an_optional_dependency_is_only_reported() {
        let health = Health::new();
        health.register_optional("broker", || async { Err("no route".to_owned()) });
        health.started();
        health.refresh().await;
        assert!(health.is_ready());
        assert_eq!(health.report().dependencies[0].status, "down");
    }

    #[tokio::test]
    async fn a_check_that_hangs_counts_as_down() {
        let health = Health::with_pace(INTERVAL, Duration::from_millis(5));
        health.register("database", std::future::pending);
        health.started();
        health.refresh().await;
        assert_eq!(health.report().dependencies[0].error.as_deref(), Some("no answer within 5 ms"));
    }

    #[tokio::test]
    async fn checks_go_on_until_stopped() {
        let health = Health::with_pace(Duration::from_millis(1), TIMEOUT);
        let up = Arc::new(AtomicBool::new(false));
        switch(&health, "database", &up);
        health.started();
        let stop = CancellationToken::new();
        let mut ready = health.ready();
        let watching = health.watch(stop.clone());
        let observing = async {
            up.store(true, Ordering::SeqCst);
            ready.wait_for(|ready| *ready).await.unwrap();
            stop.cancel();
        };
        tokio::join!(watching, observing);
    }
}
