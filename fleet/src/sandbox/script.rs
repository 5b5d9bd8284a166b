//! Faults on top of those of the payment methods: how often each happens, drawn from a seed.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::chaos::draw::Draw;

/// Longest answer and latest callback that a script may ask for: beyond it, a run tests nothing.
const LATENCY_MS_MAX: u64 = 60_000;
const DELAY_MS_MAX: u64 = 86_400_000;
const COPIES_MAX: u32 = 100;

/// How the provider misbehaves; the default is not at all. Shares are in a hundred.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Script {
    /// Each call takes so much longer: half of it before it is acted upon, half of it after.
    pub latency_ms: u64,
    /// Calls that are answered with 503; half of them did what was asked.
    pub error_percent: u8,
    /// Calls that are acted upon and whose connection then closes without an answer.
    pub lost_answer_percent: u8,
    /// Callbacks that are delivered `copies` times, all at once.
    pub duplicate_percent: u8,
    /// How often those are delivered.
    pub copies: u32,
    /// Decisions after which `payment.pending` follows what it should have preceded.
    pub reorder_percent: u8,
    /// Callbacks that are never sent.
    pub lose_percent: u8,
    /// Callbacks that name another amount.
    pub wrong_amount_percent: u8,
    /// Callbacks come so much later.
    pub delay_ms: u64,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            latency_ms: 0,
            error_percent: 0,
            lost_answer_percent: 0,
            duplicate_percent: 0,
            copies: 5,
            reorder_percent: 0,
            lose_percent: 0,
            wrong_amount_percent: 0,
            delay_ms: 0,
        }
    }
}

impl Script {
    /// The member that is out of its range, if there is one.
    pub fn fault(&self) -> Option<&'static str> {
        let shares = [
            ("error_percent", self.error_percent),
            ("lost_answer_percent", self.lost_answer_percent),
            ("duplicate_percent", self.duplicate_percent),
            ("reorder_percent", self.reorder_percent),
            ("lose_percent", self.lose_percent),
            ("wrong_amount_percent", self.wrong_amount_percent),
        ];
        let limits = [
            ("latency_ms", self.latency_ms <= LATENCY_MS_MAX),
            ("delay_ms", self.delay_ms <= DELAY_MS_MAX),
            ("copies", (2..=COPIES_MAX).contains(&self.copies)),
        ];
        let excess = shares.into_iter().find(|(_, share)| *share > 100).map(|(name, _)| name);
        excess.or_else(|| limits.into_iter().find(|(_, fits)| !fits).map(|(name, _)| name))
    }
}

/// What happens to one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallFate {
    /// It takes so much longer.
    pub latency: Duration,
    /// It is not acted upon.
    pub is_ignored: bool,
    /// It is answered with 503.
    pub fails: bool,
    /// It is not answered.
    pub answer_is_lost: bool,
}

/// What happens to the callbacks of one decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallbackFate {
    /// They are not sent.
    pub is_lost: bool,
    /// Each is delivered so often.
    pub copies: Option<u32>,
    /// See [`Script::reorder_percent`].
    pub reordered: bool,
    /// They name another amount.
    pub wrong_amount: bool,
    /// They come so much later.
    pub delay: Duration,
}

/// The script in force and the draws of a seed.
#[derive(Debug)]
pub struct Faults(Mutex<State>);

#[derive(Debug)]
struct State {
    script: Script,
    errors: Draw,
    halves: Draw,
    answers: Draw,
    duplicates: Draw,
    orders: Draw,
    losses: Draw,
    amounts: Draw,
}

impl Faults {
    /// Each kind of fault has draws of its own, so that turning one on changes no other.
    pub fn new(script: Script, seed: u64) -> Self {
        let draw = Draw::new(seed);
        Self(Mutex::new(State {
            script,
            errors: draw.fork("errors"),
            halves: draw.fork("halves"),
            answers: draw.fork("answers"),
            duplicates: draw.fork("duplicates"),
            orders: draw.fork("orders"),
            losses: draw.fork("losses"),
            amounts: draw.fork("amounts"),
        }))
    }

    /// The script in force.
    pub fn script(&self) -> Script {
        self.state().script.clone()
    }

    /// Follows another script from the next draw on.
    pub fn follow(&self, script: Script) {
        self.state().script = script;
    }

    /// Draws for one call.
    pub fn of_call(&self) -> CallFate {
        let mut state = self.state();
        let State { script, errors, halves, answers, .. } = &mut *state;
        let fails = errors.percent(script.error_percent.into());
        CallFate {
            latency: Duration::from_millis(script.latency_ms),
            is_ignored: halves.percent(50) && fails,
            fails,
            answer_is_lost: answers.percent(script.lost_answer_percent.into()),
        }
    }

    /// Draws for one decision.
    pub fn of_decision(&self) -> CallbackFate {
        let mut state = self.state();
        let State { script, duplicates, orders, losses, amounts, .. } = &mut *state;
        let is_doubled = duplicates.percent(script.duplicate_percent.into());
        CallbackFate {
            is_lost: losses.percent(script.lose_percent.into()),
            copies: is_doubled.then_some(script.copies),
            reordered: orders.percent(script.reorder_percent.into()),
            wrong_amount: amounts.percent(script.wrong_amount_percent.into()),
            delay: Duration::from_millis(script.delay_ms),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn half() -> Script {
        Script { error_percent: 50, lose_percent: 50, ..Script::default() }
    }

    #[test]
    fn a_seed_decides_and_kinds_of_faults_are_independent() {
        let fates = |script: Script, seed| {
            let faults = Faults::new(script, seed);
            (0..64).map(|_| (faults.of_call().fails, faults.of_decision().is_lost)).collect()
        };
        let first: Vec<(bool, bool)> = fates(half(), 7);
        assert_eq!(first, fates(half(), 7));
        assert_ne!(first, fates(half(), 8));
        let without_losses = fates(Script { lose_percent: 0, ..half() }, 7);
        let errors = |fates: &[(bool, bool)]| fates.iter().map(|fate| fate.0).collect::<Vec<_>>();
        assert_eq!(errors(&first), errors(&without_losses));
    }

    #[test]
    fn shares_of_none_and_all_are_exact() {
        let faults = Faults::new(Script::default(), 1);
        assert!((0..100).all(|_| !faults.of_call().fails && !faults.of_decision().is_lost));
        faults.follow(Script { error_percent: 100, ..Script::default() });
        let fates: Vec<CallFate> = (0..100).map(|_| faults.of_call()).collect();
        assert!(fates.iter().all(|fate| fate.fails));
        let ignored = fates.iter().filter(|fate| fate.is_ignored).count();
        assert!((1..100).contains(&ignored), "some act, some do not: {ignored}");
    }

    #[test]
    fn a_script_outside_its_ranges_names_the_member() {
        let read = |text: &str| serde_json::from_str::<Script>(text);
        assert_eq!(read("{}").unwrap(), Script::default());
        assert!(read(r#"{"eror_percent": 1}"#).is_err());
        for (text, fault) in [
            (r#"{"error_percent": 101}"#, "error_percent"),
            (r#"{"latency_ms": 60001}"#, "latency_ms"),
            (r#"{"copies": 1}"#, "copies"),
        ] {
            assert_eq!(read(text).unwrap().fault(), Some(fault));
        }
        assert_eq!(read(r#"{"error_percent": 100}"#).unwrap().fault(), None);
    }
}
