//! What may happen to a payment.

use proptest::prelude::*;

use crate::model::Outcome;
use crate::service::torture::provider::declined;

/// What a charge is at first, and what it comes to when it is decided.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) first: Outcome,
    pub(super) last: Outcome,
}

/// What the provider makes of charges.
pub(super) fn plan() -> impl Strategy<Value = Plan> {
    let plan = |first, last| Just(Plan { first, last });
    prop_oneof![
        plan(Outcome::Captured, Outcome::Captured),
        plan(declined(), declined()),
        plan(Outcome::Pending, Outcome::Captured),
        plan(Outcome::Pending, declined()),
        plan(Outcome::Pending, Outcome::Pending),
    ]
}

/// What becomes of the next call of the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Disturbance {
    /// Nothing.
    None,
    /// It never arrives.
    LoseCall,
    /// It is carried out, and the answer is lost.
    LoseAnswer,
    /// This process dies before it arrives.
    DieBefore,
    /// It is carried out, and this process dies before the answer.
    DieAfter,
}

/// What a callback says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Says {
    /// How the charge stands.
    Truth,
    /// That it is pending, however late.
    Pending,
    /// That it failed, whether it did or not.
    Failed,
    /// How the charge stands, with another amount.
    WrongAmount,
    /// Something about another thing.
    Other,
}

/// One thing that happens.
#[derive(Clone, Debug)]
pub(super) enum Happening {
    /// The payment is asked for, the first time or again.
    Create(Disturbance),
    /// The provider decides.
    Decide,
    /// The provider captures what it has declined.
    CaptureAfterAll,
    /// A callback, of one of a few ids: the same id may come with another body.
    Callback { says: Says, id: u8, copies: u8 },
    /// A refund under one of a few ids.
    Refund { id: u8, disturbance: Disturbance },
    /// A round of the reconciliation, after a pause.
    Reconcile(Disturbance),
    /// A walk through the provider's ledger.
    Walk,
    /// A callback and a round of the reconciliation at once.
    Race { says: Says, id: u8 },
    /// The process is started anew.
    Restart,
}

impl Happening {
    pub(super) fn any() -> impl Strategy<Value = Self> {
        let (ids, copies) = (0..4_u8, 1..3_u8);
        prop_oneof![
            3 => disturbance().prop_map(Self::Create),
            2 => Just(Self::Decide),
            1 => Just(Self::CaptureAfterAll),
            4 => (says(), ids.clone(), copies)
                .prop_map(|(says, id, copies)| Self::Callback { says, id, copies }),
            2 => (0..2_u8, disturbance())
                .prop_map(|(id, disturbance)| Self::Refund { id, disturbance }),
            3 => disturbance().prop_map(Self::Reconcile),
            1 => Just(Self::Walk),
            2 => (says(), ids).prop_map(|(says, id)| Self::Race { says, id }),
            1 => Just(Self::Restart),
        ]
    }
}

fn disturbance() -> impl Strategy<Value = Disturbance> {
    prop_oneof![
        3 => Just(Disturbance::None),
        1 => Just(Disturbance::LoseCall),
        1 => Just(Disturbance::LoseAnswer),
        1 => Just(Disturbance::DieBefore),
        1 => Just(Disturbance::DieAfter),
    ]
}

fn says() -> impl Strategy<Value = Says> {
    prop_oneof![
        4 => Just(Says::Truth),
        1 => Just(Says::Pending),
        1 => Just(Says::Failed),
        1 => Just(Says::WrongAmount),
        1 => Just(Says::Other),
    ]
}
