//! The provider's books in memory: what the entries of the ledger add up to.
//!
//! Every change is an [`Entry`], and an entry changes the books in the same way whether it is made
//! or read again after a restart: what was in memory is what is on disk, by construction. Does no
//! I/O.

use std::collections::HashMap;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use uuid::Uuid;

use super::callback;
use super::charge::{Charge, NewCharge, Page, Refund, Refusal, Status};
use super::entry::{Entry, Plan};
use super::method::{Decision, Manner, Scenario, Verdict};
use super::outbox::{Outbox, Outcome, Retries};
use super::script::Faults;
use crate::random;

/// Largest amount: the largest integer that every JSON reader keeps exactly.
const AMOUNT_MAX: i64 = (1 << 53) - 1;
/// Longest token of a method.
const METHOD_LENGTH_MAX: usize = 64;
/// ISO 4217 codes that are no money: for tests, and for no currency.
const NO_MONEY: [&str; 2] = ["XTS", "XXX"];

/// A charge as it stands after it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// The charge.
    pub charge: Charge,
    /// How its call is answered; none for one that was known.
    pub manner: Option<Manner>,
}

/// What is yet to happen by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Decisions to come.
    pub decisions: usize,
    /// Callbacks to be delivered.
    pub deliveries: usize,
}

/// The books.
#[derive(Debug, Default)]
pub struct Book {
    charges: HashMap<Uuid, Charge>,
    in_order: Vec<Uuid>,
    plans: HashMap<Uuid, Plan>,
    refunds: HashMap<Uuid, Uuid>,
    outbox: Outbox,
    unwritten: Vec<Entry>,
}

impl Book {
    /// Takes in an entry of the ledger.
    pub fn apply(&mut self, entry: Entry) {
        match entry {
            Entry::Charged { charge, plan } => {
                let reference = charge.reference;
                self.plans.extend(plan.map(|plan| (reference, plan)));
                self.in_order.push(reference);
                self.charges.insert(reference, charge);
            }
            Entry::Decided { reference, verdict, deliveries, .. } => {
                self.plans.remove(&reference);
                if let Some(charge) = self.charges.get_mut(&reference) {
                    (charge.status, charge.reason) = match verdict {
                        Verdict::Captured => (Status::Captured, None),
                        Verdict::Declined(reason) => (Status::Declined, Some(reason)),
                    };
                }
                for delivery in deliveries {
                    self.outbox.add(delivery);
                }
            }
            Entry::Refunded { reference, refund } => {
                self.refunds.insert(refund.refund_id, reference);
                if let Some(charge) = self.charges.get_mut(&reference) {
                    charge.refunds.push(refund);
                }
            }
            Entry::Ended { key, .. } => self.outbox.remove(&key),
        }
    }

