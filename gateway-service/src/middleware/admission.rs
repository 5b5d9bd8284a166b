//! Sheds requests beyond what can be served, those that matter least first.
//!
//! Waiting for a body is no work: a client that sends one byte a second would hold a place for
//! seconds, and a few hundred of them all there are. So a request steps out while its body is on
//! the way, and in again when it has arrived.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use chassis::error::codes;
use http::{Method, StatusCode};
use metrics::{Counter, Gauge, counter, gauge};
use tokio::time::Instant;

use crate::error::ApiError;
use crate::shedding::settings::SheddingConfig;
use crate::shedding::{Priority, Shedder};

const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What a route is worth; `None` for probes, which are always let in: they cost nothing, and whoever
/// asks would take a gateway with much to do for one that is dead.
pub(crate) type Worth = Option<Priority>;

/// Who is in. More than can be served are refused immediately: one that queued here would be answered
/// after its client has gone.
#[derive(Clone)]
pub(crate) struct Admission(Arc<Door>);

struct Door {
    shedder: Mutex<Shedder>,
    routes: HashMap<String, Vec<(Method, Ranked)>>,
    limit: Gauge,
    active: Gauge,
    shed: [Counter; Priority::ALL.len()],
}

/// A route as the shedder knows it.
#[derive(Clone, Copy)]
struct Ranked {
    worth: Worth,
    /// Its number; `None` for paths that do not exist.
    number: Option<usize>,
}

impl Admission {
    /// For these routes, by path and method; never more than `max` at once.
    pub(crate) fn new(
        config: &SheddingConfig,
        max: usize,
        table: impl IntoIterator<Item = (String, Method, Worth)>,
    ) -> Self {
        let mut routes: HashMap<String, Vec<(Method, Ranked)>> = HashMap::new();
        let mut count = 0;
        for (path, method, worth) in table {
            let ranked = Ranked { worth, number: Some(count) };
            routes.entry(path).or_default().push((method, ranked));
            count += 1;
        }
        let shedder = Shedder::new(config, max, count, Instant::now());
        let limit = gauge!("http_server_concurrency_limit");
        limit.set(metric(shedder.limit()));
        let active = gauge!("http_server_active_requests");
        let shed = Priority::ALL.map(
            |priority| counter!("http_server_requests_shed_total", "class" => priority.name()),
        );
        Self(Arc::new(Door { shedder: Mutex::new(shedder), routes, limit, active, shed }))
    }

    /// What the request is worth. One for no route is worth no more than a read.
    fn rank(&self, request: &Request) -> Ranked {
        let nowhere = Ranked { worth: Some(Priority::Read), number: None };
        let Some(path) = request.extensions().get::<MatchedPath>() else { return nowhere };
        let methods = self.0.routes.get(path.as_str()).map(Vec::as_slice).unwrap_or_default();
        // What answers GET answers HEAD.
        let asked = if request.method() == Method::HEAD { &Method::GET } else { request.method() };
        let found = methods.iter().find(|(method, _)| method == asked);
        found.map_or(nowhere, |(_, ranked)| *ranked)
    }

    fn enter(&self, priority: Priority) -> Result<Instant, ApiError> {
        if self.shedder().enter(priority) {
            self.0.active.increment(1.0);
            return Ok(Instant::now());
        }
        if let Some(shed) = self.0.shed.get(priority as usize) {
            shed.increment(1);
        }
        Err(overloaded())
    }

    /// A request leaves; what it took is learnt if it was `served`.
    fn leave(&self, priority: Priority, entered: Instant, served: Option<usize>) {
        let now = Instant::now();
        let mut shedder = self.shedder();
        if let Some(route) = served {
            shedder.learn(route, now.saturating_duration_since(entered), now);
            self.0.limit.set(metric(shedder.limit()));
        }
        shedder.leave(priority);
        self.0.active.decrement(1.0);
    }

