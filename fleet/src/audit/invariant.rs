//! What must hold, whatever dies: the invariants, and which of them this reader can see.

use std::fmt;

use serde::{Serialize, Serializer};

/// One promise of the fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Invariant(u8);

/// How far the stored state can prove an invariant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// All of it.
    Full,
    /// A part; the text says what is missing.
    Partial(&'static str),
    /// Only with a client history.
    History,
    /// Nothing; the text says why.
    Blind(&'static str),
}

use Sight::{Blind, Full, History, Partial};

/// Title and sight of I1 to I25, in order.
const ALL: [(&str, Sight); 25] = [
    ("a paid order has exactly one payment, and a captured payment its paid order", Full),
    ("at most one capture kept per order; the provider's ledger equals ours", Full),
    (
        "money is conserved in a double-entry ledger that nobody rewrites",
        Partial("a row that was changed and changed back leaves no trace"),
    ),
    ("a cancelled or expired order keeps no money", Full),
    (
        "amounts are within their bounds and totals are the sum of the items",
        Partial("stock is balanced only when it is told what was put on sale"),
    ),
    ("histories are paths in the declared graphs, without gaps", Full),
    ("one key, one effect, one answer", Partial("equal replies are seen only in a client history")),
    ("an acknowledged write is readable afterwards", History),
    ("a refused call has no effect", History),
    (
        "an unknown call ends as done once or not done",
        Partial("which calls were unknown is seen only in a client history"),
    ),
    (
        "a transition has exactly one event, with the id that follows from it",
        Partial("a published event is seen only by what its consumers made of it"),
    ),
    ("every event is published in the end", Full),
    (
        "every event has its effect exactly once",
        Partial("a missing notice of a topic that is muted now is taken for muted"),
    ),
    (
        "no event without its transition",
        Partial("payloads are compared as long as they wait in the outbox"),
    ),
    (
        "versions are applied in order",
        Partial("an older version that was applied and overtaken leaves no trace"),
    ),
    (
        "queues end empty, and dead letters are the planted ones",
        Partial("queues are seen only through the broker's management API"),
    ),
    (
        "a session has one live refresh token at most",
        Partial("how soon access tokens die is seen only by using them"),
    ),
    (
        "no token works after logout, password change or disabling",
        Blind("it is seen only by using tokens against the clock"),
    ),
    (
        "nobody sees what belongs to another user",
        Partial("stored rows are compared by owner; responses are seen only by their readers"),
    ),
    ("no secret in logs, traces, metrics or errors", Blind("these are not stored in a schema")),
    (
        "changes of money and identity have an audit row each, in a chain",
        Partial("an object that was rolled back together with its last rows leaves no trace"),
    ),
    ("identities are unique, and the keys that make them so are in place", Full),
    (
        "no service opens another's schema",
        Partial("service identity in calls is seen only by calling"),
    ),
    ("no write starts after its deadline", Blind("deadlines travel with calls and are not stored")),
    ("resources return to their baseline", Blind("processes are not looked at")),
];

impl Invariant {
    /// Invariant `I{number}`, from 1.
    ///
    /// # Panics
    ///
    /// When there is no such invariant; used in constants, so that it does not compile then.
    pub const fn new(number: u8) -> Self {
        assert!(number >= 1 && number as usize <= ALL.len(), "there is no such invariant");
        Self(number)
    }

    /// Every invariant.
    pub fn all() -> impl Iterator<Item = Self> {
        (1..).take(ALL.len()).map(Self)
    }

    /// What it promises.
    pub fn title(self) -> &'static str {
        ALL[usize::from(self.0) - 1].0
    }

    /// How far it can be seen.
    pub fn sight(self) -> Sight {
        ALL[usize::from(self.0) - 1].1
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // As one word, so that a width applies to it.
        f.pad(&format!("I{}", self.0))
    }
}

impl Serialize for Invariant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
