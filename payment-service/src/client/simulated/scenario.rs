//! What each test method does, as data.

use std::time::Duration;

use super::Verdict;
use crate::model::{PaymentMethod, Reason};

/// When and how a charge is decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// With the answer.
    AtOnce(Verdict),
    /// After the configured delay, followed by a callback.
    Later(Verdict),
    /// Not at all.
    Never,
}

/// How the call is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// At once.
    Prompt,
    /// After a pause.
    After(Duration),
    /// Never, although the charge was made.
    Silent,
}

/// What a method does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scenario {
    pub(super) decision: Decision,
    pub(super) manner: Manner,
    /// How often the callback is sent.
    pub(super) callbacks: u32,
}

impl Scenario {
    /// The scenario of a token; one that is not known is declined.
    pub(super) fn of(method: &PaymentMethod) -> Self {
        let at_once = |verdict| (Decision::AtOnce(verdict), Manner::Prompt, 0);
        let (decision, manner, callbacks) = match method.as_str() {
            "pm_ok" => at_once(Verdict::Captured),
            "pm_declined" => at_once(declined("card_declined")),
            "pm_insufficient_funds" => at_once(declined("insufficient_funds")),
            "pm_pending_then_ok" => (Decision::Later(Verdict::Captured), Manner::Prompt, 1),
            "pm_pending_then_failed" => {
                (Decision::Later(declined("card_declined")), Manner::Prompt, 1)
            }
            "pm_never" => (Decision::Never, Manner::Prompt, 0),
            "pm_timeout" => (Decision::AtOnce(Verdict::Captured), Manner::Silent, 0),
            "pm_duplicate_callback" => (Decision::AtOnce(Verdict::Captured), Manner::Prompt, 5),
            "pm_slow_2s" => {
                let pause = Duration::from_secs(2);
                (Decision::AtOnce(Verdict::Captured), Manner::After(pause), 0)
            }
            _ => at_once(declined("unknown_payment_method")),
        };
        Self { decision, manner, callbacks }
    }
}

fn declined(reason: &str) -> Verdict {
    Verdict::Declined(Reason::from_provider(reason))
}
