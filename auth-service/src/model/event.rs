//! What other services learn about sessions.

use serde::Serialize;
use uuid::Uuid;

use super::{EndReason, Session};

/// Something that happened to a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum SessionEvent {
    /// Someone logged in.
    Started {
        /// The session.
        session_id: Uuid,
        /// Whose session.
        user_id: Uuid,
        /// Its version afterwards.
        version: u64,
        /// What the client called itself.
        user_agent: String,
    },
    /// The session has ended; its access tokens must not be accepted any longer.
    Revoked {
        /// The session.
        session_id: Uuid,
        /// Whose session.
        user_id: Uuid,
        /// Its version afterwards.
        version: u64,
        /// Why it ended.
        reason: &'static str,
    },
    /// A refresh token was used twice: it may have been stolen.
    ReuseDetected {
        /// The session.
        session_id: Uuid,
        /// Whose session.
        user_id: Uuid,
        /// Its version afterwards.
        version: u64,
    },
}

impl SessionEvent {
    pub(super) fn started(session: &Session) -> Self {
        Self::Started {
            session_id: session.id().as_uuid(),
            user_id: session.user_id().as_uuid(),
            version: session.version(),
            user_agent: session.stored().client.user_agent.clone(),
        }
    }

    pub(super) fn revoked(session: &Session, reason: EndReason) -> Self {
        Self::Revoked {
            session_id: session.id().as_uuid(),
            user_id: session.user_id().as_uuid(),
            version: session.version(),
            reason: reason.as_str(),
        }
    }

    pub(super) fn reuse_detected(session: &Session) -> Self {
        Self::ReuseDetected {
            session_id: session.id().as_uuid(),
            user_id: session.user_id().as_uuid(),
            version: session.version(),
        }
    }

    /// The event's name, which is also its routing key.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Started { .. } => "auth.session_started",
            Self::Revoked { .. } => "auth.sessions_revoked",
            Self::ReuseDetected { .. } => "auth.token_reuse_detected",
        }
    }

    /// The session's version after the change.
    pub const fn version(&self) -> u64 {
        match self {
            Self::Started { version, .. }
            | Self::Revoked { version, .. }
            | Self::ReuseDetected { version, .. } => *version,
        }
    }
}
