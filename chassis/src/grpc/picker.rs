//! Chooses the instance for each call: least in flight, without those that keep failing.
//!
//! Instances are diffed as the registry's set changes, so that one that stays keeps its
//! connection and its counters. An instance is ejected for a while after consecutive failures, and
//! at once where nobody listens any more, but never the last one: a doubtful address beats none.
//! After its time it gets calls again, and one more failure ejects it at once. Ejection is the work
//! of the call that fails: the next one already goes elsewhere.

use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::discovery::Endpoint;

/// When an instance is left out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ejection {
    /// After how many failures in a row.
    pub(super) after_failures: u32,
    /// For how long.
    pub(super) duration: Duration,
}

/// Opens a lazily connected connection to an instance.
type Connect<C> = Box<dyn Fn(&Endpoint) -> C + Send + Sync>;

/// The instances of one service; `C` is the connection to one of them.
pub(super) struct Picker<C> {
    connect: Connect<C>,
    ejection: Ejection,
    /// The zero of [`Backend::ejected_until_ms`].
    epoch: Instant,
    state: Mutex<State<C>>,
}

struct State<C> {
    endpoints: watch::Receiver<Arc<[Endpoint]>>,
    /// The set that `backends` was made from. Compared by address: the receiver's own mark of a
    /// change is lost when the registry ends before the last set was read.
    seen: Arc<[Endpoint]>,
    backends: Backends<C>,
}

type Backends<C> = Arc<[Arc<Backend<C>>]>;

struct Backend<C> {
    endpoint: Endpoint,
    connection: C,
    in_flight: AtomicUsize,
    failures: AtomicU32,
    /// Milliseconds after the picker's epoch; 0 means not ejected.
    ejected_until_ms: AtomicU64,
}

impl<C> Picker<C> {
    pub(super) fn new(
        endpoints: watch::Receiver<Arc<[Endpoint]>>,
        ejection: Ejection,
        connect: impl Fn(&Endpoint) -> C + Send + Sync + 'static,
    ) -> Self {
        Self {
            connect: Box::new(connect),
            ejection,
            epoch: Instant::now(),
            state: Mutex::new(State {
                endpoints,
                // The first pick reads the set: connections must be made inside the runtime.
                seen: Arc::from([]),
                backends: Arc::from([]),
            }),
        }
    }

    /// Takes the instance with the fewest calls in flight; `None` when none is known. One that is
    /// ejected is only taken for want of another, and one that the call has `tried` before only when
    /// it has tried them all: the last instance may be going while one that was ejected is back.
    pub(super) fn pick(self: &Arc<Self>, tried: &[Endpoint]) -> Option<Lease<C>> {
        let backends = self.backends();
        let now_ms = self.now_ms();
        let admitted = || backends.iter().filter(|backend| !backend.is_ejected(now_ms));
        let is_new = |backend: &&Arc<Backend<C>>| !tried.contains(&backend.endpoint);
        let chosen = least_loaded(admitted().filter(is_new))
            .or_else(|| least_loaded(backends.iter().filter(is_new)))
            .or_else(|| least_loaded(admitted()))
            .or_else(|| least_loaded(backends.iter()))?;
        chosen.in_flight.fetch_add(1, Ordering::Relaxed);
        let was_ejected = chosen.is_ejected(now_ms);
        Some(Lease { backend: Arc::clone(chosen), picker: Arc::clone(self), was_ejected })
    }