    fn shedder(&self) -> MutexGuard<'_, Shedder> {
        self.0.shedder.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of one request; it ends with the request.
#[derive(Clone)]
pub(crate) struct Admitted(Arc<Seat>);

struct Seat {
    admission: Admission,
    priority: Priority,
    route: Option<usize>,
    /// Since when it is taken; `None` while the request has stepped out.
    entered: Mutex<Option<Instant>>,
}

impl Admitted {
    /// Gives the place to others while `wait` is not done.
    pub(crate) async fn step_out<T>(&self, wait: impl Future<Output = T>) -> Result<T, ApiError> {
        let mut wait = pin!(wait);
        // Most bodies arrive together with their head.
        let first = std::future::poll_fn(|context| Poll::Ready(wait.as_mut().poll(context))).await;
        if let Poll::Ready(done) = first {
            return Ok(done);
        }
        self.0.leave(None);
        let done = wait.await;
        *self.0.entered() = Some(self.0.admission.enter(self.0.priority)?);
        Ok(done)
    }
}

impl Seat {
    fn take(
        admission: &Admission,
        priority: Priority,
        route: Option<usize>,
    ) -> Result<Self, ApiError> {
        let entered = Mutex::new(Some(admission.enter(priority)?));
        Ok(Self { admission: admission.clone(), priority, route, entered })
    }

    fn leave(&self, served: Option<usize>) {
        if let Some(entered) = self.entered().take() {
            self.admission.leave(self.priority, entered, served);
        }
    }

