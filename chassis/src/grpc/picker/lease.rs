//! The place of one call at its instance, and what the call tells of it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Backend, Picker};
use crate::discovery::Endpoint;

/// A chosen instance, counted as busy until this is dropped.
pub(in crate::grpc) struct Lease<C> {
    backend: Arc<Backend<C>>,
    picker: Arc<Picker<C>>,
    /// The instance was left out and has not answered since.
    is_trial: bool,
}

impl<C> Lease<C> {
    /// Counts one more call at an instance.
    pub(super) fn new(backend: Arc<Backend<C>>, picker: Arc<Picker<C>>) -> Self {
        backend.in_flight.fetch_add(1, Ordering::Relaxed);
        let is_trial = !backend.record.is_well();
        if is_trial {
            backend.record.begin_trial();
        }
        Self { backend, picker, is_trial }
    }

    pub(in crate::grpc) fn endpoint(&self) -> &Endpoint {
        &self.backend.endpoint
    }

    pub(in crate::grpc) fn connection(&self) -> &C {
        &self.backend.connection
    }

    /// The instance answered, whatever it said; if it was ejected, it is back.
    pub(in crate::grpc) fn succeeded(&self) {
        self.backend.record.forgive();
        if self.is_trial {
            self.backend.record.readmit();
        }
    }

    /// Nobody listens where the instance was, or nobody answers there: what follows would fail as
    /// well.
    pub(in crate::grpc) fn is_gone(&self) {
        self.picker.eject(&self.backend);
    }

    /// The instance could not be reached, refused to serve, or stayed silent.
    pub(in crate::grpc) fn failed(&self) {
        if self.backend.record.count_failure() >= self.picker.ejection.after_failures {
            self.picker.eject(&self.backend);
        }
    }
}

impl<C> Drop for Lease<C> {
    fn drop(&mut self) {
        self.backend.in_flight.fetch_sub(1, Ordering::Relaxed);
        if self.is_trial {
            self.backend.record.end_trial();
        }
    }
}

impl<C> fmt::Debug for Lease<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("endpoint", &self.backend.endpoint).finish_non_exhaustive()
    }
}
