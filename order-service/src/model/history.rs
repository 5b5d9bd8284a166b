//! Who did what to an order, and when.

use std::fmt;

use chrono::{DateTime, Utc};

use super::{Attempt, Outcome, PaymentId, Refund, Trigger, UserId};

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

/// When something was done, by whom, and in which trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// When.
    pub at: DateTime<Utc>,
    /// By whom.
    pub actor: Actor,
    /// W3C trace id of the work that did it; empty if there was none.
    pub trace_id: String,
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
    /// State before; `None` for what begins: an order, an attempt, a refund.
    pub from: Option<String>,
    /// State after, of the order, the attempt or the refund.
    pub to: String,
    /// What caused it.
    pub cause: String,
    /// The payment concerned, if any.
    pub payment_id: Option<PaymentId>,
    /// W3C trace id of the work that did it; empty if there was none.
    pub trace_id: String,
}

/// State of an attempt or refund that is not settled.
pub(super) const PENDING: &str = "PENDING";

/// State of a refund whose money is back.
pub(super) const DONE: &str = "SUCCEEDED";

impl TimelineEntry {
    /// The entry of an attempt that starts.
    pub fn attempt_started(attempt: &Attempt, trace_id: String) -> Self {
        let mark = Mark { at: attempt.created_at, actor: attempt.actor.clone(), trace_id };
        let kind = TimelineKind::PaymentAttempt;
        Self::of(kind, attempt.id, mark).leads(None, PENDING, "payment_attempted")
    }

    /// The entry of an attempt that came to its end.
    pub fn attempt_settled(id: PaymentId, outcome: &Outcome, mark: Mark) -> Self {
        let cause = outcome.reason().unwrap_or(Trigger::Capture.cause());
        let entry = Self::of(TimelineKind::PaymentAttempt, id, mark);
        entry.leads(Some(PENDING), outcome.name(), cause)
    }

    /// The entry of a refund that is asked for.
    pub fn refund_asked(refund: &Refund, mark: Mark) -> Self {
        let entry = Self::of(TimelineKind::Refund, refund.payment_id, mark);
        entry.leads(None, PENDING, refund.reason.as_str())
    }

    /// The entry of a refund whose money is back.
    pub fn refund_done(refund: &Refund, mark: Mark) -> Self {
        let entry = Self::of(TimelineKind::Refund, refund.payment_id, mark);
        entry.leads(Some(PENDING), DONE, refund.reason.as_str())
    }

    fn of(kind: TimelineKind, payment_id: PaymentId, mark: Mark) -> Self {
        Self {
            time: mark.at,
            kind,
            actor: mark.actor.to_string(),
            from: None,
            to: String::new(),
            cause: String::new(),
            payment_id: Some(payment_id),
            trace_id: mark.trace_id,
        }
    }

    fn leads(self, from: Option<&str>, to: &str, cause: &str) -> Self {
        let (from, to, cause) = (from.map(str::to_owned), to.to_owned(), cause.to_owned());
        Self { from, to, cause, ..self }
    }
}

/// Part of what happened to an order: the latest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeline {
    /// Oldest first.
    pub entries: Vec<TimelineEntry>,
    /// Whether there are older ones that are left out.
    pub truncated: bool,
}

impl Timeline {
    /// Puts the entries in their order and keeps the latest `limit`. Of what happened at once, a
    /// transition comes first, and what was told first stays first.
    pub fn latest(mut entries: Vec<TimelineEntry>, limit: u32) -> Self {
        entries.sort_by_key(|entry| (entry.time, entry.kind));
        let surplus = entries.len().saturating_sub(limit as usize);
        entries.drain(..surplus);
        Self { entries, truncated: surplus > 0 }
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

    fn at(second: i64, kind: TimelineKind, to: &str) -> TimelineEntry {
        let at = DateTime::from_timestamp(second, 0).unwrap();
        let mark = Mark { at, actor: Actor::system("test"), trace_id: String::new() };
        TimelineEntry::of(kind, PaymentId::generate(), mark).leads(None, to, "")
    }

    #[test]
    fn a_timeline_is_ordered_by_time_and_keeps_the_latest() {
        use TimelineKind::{PaymentAttempt, Refund, Transition};

        let told = vec![
            at(2, Refund, "d"),
            at(2, PaymentAttempt, "b"),
            at(2, PaymentAttempt, "c"),
            at(1, Transition, "a"),
        ];
        let names = |timeline: &Timeline| {
            timeline.entries.iter().map(|entry| entry.to.clone()).collect::<String>()
        };
        let whole = Timeline::latest(told.clone(), 4);
        assert_eq!((names(&whole).as_str(), whole.truncated), ("abcd", false));
        let part = Timeline::latest(told, 2);
        assert_eq!((names(&part).as_str(), part.truncated), ("cd", true));
    }
}
