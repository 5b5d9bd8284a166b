//! What the audit log says of sessions and signing keys: one row per end of a session, one per key
//! that is published, begins to sign, takes the place of all others, or is sealed anew.
//!
//! That a session began or was refreshed changes nobody's identity, and is told by the session itself.

use chassis::audit::{Actor, Entry};

use crate::model::{EndReason, Session, StoredKey};

/// The entry of an end; a session has one.
pub(super) fn of_end(session: &Session, reason: EndReason) -> Entry {
    let user = session.user_id().as_uuid();
    let (action, actor) = match reason {
        EndReason::TokenReuse => ("session.reuse_detected", Actor::system("auth-service")),
        EndReason::AccountDisabled | EndReason::EpochMoved => {
            ("session.ended", Actor::system("auth-service"))
        }
        // Whoever logs out or in again has no token that was verified on the way.
        EndReason::Logout
        | EndReason::Revoked
        | EndReason::RevokedByAdmin
        | EndReason::Displaced => ("session.ended", Actor::current().unwrap_or(Actor::User(user))),
    };
    Entry::new(action, "session", session.id())
        .about(user)
        .by(actor)
        .before(&[("status", "ACTIVE".into())])
        .after(&[("status", "ENDED".into()), ("reason", reason.as_str().into())])
        .first()
}

/// What becomes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyDeed {
    /// It is published, to sign later.
    Published,
    /// It signs, as the first one of all.
    First,
    /// It signs at once, and all others are withdrawn.
    ReplacedAll,
}

/// The entry of a new key.
pub(super) fn of_new_key(key: &StoredKey, deed: KeyDeed) -> Entry {
    let (action, state) = match deed {
        KeyDeed::Published => ("key.published", "PENDING"),
        KeyDeed::First => ("key.signs", "SIGNING"),
        KeyDeed::ReplacedAll => ("key.replaced_all", "SIGNING"),
    };
    let entry = Entry::new(action, "key", &key.kid);
    by_order(entry).after(&[("state", state.into())]).first()
}

/// The entry of a published key that signs from now on.
pub(super) fn of_promotion(kid: &str) -> Entry {
    by_order(Entry::new("key.signs", "key", kid))
        .before(&[("state", "PENDING".into())])
        .after(&[("state", "SIGNING".into())])
}

/// The entry of a key whose private part is stored sealed under another key, and is the same.
pub(super) fn of_resealing(kid: &str) -> Entry {
    Entry::new("key.resealed", "key", kid)
}

/// By order of an administrator, or by schedule.
fn by_order(entry: Entry) -> Entry {
    entry.by(Actor::current().unwrap_or_else(|| Actor::system("key-rotation")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{SessionId, StoredSession, UserId};

    fn session() -> Session {
        Session::restore(StoredSession {
            id: SessionId::generate(),
            user_id: UserId::generate(),
            session_epoch: 1,
            has_ended: true,
            client: crate::model::Client::default(),
            version: 2,
            created_at: chrono::DateTime::UNIX_EPOCH,
            last_used_at: chrono::DateTime::UNIX_EPOCH,
            expires_at: chrono::DateTime::UNIX_EPOCH,
        })
    }

    #[test]
    fn an_end_names_whoever_brought_it() {
        let session = session();
        let text = |reason| format!("{:?}", of_end(&session, reason));
        let holder = format!("User({})", session.user_id());
        assert!(text(EndReason::Logout).contains(&holder), "{}", text(EndReason::Logout));
        for reason in [EndReason::TokenReuse, EndReason::AccountDisabled] {
            assert!(text(reason).contains("auth-service"), "{}", text(reason));
            assert!(text(reason).contains(reason.as_str()), "{}", text(reason));
        }
        assert_eq!(of_end(&session, EndReason::TokenReuse).action(), "session.reuse_detected");
    }
}