    fn backends(&self) -> Backends<C> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let current = Arc::clone(&state.endpoints.borrow());
        if !Arc::ptr_eq(&current, &state.seen) {
            state.backends = self.diff(&state.backends, &current);
            state.seen = current;
        }
        Arc::clone(&state.backends)
    }

    fn diff(&self, old: &Backends<C>, endpoints: &[Endpoint]) -> Backends<C> {
        let kept_or_new = endpoints.iter().map(|endpoint| {
            let known = old.iter().find(|backend| backend.endpoint == *endpoint);
            known.map_or_else(|| Arc::new(self.open(endpoint)), Arc::clone)
        });
        kept_or_new.collect()
    }

    fn open(&self, endpoint: &Endpoint) -> Backend<C> {
        Backend {
            endpoint: endpoint.clone(),
            connection: (self.connect)(endpoint),
            in_flight: AtomicUsize::new(0),
            failures: AtomicU32::new(0),
            ejected_until_ms: AtomicU64::new(0),
        }
    }

    fn eject(&self, backend: &Arc<Backend<C>>) {
        let now_ms = self.now_ms();
        let is_alternative =
            |other: &Arc<Backend<C>>| !Arc::ptr_eq(other, backend) && !other.is_ejected(now_ms);
        if !self.backends().iter().any(is_alternative) {
            return;
        }
        let duration_ms = u64::try_from(self.ejection.duration.as_millis()).unwrap_or(u64::MAX);
        backend.ejected_until_ms.store(now_ms.saturating_add(duration_ms), Ordering::Relaxed);
        let one_below = self.ejection.after_failures.saturating_sub(1);
        backend.failures.store(one_below, Ordering::Relaxed);
        metrics::counter!("rpc_client_ejections_total").increment(1);
        tracing::warn!(endpoint = %backend.endpoint, "endpoint ejected after repeated failures");
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl<C> Backend<C> {
    fn is_ejected(&self, now_ms: u64) -> bool {
        self.ejected_until_ms.load(Ordering::Relaxed) > now_ms
    }
}

/// Returns one with the fewest calls in flight, each of those equally likely: always taking the
/// first would send every call of an idle service to the same instance.
fn least_loaded<'b, C: 'b>(
    backends: impl Iterator<Item = &'b Arc<Backend<C>>>,
) -> Option<&'b Arc<Backend<C>>> {
    let mut best: Option<(&Arc<Backend<C>>, usize)> = None;
    let mut ties = 1_u32;
    for backend in backends {
        let load = backend.in_flight.load(Ordering::Relaxed);
        match best {
            Some((_, least)) if load > least => {}
            Some((_, least)) if load == least => {
                ties += 1;
                if rand::random_range(0..ties) == 0 {
                    best = Some((backend, load));
                }
            }
            _ => {
                ties = 1;
                best = Some((backend, load));
            }
        }
    }
    best.map(|(backend, _)| backend)
}

/// A chosen instance, counted as busy until this is dropped.
pub(super) struct Lease<C> {
    backend: Arc<Backend<C>>,
    picker: Arc<Picker<C>>,
    /// It was taken for want of another.
    was_ejected: bool,
}

impl<C> Lease<C> {
    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.backend.endpoint
    }

    pub(super) fn connection(&self) -> &C {
        &self.backend.connection
    }

    /// The instance answered, whatever it said; if it was ejected, it is back.
    pub(super) fn succeeded(&self) {
        self.backend.failures.store(0, Ordering::Relaxed);
        if self.was_ejected {
            self.backend.ejected_until_ms.store(0, Ordering::Relaxed);
        }
    }

    /// Nobody listens where the instance was: what follows would fail as well.
    pub(super) fn is_gone(&self) {
        self.picker.eject(&self.backend);
    }

    /// The instance could not be reached, refused to serve, or stayed silent.
    pub(super) fn failed(&self) {
        let failures = self.backend.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if failures >= self.picker.ejection.after_failures {
            self.picker.eject(&self.backend);
        }
    }
}

