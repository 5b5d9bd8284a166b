//! The walk of the worker: finds surplus captures and books them, and tells people of differences.

use chrono::{DateTime, Utc};
use tracing::instrument;

use super::step::Step;
use super::{Cursor, Reconciliation};
use crate::model::{Charge, Outcome, PaymentError};
use crate::service::PaymentService;
use crate::service::settle::Source;

/// Where walks begin: behind what is too old to change at the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walk {
    start: Cursor,
}

/// What a walk came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalkSummary {
    /// What was compared, and what differs.
    pub report: Reconciliation,
    /// Surplus captures that were found and are on their way back.
    pub surplus: u64,
}

impl Default for Walk {
    fn default() -> Self {
        Self { start: Cursor::START }
    }
}

impl Walk {
    /// Lets later walks begin behind a step whose charges are all older than `horizon`. Returns
    /// whether it was one.
    fn advance(&mut self, step: &Step, horizon: DateTime<Utc>) -> bool {
        let old = step.youngest.is_some_and(|youngest| youngest < horizon);
        match &step.next {
            Some(next @ Cursor::Charge(_)) if old => self.start = next.clone(),
            _ => return false,
        }
        true
    }
}

impl PaymentService {
    /// Walks the provider's ledger from where `walk` begins to its end, and books every capture of
    /// a payment that has failed, so that the reconciliation gives it back.
    #[instrument(name = "payment.walk_ledger", skip_all)]
    pub async fn walk_ledger(&self, walk: &mut Walk) -> Result<WalkSummary, PaymentError> {
        let review = self.policy.review;
        let report = Reconciliation::empty(self.clock.now());
        let horizon = report.compared_at - review.window;
        let mut summary = WalkSummary { report, surplus: 0 };
        let (mut cursor, mut is_beginning) = (walk.start.clone(), true);
        loop {
            let step = self.step(cursor).await?;
            for payment in &step.surplus {
                self.settle(payment.clone(), &captured(), Source::Reconciliation).await?;
                summary.surplus += 1;
            }
            is_beginning = is_beginning && walk.advance(&step, horizon);
            summary.report.add(step, review.examples);
            match summary.report.next.clone() {
                Some(next) => cursor = next,
                None => break,
            }
        }
        tell(&summary);
        Ok(summary)
    }
}

/// What a listing says of a charge, without the reference: the payment is settled already.
fn captured() -> Charge {
    Charge { provider_reference: String::new(), outcome: Outcome::Captured }
}

/// Tells people of each class of differences, with one example.
fn tell(summary: &WalkSummary) {
    for class in summary.report.classes.iter().filter(|class| class.count > 0) {
        let example = class.examples.first();
        tracing::error!(
            difference.class = class.class.as_str(),
            difference.count = class.count,
            payment.id = example.map(|example| example.reference.as_str()),
            provider.reference = example.map(|example| example.provider_reference.as_str()),
            "provider's ledger differs from the books"
        );
    }
    tracing::debug!(
        ledger.compared = summary.report.compared,
        ledger.in_flight = summary.report.in_flight,
        ledger.surplus = summary.surplus,
        "provider's ledger compared with the books"
    );
}
