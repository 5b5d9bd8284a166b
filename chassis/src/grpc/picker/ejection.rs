//! When an instance is left out: for a while after consecutive failures.
//!
//! After its time it gets one call at a time until it has answered one: were it cut off still, all
//! that it got at once would wait there in vain. One more failure ejects it at once.

use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// When an instance is left out.
#[derive(Debug, Clone, Copy)]
pub(in crate::grpc) struct Ejection {
    /// After how many failures in a row.
    pub(in crate::grpc) after_failures: u32,
    /// For how long.
    pub(in crate::grpc) duration: Duration,
}

/// How the calls of one instance went.
#[derive(Default)]
pub(super) struct Record {
    failures: AtomicU32,
    /// Milliseconds after the picker's epoch; 0 means not ejected, or back.
    ejected_until_ms: AtomicU64,
    /// Calls under way that find out whether it is back.
    trials: AtomicUsize,
}

impl Record {
    /// Whether the instance is left out at this time.
    pub(super) fn is_ejected(&self, now_ms: u64) -> bool {
        self.ejected_until_ms.load(Ordering::Relaxed) > now_ms
    }

    /// Whether the instance was not left out, or has answered since.
    pub(super) fn is_well(&self) -> bool {
        self.ejected_until_ms.load(Ordering::Relaxed) == 0
    }

    /// Whether the instance gets a call at this time: it is well, or nobody else finds out whether
    /// it is.
    pub(super) fn takes_calls(&self, now_ms: u64) -> bool {
        let has_room = || self.trials.load(Ordering::Relaxed) == 0;
        self.is_well() || (!self.is_ejected(now_ms) && has_room())
    }

    /// A call finds out whether the instance is back.
    pub(super) fn begin_trial(&self) {
        self.trials.fetch_add(1, Ordering::Relaxed);
    }

    /// Such a call is over, whatever became of it.
    pub(super) fn end_trial(&self) {
        self.trials.fetch_sub(1, Ordering::Relaxed);
    }

    /// Forgets the failures before an answer.
    pub(super) fn forgive(&self) {
        self.failures.store(0, Ordering::Relaxed);
    }

    /// The instance is back.
    pub(super) fn readmit(&self) {
        self.ejected_until_ms.store(0, Ordering::Relaxed);
    }

    /// Counts a failure; returns how many there were in a row.
    pub(super) fn count_failure(&self) -> u32 {
        self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1)
    }

    /// Leaves the instance out from this time on.
    pub(super) fn eject(&self, ejection: Ejection, now_ms: u64) {
        let duration_ms = u64::try_from(ejection.duration.as_millis()).unwrap_or(u64::MAX);
        self.ejected_until_ms.store(now_ms.saturating_add(duration_ms), Ordering::Relaxed);
        self.failures.store(ejection.after_failures.saturating_sub(1), Ordering::Relaxed);
    }
}
