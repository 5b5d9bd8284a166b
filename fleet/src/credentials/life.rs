//! From when to when something is good.

use chrono::Utc;
use serde::{Deserialize, Serialize};

/// Seconds of a day.
pub(super) const DAY: u64 = 86_400;

/// From when on before its end something is made anew.
pub(super) const MARGIN: u64 = 7 * DAY;

/// How far back a life begins, for clocks that are behind ours.
const BACKDATED: u64 = 3_600;

/// From when to when a certificate is good, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    /// The beginning.
    pub from: u64,
    /// The end.
    pub until: u64,
}

impl Life {
    /// From now on for so many seconds.
    pub fn of(seconds: u64) -> Self {
        let now = now();
        Self { from: now.saturating_sub(BACKDATED), until: now + seconds }
    }

    /// One that is over.
    pub fn past() -> Self {
        let now = now();
        Self { from: now - 2 * DAY, until: now - DAY }
    }

    /// Whether it is time for a successor.
    pub(super) fn is_near_its_end(&self) -> bool {
        self.until < now() + MARGIN
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "certificates are good for the time of the services, which is the machine's"
)]
fn now() -> u64 {
    u64::try_from(Utc::now().timestamp()).unwrap_or_default()
}
