//! Who did what to an order, and when.

use std::fmt;

use chrono::{DateTime, Utc};

use super::{Attempt, PaymentId, Refund, UserId};

/// Who caused a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// The owner of the order.
    User(UserId),
    /// An administrator.
    Admin(UserId),
    /// A part of the fleet, such as `recovery`.
    System(String),
}

impl Actor {
    /// A part of the fleet.
    pub fn system(name: &str) -> Self {
        Self::System(name.to_owned())
    }

    /// Reads the stored form back.
    pub fn parse(text: &str) -> Option<Self> {
        let (role, name) = text.split_once(':')?;
        match role {
            "user" => UserId::parse(name).ok().map(Self::User),
            "admin" => UserId::parse(name).ok().map(Self::Admin),
            "system" => Some(Self::System(name.to_owned())),
            _ => None,
        }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => write!(f, "user:{id}"),
            Self::Admin(id) => write!(f, "admin:{id}"),
            Self::System(name) => write!(f, "system:{name}"),
        }
    }
}

/// What a timeline entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TimelineKind {
    /// The order changed its state.
    Transition,
    /// Somebody tried to pay.
    PaymentAttempt,
    /// Money is to go back.
    Refund,
}

impl TimelineKind {
    /// The name shown to clients.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Transition => "transition",
            Self::PaymentAttempt => "payment_attempt",
            Self::Refund => "refund",
        }
    }
}

/// One thing that happened to an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimelineEntry {
    /// When it happened.
    pub time: DateTime<Utc>,
    /// What it is about.
    pub kind: TimelineKind,
    /// Who caused it, in the form `user:ID`, `admin:ID` or `system:NAME`.
    pub actor: String,
    /// State before; `None` for the first transition and for what is not a transition.
    pub from: Option<String>,
    /// State after, or how the attempt or refund stands.
    pub to: String,
    /// What caused it.
    pub cause: String,
    /// The payment concerned, if any.
    pub payment_id: Option<PaymentId>,
    /// W3C trace id of the work that did it; empty if there was none.
    pub trace_id: String,
}

impl TimelineEntry {
    /// The entry of an attempt, in the state that it is in.
    pub fn of_attempt(attempt: &Attempt) -> Self {
        let outcome = attempt.outcome.as_ref();
        Self {
            time: attempt.created_at,
            kind: TimelineKind::PaymentAttempt,
            actor: attempt.actor.to_string(),
            from: None,
            to: outcome.map_or("PENDING", |outcome| outcome.name()).to_owned(),
            cause: outcome.and_then(|outcome| outcome.reason()).unwrap_or_default().to_owned(),
            payment_id: Some(attempt.id),
            trace_id: String::new(),
        }
    }

    /// The entry of a refund, in the state that it is in.
    pub fn of_refund(refund: &Refund, created_at: DateTime<Utc>) -> Self {
        Self {
            time: created_at,
            kind: TimelineKind::Refund,
            actor: Actor::system("refunds").to_string(),
            from: None,
            to: if refund.done { "SUCCEEDED" } else { "PENDING" }.to_owned(),
            cause: refund.reason.as_str().to_owned(),
            payment_id: Some(refund.payment_id),
            trace_id: String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actors_read_back() {
        let id = UserId::generate();
        for actor in [Actor::User(id), Actor::Admin(id), Actor::system("recovery")] {
            assert_eq!(Actor::parse(&actor.to_string()), Some(actor));
        }
        for bad in ["", "user", "user:17", "root:x"] {
            assert_eq!(Actor::parse(bad), None, "{bad:?}");
        }
    }
}
