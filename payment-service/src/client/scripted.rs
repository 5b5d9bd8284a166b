//! A provider that does what a test tells it, and counts.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use chrono::DateTime;

use super::{ChargeRequest, PaymentProvider, ProviderError, RefundRequest};
use crate::model::{
    Charge, ChargePage, ListedCharge, ListedRefund, Money, Outcome, PaymentId, RefundId,
    UnreadableCharge,
};

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
    charges: BTreeMap<PaymentId, Charge>,
    amounts: HashMap<PaymentId, Money>,
    refunds: HashMap<PaymentId, RefundId>,
    captures: Vec<PaymentId>,
    edits: Vec<Edit>,
    spoiled: HashSet<PaymentId>,
    is_away: bool,
}

/// What a test does to the ledger before it is read.
type Edit = Box<dyn Fn(&mut Vec<ListedCharge>) + Send>;

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

    /// Loses a charge, as no real provider does.
    pub fn forget(&self, reference: PaymentId) {
        self.state().charges.remove(&reference);
    }

    /// Loses the refund of a charge.
    pub fn forget_refund(&self, reference: PaymentId) {
        self.state().refunds.remove(&reference);
    }

    /// Lists something else from now on than what happened.
    pub fn falsify(&self, edit: impl Fn(&mut Vec<ListedCharge>) + Send + 'static) {
        self.state().edits.push(Box::new(edit));
    }

    /// Tells of this charge in a form that nobody can read.
    pub fn spoil(&self, reference: PaymentId) {
        self.state().spoiled.insert(reference);
    }

    /// Answers no question about its ledger any more.
    pub fn go_away(&self) {
        self.state().is_away = true;
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

impl State {
    fn listed(&self, reference: PaymentId, charge: &Charge) -> ListedCharge {
        let money = self.amounts.get(&reference);
        let amount = money.map_or(0, Money::amount);
        let refund = self.refunds.get(&reference);
        let refund = refund.map(|id| ListedRefund { id: id.to_string(), amount });
        ListedCharge {
            reference: reference.to_string(),
            provider_reference: charge.provider_reference.clone(),
            amount,
            currency: money.map(|money| money.currency().to_string()).unwrap_or_default(),
            outcome: charge.outcome.clone(),
            created_at: DateTime::UNIX_EPOCH,
            refunds: refund.into_iter().collect(),
        }
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
            state.amounts.insert(request.reference, request.amount);
            let made = charge(request.reference, outcome);
            state.charges.entry(request.reference).or_insert(made).clone()
        };
        match answer {
            Ok(()) => Ok(made),
            Err(true) => Err(lost()),
            Err(false) => std::future::pending().await,
        }
    }

    async fn query(&self, request: &ChargeRequest) -> Result<Option<Charge>, ProviderError> {
        let state = self.state();
        if state.spoiled.contains(&request.reference) {
            return Err(ProviderError::unknown("no charge as agreed"));
        }
        Ok(state.charges.get(&request.reference).cloned())
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

    async fn list_charges(
        &self,
        after: Option<&str>,
        limit: u32,
    ) -> Result<ChargePage, ProviderError> {
        let state = self.state();
        if state.is_away {
            return Err(lost());
        }
        let mut charges: Vec<_> = state
            .charges
            .iter()
            .map(|(reference, charge)| state.listed(*reference, charge))
            .collect();
        for edit in &state.edits {
            edit(&mut charges);
        }
        charges.sort_by(|a, b| a.provider_reference.cmp(&b.provider_reference));
        charges
            .retain(|charge| after.is_none_or(|after| charge.provider_reference.as_str() > after));
        let more = charges.len() > limit as usize;
        charges.truncate(limit as usize);
        let next = charges.last().filter(|_| more).map(|last| last.provider_reference.clone());
        let is_spoiled = |charge: &ListedCharge| {
            charge.payment_id().is_some_and(|id| state.spoiled.contains(&id))
        };
        let (spoiled, charges) = charges.into_iter().partition::<Vec<_>, _>(is_spoiled);
        let unreadable = spoiled.into_iter().map(|charge| UnreadableCharge {
            reference: charge.reference,
            provider_reference: charge.provider_reference,
            field: "status",
        });
        Ok(ChargePage { charges, unreadable: unreadable.collect(), next })
    }
}
