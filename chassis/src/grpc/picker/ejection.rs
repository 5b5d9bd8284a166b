//! When an instance is left out: for a while after consecutive failures.
//!
//! After its time it gets calls again, and one more failure ejects it at once.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
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
    /// Milliseconds after the picker's epoch; 0 means not ejected.
    ejected_until_ms: AtomicU64,
}

impl Record {
    /// Whether the instance is left out at this time.
    pub(super) fn is_ejected(&self, now_ms: u64) -> bool {
        self.ejected_until_ms.load(Ordering::Relaxed) > now_ms
    }

    /// Forgets the failures before an answer.
    pub(super) fn forgive(&self) {
        self.failures.store(0, Ordering::Relaxed);
    }

    /// Ends the ejection.
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
