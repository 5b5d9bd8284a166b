//! What each payment method does, as data.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a charge comes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The money is taken.
    Captured,
    /// It is not, for this reason.
    Declined(String),
}

/// When a charge is decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// With the answer.
    AtOnce(Verdict),
    /// After a pause.
    Later(Verdict),
    /// Not at all.
    Never,
}

/// How the call that made the charge is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// At once.
    Prompt,
    /// After a pause.
    After(Duration),
    /// Not at all.
    Silent,
}

/// Which callbacks follow the decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Callbacks {
    /// How often the same one is delivered; zero: nobody is told.
    pub copies: u32,
    /// How long after the decision.
    pub delay: Duration,
    /// It names another amount.
    pub wrong_amount: bool,
    /// `payment.pending` follows what it should have preceded.
    pub reordered: bool,
}

impl Callbacks {
    const ONE: Self =
        Self { copies: 1, delay: Duration::ZERO, wrong_amount: false, reordered: false };
    const NONE: Self = Self { copies: 0, ..Self::ONE };
}

/// What a method does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// When and how it is decided.
    pub decision: Decision,
    /// How the first call is answered.
    pub manner: Manner,
    /// What is called back.
    pub callbacks: Callbacks,
}

/// Copies of a callback that is delivered repeatedly.
const COPIES: u32 = 5;
/// `pm_slow_2s`.
const SLOW: Duration = Duration::from_secs(2);
/// `pm_delayed_5s`.
const DELAYED: Duration = Duration::from_secs(5);

impl Scenario {
    /// The scenario of a token; one that is not known is declined.
    pub fn of(method: &str) -> Self {
        let later = |verdict, callbacks| (Decision::Later(verdict), Manner::Prompt, callbacks);
        let at_once = |verdict, manner, callbacks| (Decision::AtOnce(verdict), manner, callbacks);
        let refused = |reason| at_once(declined(reason), Manner::Prompt, Callbacks::ONE);
        let one = Callbacks::ONE;
        let captured = Verdict::Captured;
        let (decision, manner, callbacks) = match method {
            "pm_ok" => at_once(captured, Manner::Prompt, one),
            "pm_declined" => refused("card_declined"),
            "pm_insufficient_funds" => refused("insufficient_funds"),
            "pm_pending_then_ok" => later(captured, one),
            "pm_pending_then_failed" => later(declined("card_declined"), one),
            "pm_never" => (Decision::Never, Manner::Prompt, Callbacks::NONE),
            "pm_timeout" => at_once(captured, Manner::Silent, Callbacks::NONE),
            "pm_duplicate_callback" => {
                at_once(captured, Manner::Prompt, Callbacks { copies: COPIES, ..one })
            }
            "pm_slow_2s" => at_once(captured, Manner::After(SLOW), one),
            "pm_wrong_amount" => {
                at_once(captured, Manner::Prompt, Callbacks { wrong_amount: true, ..one })
            }
            "pm_reordered" => later(captured, Callbacks { reordered: true, ..one }),
            "pm_lost_callback" => later(captured, Callbacks::NONE),
            "pm_delayed_5s" => later(captured, Callbacks { delay: DELAYED, ..one }),
            _ => refused("unknown_payment_method"),
        };
        Self { decision, manner, callbacks }
    }
}

fn declined(reason: &str) -> Verdict {
    Verdict::Declined(reason.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_told_of_what_is_found_out_by_asking_only() {
        for method in ["pm_never", "pm_timeout", "pm_lost_callback"] {
            assert_eq!(Scenario::of(method).callbacks.copies, 0, "{method}");
        }
        assert_eq!(Scenario::of("pm_ok").callbacks, Callbacks::ONE);
        assert_eq!(Scenario::of("pm_delayed_5s").callbacks.delay, DELAYED);
    }

    #[test]
    fn an_unknown_method_is_declined() {
        let scenario = Scenario::of("pm_of_another_provider");
        assert_eq!(scenario.decision, Decision::AtOnce(declined("unknown_payment_method")));
    }
}