impl<C> Drop for Lease<C> {
    fn drop(&mut self) {
        self.backend.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<C> fmt::Debug for Lease<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("endpoint", &self.backend.endpoint).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    const EJECTION: Ejection = Ejection { after_failures: 3, duration: Duration::from_secs(5) };

    fn endpoints(ports: &[u16]) -> Arc<[Endpoint]> {
        ports.iter().map(|port| Endpoint::new("127.0.0.1", *port)).collect()
    }

    fn picker(ports: &[u16]) -> (Arc<Picker<u16>>, watch::Sender<Arc<[Endpoint]>>) {
        let (sender, receiver) = watch::channel(endpoints(ports));
        let picker = Picker::new(receiver, EJECTION, |endpoint: &Endpoint| endpoint.port);
        (Arc::new(picker), sender)
    }

    fn fail(picker: &Arc<Picker<u16>>, port: u16, times: u32) {
        let mut failed = 0;
        while failed < times {
            let lease = picker.pick(&[]).unwrap();
            if lease.endpoint().port == port {
                lease.failed();
                failed += 1;
            }
        }
    }

    fn ports_picked(picker: &Arc<Picker<u16>>, picks: usize) -> HashMap<u16, usize> {
        let mut counts = HashMap::new();
        for _ in 0..picks {
            *counts.entry(*picker.pick(&[]).unwrap().connection()).or_default() += 1;
        }
        counts
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_was_ejected_is_asked_when_the_last_one_is_gone_and_is_back_when_it_answers() {
        let (picker, _sender) = picker(&[1, 2]);
        picker.pick(&[Endpoint::new("127.0.0.1", 2)]).unwrap().is_gone();
        assert_eq!(ports_picked(&picker, 16), HashMap::from([(2, 16)]));
        let last = picker.pick(&[]).unwrap();
        last.is_gone();
        let other = picker.pick(std::slice::from_ref(last.endpoint())).unwrap();
        assert_eq!(*other.connection(), 1);
        other.succeeded();
        last.is_gone();
        assert_eq!(ports_picked(&picker, 16), HashMap::from([(1, 16)]));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_picked_while_no_endpoint_is_known() {
        assert!(picker(&[]).0.pick(&[]).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_set_is_used_also_after_the_registry_has_ended() {
        let (picker, sender) = picker(&[1]);
        sender.send_replace(endpoints(&[2]));
        drop(sender);
        assert_eq!(picker.pick(&[]).unwrap().endpoint().port, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn ties_are_broken_at_random() {
        let (picker, _sender) = picker(&[1, 2, 3]);
        let counts = ports_picked(&picker, 3000);
        for port in [1, 2, 3] {
            assert!((800..1200).contains(&counts[&port]), "{counts:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_endpoint_is_ejected_after_consecutive_failures_and_returns_on_probation() {
        let (picker, _sender) = picker(&[1, 2]);
        fail(&picker, 1, 3);
        assert_eq!(ports_picked(&picker, 50).get(&1), None);
        tokio::time::advance(EJECTION.duration).await;
        assert!(ports_picked(&picker, 50).contains_key(&1));
        fail(&picker, 1, 1);
        assert_eq!(ports_picked(&picker, 50).get(&1), None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_call_after_the_last_failure_goes_elsewhere() {
        let (picker, _sender) = picker(&[1, 2]);
        let begun = Instant::now();
        fail(&picker, 1, EJECTION.after_failures);
        for _ in 0..50 {
            assert_eq!(picker.pick(&[]).unwrap().endpoint().port, 2);
        }
        assert_eq!(begun.elapsed(), Duration::ZERO, "nothing had to be waited for");
    }

    #[tokio::test(start_paused = true)]
    async fn where_nobody_listens_one_failure_is_enough() {
        let (picker, _sender) = picker(&[1, 2]);
        let lease = |port: u16| {
            let mut leases = std::iter::repeat_with(|| picker.pick(&[]).unwrap());
            leases.find(|lease| lease.endpoint().port == port).unwrap()
        };
        lease(1).is_gone();
        assert_eq!(ports_picked(&picker, 50).get(&1), None);
        lease(2).is_gone();
        assert_eq!(ports_picked(&picker, 20)[&2], 20, "the last one stays");
        tokio::time::advance(EJECTION.duration).await;
        assert!(ports_picked(&picker, 50).contains_key(&1), "it gets calls again");
    }

    #[tokio::test(start_paused = true)]
    async fn a_success_forgives_earlier_failures() {
        let (picker, _sender) = picker(&[1, 2]);
        for _ in 0..4 {
            fail(&picker, 1, 2);
            let mut leases = std::iter::repeat_with(|| picker.pick(&[]).unwrap());
            leases.find(|lease| lease.endpoint().port == 1).unwrap().succeeded();
        }
        assert!(ports_picked(&picker, 50).contains_key(&1));
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_endpoint_is_never_ejected() {
        let (picker, _sender) = picker(&[1, 2]);
        fail(&picker, 1, 3);
        fail(&picker, 2, 10);
        assert_eq!(ports_picked(&picker, 20)[&2], 20);
    }

    #[tokio::test(start_paused = true)]
    async fn an_endpoint_that_was_tried_is_taken_only_for_want_of_another() {
        let (picker, sender) = picker(&[1, 2]);
        let tried = &endpoints(&[1])[..];
        for _ in 0..20 {
            assert_eq!(picker.pick(tried).unwrap().endpoint().port, 2);
        }
        sender.send_replace(endpoints(&[1]));
        assert_eq!(picker.pick(tried).unwrap().endpoint().port, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn an_endpoint_that_stays_keeps_its_counters_when_the_set_changes() {
        let (picker, sender) = picker(&[1, 2]);
        let held: Vec<_> = (0..2).map(|_| picker.pick(&[]).unwrap()).collect();
        sender.send_replace(endpoints(&[2, 3]));
        assert_eq!(picker.pick(&[]).unwrap().endpoint().port, 3, "2 still has a call in flight");
        drop(held);
        assert_eq!(ports_picked(&picker, 50).get(&1), None);
    }

    proptest! {
        #[test]
        fn calls_are_spread_evenly_however_many_are_held(count in 1_u16..8, held in 1_usize..64) {
            let ports: Vec<u16> = (1..=count).collect();
            let (sender, receiver) = watch::channel(endpoints(&ports));
            let picker = Arc::new(Picker::new(receiver, EJECTION, |e: &Endpoint| e.port));
            let leases: Vec<_> = (0..held).map(|_| picker.pick(&[]).unwrap()).collect();
            let mut loads = vec![0_usize; usize::from(count)];
            for lease in &leases {
                loads[usize::from(lease.endpoint().port) - 1] += 1;
            }
            let spread = loads.iter().max().unwrap() - loads.iter().min().unwrap();
            prop_assert!(spread <= 1, "{loads:?}");
            drop(leases);
            drop(sender);
        }
    }
}
