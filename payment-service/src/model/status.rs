//! The state machine of a payment, as data.

use std::fmt;

/// Where a payment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PaymentStatus {
    /// Recorded; what the provider made of it is not known yet.
    Initiated,
    /// The provider accepted it and decides later.
    Pending,
    /// Captured.
    Succeeded,
    /// Declined, or never started.
    Failed,
    /// Captured, and a refund is under way.
    Refunding,
    /// The money went back.
    Refunded,
}

/// What moves a payment on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trigger {
    /// The provider took the charge and decides later.
    Accepted,
    /// The provider took the money.
    Captured,
    /// The provider refused.
    Declined,
    /// A refund was asked for.
    RefundRequested,
    /// The provider gave the money back.
    RefundCompleted,
}

/// How a payment may begin: with the intent to charge, or, when nobody awaits it any more, at its end.
pub const BEGINNINGS: &[PaymentStatus] = &[PaymentStatus::Initiated, PaymentStatus::Failed];

/// Every move there is; what is not listed is refused.
pub const TRANSITIONS: &[(PaymentStatus, Trigger, PaymentStatus)] = &[
    (PaymentStatus::Initiated, Trigger::Accepted, PaymentStatus::Pending),
    (PaymentStatus::Initiated, Trigger::Captured, PaymentStatus::Succeeded),
    (PaymentStatus::Initiated, Trigger::Declined, PaymentStatus::Failed),
    (PaymentStatus::Pending, Trigger::Captured, PaymentStatus::Succeeded),
    (PaymentStatus::Pending, Trigger::Declined, PaymentStatus::Failed),
    (PaymentStatus::Succeeded, Trigger::RefundRequested, PaymentStatus::Refunding),
    (PaymentStatus::Refunding, Trigger::RefundCompleted, PaymentStatus::Refunded),
];

/// News about a charge that a status cannot take because the payment is past it, and that says the
/// opposite of what is recorded.
const CONTRADICTIONS: &[(PaymentStatus, Trigger)] = &[
    (PaymentStatus::Failed, Trigger::Captured),
    (PaymentStatus::Succeeded, Trigger::Declined),
    (PaymentStatus::Refunding, Trigger::Declined),
    (PaymentStatus::Refunded, Trigger::Declined),
];

impl PaymentStatus {
    /// Every status.
    pub const ALL: [Self; 6] = [
        Self::Initiated,
        Self::Pending,
        Self::Succeeded,
        Self::Failed,
        Self::Refunding,
        Self::Refunded,
    ];

    /// The status after `trigger`, if this one allows it.
    pub fn after(self, trigger: Trigger) -> Option<Self> {
        let fits = |&&(from, by, _): &&(Self, Trigger, Self)| from == self && by == trigger;
        TRANSITIONS.iter().find(fits).map(|&(_, _, to)| to)
    }

    /// Whether `trigger` says the opposite of what this status records.
    pub fn is_contradicted_by(self, trigger: Trigger) -> bool {
        CONTRADICTIONS.contains(&(self, trigger))
    }

    /// Whether the next move is the provider's, so that somebody has to ask it in the end.
    pub const fn awaits_provider(self) -> bool {
        matches!(self, Self::Initiated | Self::Pending | Self::Refunding)
    }

    /// The name in storage and in events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Initiated => "INITIATED",
            Self::Pending => "PENDING",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::Refunding => "REFUNDING",
            Self::Refunded => "REFUNDED",
        }
    }

    /// The status with this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }
}

impl fmt::Display for PaymentStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Trigger {
    /// Every trigger.
    pub const ALL: [Self; 5] = [
        Self::Accepted,
        Self::Captured,
        Self::Declined,
        Self::RefundRequested,
        Self::RefundCompleted,
    ];

    /// The name in the documentation.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Captured => "captured",
            Self::Declined => "declined",
            Self::RefundRequested => "refund_requested",
            Self::RefundCompleted => "refund_completed",
        }
    }
}

/// Draws the machine as a Mermaid state diagram: how payments begin, the moves in the order of
/// [`TRANSITIONS`], and where they end.
pub fn mermaid() -> String {
    let mut lines = vec!["stateDiagram-v2".to_owned()];
    lines.extend(BEGINNINGS.iter().map(|status| format!("    [*] --> {status}")));
    for (from, trigger, to) in TRANSITIONS {
        lines.push(format!("    {from} --> {to}: {}", trigger.as_str()));
    }
    let is_final = |status: &PaymentStatus| Trigger::ALL.iter().all(|t| status.after(*t).is_none());
    let ends = PaymentStatus::ALL.into_iter().filter(is_final);
    lines.extend(ends.map(|status| format!("    {status} --> [*]")));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use PaymentStatus::*;
    use Trigger::*;

    use super::*;

    /// The whole machine, written a second time as a table: one row per status, one column per
    /// trigger in the order of `Trigger::ALL`.
    const EXPECTED: [(PaymentStatus, [Option<PaymentStatus>; 5]); 6] = [
        (Initiated, [Some(Pending), Some(Succeeded), Some(Failed), None, None]),
        (Pending, [None, Some(Succeeded), Some(Failed), None, None]),
        (Succeeded, [None, None, None, Some(Refunding), None]),
        (Failed, [None, None, None, None, None]),
        (Refunding, [None, None, None, None, Some(Refunded)]),
        (Refunded, [None, None, None, None, None]),
    ];

    #[test]
    fn every_status_takes_exactly_the_declared_triggers() {
        for (status, row) in EXPECTED {
            for (trigger, expected) in Trigger::ALL.into_iter().zip(row) {
                assert_eq!(status.after(trigger), expected, "{status} on {trigger:?}");
            }
        }
    }

    #[test]
    fn a_move_is_declared_once() {
        for (at, (from, by, _)) in TRANSITIONS.iter().enumerate() {
            let again = TRANSITIONS[at + 1..].iter().any(|(f, b, _)| (f, b) == (from, by));
            assert!(!again, "{from} on {by:?} twice");
        }
    }

    #[test]
    fn a_contradiction_is_never_also_a_move() {
        for (status, trigger) in CONTRADICTIONS {
            assert_eq!(status.after(*trigger), None);
        }
        assert!(Failed.is_contradicted_by(Captured));
        assert!(!Succeeded.is_contradicted_by(Captured));
        assert!(!Failed.is_contradicted_by(Accepted));
    }

    #[test]
    fn what_is_settled_waits_for_nobody() {
        let waiting: Vec<_> =
            PaymentStatus::ALL.into_iter().filter(|status| status.awaits_provider()).collect();
        assert_eq!(waiting, [Initiated, Pending, Refunding]);
    }

    #[test]
    fn the_documentation_shows_the_machine_that_runs() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/ARCHITECTURE.md");
        let documentation = std::fs::read_to_string(path).unwrap();
        let drawn = format!("```mermaid\n{}\n```", mermaid());
        assert!(documentation.contains(&drawn), "docs/ARCHITECTURE.md should show\n\n{drawn}\n");
        let arrows = BEGINNINGS.len() + TRANSITIONS.len() + 2;
        assert_eq!(drawn.matches("-->").count(), arrows);
    }

    #[test]
    fn names_read_back() {
        for status in PaymentStatus::ALL {
            assert_eq!(PaymentStatus::parse(&status.to_string()), Some(status));
        }
        assert_eq!(PaymentStatus::parse("paid"), None);
    }
}
