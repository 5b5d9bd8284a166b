//! Who registers the same address at the same time does so one after the other.
//!
//! The unique key alone keeps accounts apart. But a hundred registrations at once would cost a
//! hundred hashes for one account, so those of one process take turns before they hash: the second
//! one finds the account and costs nothing.

use std::hash::{BuildHasher as _, RandomState};

use tokio::sync::{Mutex, MutexGuard};

use crate::model::Email;

/// Turns that may be taken at once by different addresses. Two addresses that share one wait for each
/// other needlessly, which is rare, and harmless.
const LANES: usize = 512;

/// Turns by address.
#[derive(Debug)]
pub(super) struct Turns {
    lanes: Vec<Mutex<()>>,
    hasher: RandomState,
}

impl Turns {
    pub(super) fn new() -> Self {
        let lanes = (0..LANES).map(|_| Mutex::new(())).collect();
        Self { lanes, hasher: RandomState::new() }
    }

    /// Waits until nobody else of this process registers the address.
    pub(super) async fn take(&self, email: &Email) -> Option<MutexGuard<'_, ()>> {
        let lanes = u64::try_from(LANES).unwrap_or(1);
        let lane = self.hasher.hash_one(email.normalized()) % lanes;
        match self.lanes.get(usize::try_from(lane).unwrap_or_default()) {
            Some(lane) => Some(lane.lock().await),
            None => None,
        }
    }
}