    /// The entries made since the last call, to be put on disk before anybody hears of them.
    pub fn take_unwritten(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.unwritten)
    }

    /// Makes a charge, or tells how the one under this reference stands.
    pub fn charge(
        &mut self,
        new: &NewCharge,
        faults: &Faults,
        now: DateTime<Utc>,
        decided_after: TimeDelta,
    ) -> Result<Made, Refusal> {
        if let Some(charge) = self.charges.get(&new.reference) {
            if !charge.is_of(new) {
                return Err(Refusal::Conflict("reference_reused"));
            }
            return Ok(Made { charge: charge.clone(), manner: None });
        }
        check(new)?;
        let scenario = Scenario::of(&new.method);
        let due = |verdict: &Verdict, due_at| Some(Plan { verdict: verdict.clone(), due_at });
        let plan = match &scenario.decision {
            Decision::AtOnce(verdict) => due(verdict, now),
            Decision::Later(verdict) => due(verdict, now + decided_after),
            Decision::Never => None,
        };
        let charge = self.open(new, now);
        self.record(Entry::Charged { charge: charge.clone(), plan });
        if let Decision::AtOnce(verdict) = scenario.decision {
            self.decide(&charge, verdict, faults, now);
        }
        let charge = self.charges.get(&new.reference).cloned().unwrap_or(charge);
        Ok(Made { charge, manner: Some(scenario.manner) })
    }

    /// Finds a charge.
    pub fn find(&self, reference: Uuid) -> Result<Charge, Refusal> {
        self.charges.get(&reference).cloned().ok_or(Refusal::NotFound)
    }

    /// Gives money back, unless that was done under this identity before; tells which it was.
    pub fn refund(
        &mut self,
        reference: Uuid,
        (refund_id, amount): (Uuid, i64),
        now: DateTime<Utc>,
    ) -> Result<(Charge, bool), Refusal> {
        let charge = self.find(reference)?;
        if self.refunds.contains_key(&refund_id) {
            let is_same = |one: &Refund| (one.refund_id, one.amount) == (refund_id, amount);
            let known = charge.refunds.iter().any(is_same);
            return if known {
                Ok((charge, false))
            } else {
                Err(Refusal::Conflict("refund_id_reused"))
            };
        }
        if charge.status != Status::Captured {
            return Err(Refusal::Invalid("not_captured"));
        }
        if !(1..=AMOUNT_MAX).contains(&amount) {
            return Err(Refusal::Invalid("amount_invalid"));
        }
        if charge.refunded() + amount > charge.amount {
            return Err(Refusal::Conflict("already_refunded"));
        }
        let refund = Refund { refund_id, amount, created_at: now.trunc_subsecs(3) };
        self.record(Entry::Refunded { reference, refund });
        Ok((self.find(reference)?, true))
    }

    /// A page of the ledger, in order of creation.
    pub fn page(&self, after: Option<&str>, limit: usize) -> Page {
        let name = |reference: &Uuid| {
            self.charges.get(reference).map_or("", |charge| charge.provider_reference.as_str())
        };
        let begin =
            after.map_or(0, |after| self.in_order.partition_point(|one| name(one) <= after));
        let rest = &self.in_order[begin..];
        let shown = &rest[..limit.min(rest.len())];
        let charges = shown.iter().filter_map(|one| self.charges.get(one).cloned()).collect();
        let next = shown.last().filter(|_| shown.len() < rest.len());
        Page { charges, next: next.map(|one| name(one).to_owned()) }
    }

    /// What is yet to happen by itself.
    pub fn pending(&self) -> Pending {
        Pending { decisions: self.plans.len(), deliveries: self.outbox.len() }
    }

    /// Decides what is due.
    pub fn decide_due(&mut self, faults: &Faults, now: DateTime<Utc>) {
        let mut due: Vec<(DateTime<Utc>, Uuid)> = self
            .plans
            .iter()
            .filter(|(_, plan)| plan.due_at <= now)
            .map(|(reference, plan)| (plan.due_at, *reference))
            .collect();
        due.sort_unstable();
        for (_, reference) in due {
            let plan = self.plans.get(&reference).cloned();
            if let (Some(plan), Ok(charge)) = (plan, self.find(reference)) {
                self.decide(&charge, plan.verdict, faults, now);
            }
        }
    }

    /// The deliveries that are due; see [`Outbox::take_due`].
    pub fn outbox(&mut self) -> &mut Outbox {
        &mut self.outbox
    }

    /// When something is due next.
    pub fn next_at(&self) -> Option<DateTime<Utc>> {
        let decision = self.plans.values().map(|plan| plan.due_at).min();
        decision.into_iter().chain(self.outbox.next_at()).min()
    }

    /// Takes note of a try to deliver a callback.
    pub fn tried(&mut self, key: &str, outcome: Outcome, retries: &Retries, now: DateTime<Utc>) {
        if let Some(ending) = self.outbox.tried(key, outcome, now, retries) {
            self.record(Entry::Ended { key: key.to_owned(), ending, at: now });
        }
    }

    fn decide(&mut self, charge: &Charge, verdict: Verdict, faults: &Faults, now: DateTime<Utc>) {
        let deliveries = callback::plan(charge, &verdict, faults.of_decision(), now);
        let reference = charge.reference;
        self.record(Entry::Decided { reference, verdict, at: now, deliveries });
    }

    fn record(&mut self, entry: Entry) {
        self.apply(entry.clone());
        self.unwritten.push(entry);
    }

    fn open(&self, new: &NewCharge, now: DateTime<Utc>) -> Charge {
        // The number makes it sort, the rest tells it from a charge of another ledger.
        let (number, rest) = (self.in_order.len() + 1, random::token());
        Charge {
            reference: new.reference,
            provider_reference: format!("ch_{number:010}_{}", &rest[..8]),
            amount: new.amount,
            currency: new.currency.clone(),
            method: new.method.clone(),
            status: Status::Pending,
            reason: None,
            created_at: now.trunc_subsecs(3),
            refunds: Vec::new(),
        }
    }
}

fn check(new: &NewCharge) -> Result<(), Refusal> {
    if !(1..=AMOUNT_MAX).contains(&new.amount) {
        return Err(Refusal::Invalid("amount_invalid"));
    }
    let currency = new.currency.as_str();
    let is_code = currency.len() == 3 && currency.bytes().all(|byte| byte.is_ascii_uppercase());
    if !is_code || NO_MONEY.contains(&currency) {
        return Err(Refusal::Invalid("currency_not_supported"));
    }
    if new.method.is_empty() || new.method.len() > METHOD_LENGTH_MAX {
        return Err(Refusal::Invalid("method_invalid"));
    }
    Ok(())
}
