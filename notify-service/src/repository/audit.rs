//! What the audit log says of dead letters: one row per decision.

use chassis::audit::{Actor, Entry};

use crate::model::{DeadLetterId, DeadLetterStatus, Verdict};

/// The entry of a decision: only administrators decide, and on each letter once.
pub(super) fn of_verdict(id: DeadLetterId, verdict: &Verdict) -> Entry {
    let action = match verdict.status {
        DeadLetterStatus::Replayed => "dead_letter.replayed",
        DeadLetterStatus::Discarded | DeadLetterStatus::Open => "dead_letter.discarded",
    };
    Entry::new(action, "dead_letter", id)
        .by(Actor::Admin(verdict.by.as_uuid()))
        .before(&[("status", DeadLetterStatus::Open.as_str().into())])
        .after(&[
            ("status", verdict.status.as_str().into()),
            ("reason", verdict.reason.as_deref().into()),
        ])
        .first()
}
