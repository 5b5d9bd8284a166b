//! What the audit log says of dead letters and dead mails: one row per decision.

use chassis::audit::{Actor, Entry};

use crate::model::{DeadLetterId, DeadLetterStatus, DeadMail, UserId, Verdict};

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

/// The entry of a message that is sent after all. It may die again, so there may be entries before.
pub(super) fn of_replay(mail: &DeadMail, by: UserId) -> Entry {
    let reason = mail.death.as_ref().map(|death| death.reason.as_str());
    Entry::new("mail.replayed", "mail", mail.id)
        .about(mail.user_id.as_uuid())
        .by(Actor::Admin(by.as_uuid()))
        .before(&[("status", "DEAD".into()), ("reason", reason.into())])
        .after(&[("status", "WAITING".into())])
}
