//! A provider that does what a test tells it, and counts.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{ChargeRequest, PaymentProvider, ProviderError, RefundRequest};
use crate::model::{Charge, Outcome, PaymentId, RefundId};

/// What happens to the next call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is carried out and answered.
    Answer(Outcome),
    /// It is carried out and the answer is lost.
    LoseAnswer(Outcome),
    /// It never arrives.
    LoseCall,
    /// It is carried out, and never answered.
    Hang(Outcome),
    /// It is refused in these words, and not carried out.
    Refuse(&'static str),
}

#[derive(Default)]
struct State {
    script: VecDeque<Step>,
    charges: HashMap<PaymentId, Charge>,
    refunds: HashMap<PaymentId, RefundId>,
    captures: Vec<PaymentId>,
}

/// A [`PaymentProvider`] under a test's control. Without a script it captures everything.
#[derive(Default)]
pub struct ScriptedProvider {
    state: Mutex<State>,
}

impl ScriptedProvider {
    /// Creates a provider that follows `script`, one step a call of capture or refund.
    pub fn new(script: impl IntoIterator<Item = Step>) -> Self {
        let state = State { script: script.into_iter().collect(), ..State::default() };
        Self { state: Mutex::new(state) }
    }

    /// Adds a step.
    pub fn then(&self, step: Step) {
        self.state().script.push_back(step);
    }

    /// Decides a charge, as time does at a real provider.
    pub fn decide(&self, reference: PaymentId, outcome: Outcome) {
        self.state().charges.insert(reference, charge(reference, outcome));
    }

    /// How often a capture arrived under `reference`.
    pub fn captures(&self, reference: PaymentId) -> usize {
        self.state().captures.iter().filter(|seen| **seen == reference).count()
    }

    /// Under which id the charge was refunded.
    pub fn refund_of(&self, reference: PaymentId) -> Option<RefundId> {
        self.state().refunds.get(&reference).copied()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Step {
        self.state().script.pop_front().unwrap_or(Step::Answer(Outcome::Captured))
    }
}

fn charge(reference: PaymentId, outcome: Outcome) -> Charge {
    Charge { provider_reference: format!("scripted_{reference}"), outcome }
}

fn lost() -> ProviderError {
    ProviderError::unknown("connection reset")
}

fn refused(words: &str) -> ProviderError {
    ProviderError::Refused { reason: words.to_owned() }
}

#[async_trait]
impl PaymentProvider for ScriptedProvider {
    async fn capture(&self, request: &ChargeRequest) -> Result<Charge, ProviderError> {
        let step = self.next();
        let (outcome, answer) = match step {
            Step::LoseCall => return Err(lost()),
            Step::Refuse(words) => return Err(refused(words)),
            Step::Answer(outcome) => (outcome, Ok(())),
            Step::LoseAnswer(outcome) => (outcome, Err(true)),
            Step::Hang(outcome) => (outcome, Err(false)),
        };
        let made = {
            let mut state = self.state();
            state.captures.push(request.reference);
            let made = charge(request.reference, outcome);
            state.charges.entry(request.reference).or_insert(made).clone()
        };
        match answer {
            Ok(()) => Ok(made),
            Err(true) => Err(lost()),
            Err(false) => std::future::pending().await,
        }
    }

    async fn query(&self, reference: PaymentId) -> Result<Option<Charge>, ProviderError> {
        Ok(self.state().charges.get(&reference).cloned())
    }

    async fn refund(&self, request: &RefundRequest) -> Result<(), ProviderError> {
        let step = self.next();
        match step {
            Step::LoseCall => return Err(lost()),
            Step::Refuse(words) => return Err(refused(words)),
            Step::Answer(_) | Step::LoseAnswer(_) | Step::Hang(_) => {}
        }
        let first = *self.state().refunds.entry(request.reference).or_insert(request.refund_id);
        match step {
            _ if first != request.refund_id => Err(refused("already_refunded")),
            Step::LoseAnswer(_) => Err(lost()),
            Step::Hang(_) => std::future::pending().await,
            Step::Answer(_) | Step::LoseCall | Step::Refuse(_) => Ok(()),
        }
    }
}
