//! Chooses the instance for each call: least in flight, without those that are left out.
//!
//! Instances are diffed as the registry's set changes, so that one that stays keeps its
//! connection and its counters. Who is left out, and for how long, is decided by how calls went
//! (`ejection.rs`), but never the last one: a doubtful address beats none. Ejection is the work of
//! the call that fails: the next one already goes elsewhere.

mod ejection;
mod lease;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio::time::Instant;

pub(super) use self::ejection::Ejection;
use self::ejection::Record;
pub(super) use self::lease::Lease;
use crate::discovery::Endpoint;

/// Opens a lazily connected connection to an instance.
type Connect<C> = Box<dyn Fn(&Endpoint) -> C + Send + Sync>;

/// The instances of one service; `C` is the connection to one of them.
pub(super) struct Picker<C> {
    connect: Connect<C>,
    ejection: Ejection,
    /// The zero of the picker's milliseconds.
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
    record: Record,
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
        let admitted = || backends.iter().filter(|backend| backend.record.takes_calls(now_ms));
        let is_new = |backend: &&Arc<Backend<C>>| !tried.contains(&backend.endpoint);
        let chosen = least_loaded(admitted().filter(is_new))
            .or_else(|| least_loaded(backends.iter().filter(is_new)))
            .or_else(|| least_loaded(admitted()))
            .or_else(|| least_loaded(backends.iter()))?;
        Some(Lease::new(Arc::clone(chosen), Arc::clone(self)))
    }

    /// How many instances of the current set were left out and have not answered since.
    pub(super) fn left_out(&self) -> u32 {
        let state = self.state();
        // A set that nobody has picked from yet is not read here: that would make connections.
        let current = Arc::clone(&state.endpoints.borrow());
        let is_left_out = |backend: &&Arc<Backend<C>>| {
            !backend.record.is_well() && current.contains(&backend.endpoint)
        };
        let count = state.backends.iter().filter(is_left_out).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    fn backends(&self) -> Backends<C> {
        self.refresh(&mut self.state())
    }

    fn state(&self) -> MutexGuard<'_, State<C>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refresh(&self, state: &mut State<C>) -> Backends<C> {
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
            record: Record::default(),
        }
    }

    /// Leaves an instance out, unless it is the last one that is well. Calls that were under way when
    /// it was ejected may still fail; they are part of that ejection.
    fn eject(&self, backend: &Arc<Backend<C>>) {
        // One at a time: of two instances that fail at once each would find the other one well.
        let mut state = self.state();
        let now_ms = self.now_ms();
        if backend.record.is_ejected(now_ms) {
            return;
        }
        let is_alternative =
            |other: &Arc<Backend<C>>| !Arc::ptr_eq(other, backend) && other.record.is_well();
        if !self.refresh(&mut state).iter().any(is_alternative) {
            return;
        }
        backend.record.eject(self.ejection, now_ms);
        drop(state);
        metrics::counter!("rpc_client_ejections_total").increment(1);
        tracing::warn!(endpoint = %backend.endpoint, "endpoint ejected");
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX)
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

#[cfg(test)]
mod tests;