    fn entered(&self) -> MutexGuard<'_, Option<Instant>> {
        self.entered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that is given up leaves as well.
impl Drop for Seat {
    fn drop(&mut self) {
        self.leave(None);
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of requests are small")]
fn metric(count: usize) -> f64 {
    count as f64
}

/// What is said to a request for which there is no room.
pub(crate) fn overloaded() -> ApiError {
    let text = "the service is overloaded at the moment";
    ApiError::new(codes::SERVICE_UNAVAILABLE, text).retry_after(RETRY_AFTER)
}

/// Lets a request in, if there is room.
pub(crate) async fn admit(
    State(admission): State<Admission>,
    mut request: Request,
    next: Next,
) -> Response {
    let Ranked { worth, number } = admission.rank(&request);
    let Some(priority) = worth else { return next.run(request).await };
    let seat = match Seat::take(&admission, priority, number) {
        Ok(seat) => Arc::new(seat),
        Err(refusal) => return refusal.into_response(),
    };
    request.extensions_mut().insert(Admitted(Arc::clone(&seat)));
    let response = next.run(request).await;
    // An answer that was kept took no work, and would be what the work is compared with.
    let is_new = !response.headers().contains_key("idempotent-replayed");
    seat.leave(seat.route.filter(|_| is_new && tells_of_load(response.status())));
    response
}

/// Whether the time of an answer is that of the work, or of waiting for it in vain. A refusal comes
/// before the work.
fn tells_of_load(status: StatusCode) -> bool {
    status.is_success() || status == StatusCode::GATEWAY_TIMEOUT
}

#[cfg(test)]
mod tests {
    use axum::extract::Path;
    use axum::routing::post;
    use metrics_exporter_prometheus::PrometheusBuilder;
    use tokio::sync::oneshot;
    use tower::ServiceExt;

    use super::*;

    /// A house with so many places, and the place of one who is in.
    fn house(places: usize) -> (Admission, Admitted) {
        let admission = Admission::new(&SheddingConfig::default(), places, []);
        let seat = Seat::take(&admission, Priority::Order, None).unwrap();
        (admission, Admitted(Arc::new(seat)))
    }

    fn enter(admission: &Admission) -> Result<Seat, ApiError> {
        Seat::take(admission, Priority::Order, None)
    }

    #[tokio::test]
    async fn who_waits_holds_no_place() {
        let (admission, admitted) = house(1);
        assert!(enter(&admission).is_err());
        assert_eq!(admitted.step_out(std::future::ready(1)).await.unwrap(), 1);
        assert!(enter(&admission).is_err(), "there was nothing to wait for");
        let (arrive, arrival) = oneshot::channel::<u8>();
        let waiting = admitted.step_out(arrival);
        let others = async {
            let entered = enter(&admission).unwrap();
            drop(entered);
            arrive.send(2).unwrap();
        };
        let (arrived, ()) = tokio::join!(waiting, others);
        assert_eq!(arrived.unwrap(), Ok(2));
        assert!(enter(&admission).is_err(), "it is in again");
    }

    #[tokio::test]
    async fn who_comes_back_to_a_full_house_is_refused() {
        let (admission, admitted) = house(1);
        let (arrive, arrival) = oneshot::channel::<u8>();
        let others = async {
            let entered = enter(&admission).unwrap();
            arrive.send(2).unwrap();
            entered
        };
        let (refused, _entered) = tokio::join!(admitted.step_out(arrival), others);
        assert_eq!(refused.unwrap_err().code(), "SERVICE_UNAVAILABLE");
    }

    #[tokio::test]
    async fn whoever_leaves_leaves_once() {
        let (admission, admitted) = house(1);
        admitted.0.leave(None);
        let seat = enter(&admission).unwrap();
        drop(admitted);
        assert!(enter(&admission).is_err(), "the place was given back already");
        drop(seat);
        assert!(enter(&admission).is_ok());
    }

    #[tokio::test]
    async fn who_is_in_is_counted_until_they_leave_or_step_out() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let shown = || -> Option<u32> {
            let text = recorder.handle().render();
            let mut lines = text.lines();
            lines.find_map(|line| line.strip_prefix("http_server_active_requests ")?.parse().ok())
        };
        let (admission, admitted) = metrics::with_local_recorder(&recorder, || house(3));
        let other = enter(&admission).unwrap();
        assert!(enter(&admission).is_err(), "who is refused was never in");
        assert_eq!(shown(), Some(2));
        drop(other);
        assert_eq!(shown(), Some(1));
        let (arrive, arrival) = oneshot::channel::<u8>();
        let others = async {
            assert_eq!(shown(), Some(0), "its body is on the way");
            arrive.send(2).unwrap();
        };
        let (arrived, ()) = tokio::join!(admitted.step_out(arrival), others);
        assert_eq!((arrived.unwrap(), shown()), (Ok(2), Some(1)));
        admitted.0.leave(None);
        drop(admitted);
        assert_eq!(shown(), Some(0));
    }

    /// Answers as its path says, after so many milliseconds.
    async fn serve(Path((answer, ms)): Path<(String, u64)>) -> Response {
        tokio::time::sleep(Duration::from_millis(ms)).await;
        match answer.as_str() {
            "kept" => [("idempotent-replayed", "true")].into_response(),
            "refused" => StatusCode::CONFLICT.into_response(),
            "late" => StatusCode::GATEWAY_TIMEOUT.into_response(),
            _ => StatusCode::CREATED.into_response(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_answers_that_took_work_are_learnt_from() {
        let settings = SheddingConfig { min_limit: 1, calm_ms: 0, ..SheddingConfig::default() };
        for (first, then, is_lowered) in [
            ("/made/10", "/made/300", true),
            ("/made/10", "/late/300", true),
            ("/kept/0", "/made/300", false),
            ("/refused/0", "/made/300", false),
        ] {
            let route = ("/{answer}/{ms}".to_owned(), Method::POST, Some(Priority::Order));
            let admission = Admission::new(&settings, 4, [route]);
            let layer = axum::middleware::from_fn_with_state(admission.clone(), admit);
            let router = axum::Router::new().route("/{answer}/{ms}", post(serve)).layer(layer);
            for path in [first].into_iter().chain([then; 6]) {
                let request = || http::Request::post(path).body(axum::body::Body::empty()).unwrap();
                let ask = || router.clone().oneshot(request());
                // One alone is no load, however long it takes; two are half of what may be in.
                let (one, other) = tokio::join!(ask(), ask());
                assert_eq!(one.unwrap().status(), other.unwrap().status());
            }
            assert_eq!(admission.shedder().limit() < 4, is_lowered, "{first} and then {then}");
        }
    }
}
