//! One step of a walk: a page of the provider's ledger, or a page of payments without a reference.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use futures::{StreamExt, stream};

use super::Cursor;
use crate::client::{ChargeRequest, ProviderError};
use crate::model::{
    Booked, ChargePage, Comparison, Difference, ListedCharge, Outcome, Payment, PaymentError,
    PaymentId, compare, compare_absent,
};
use crate::repository::review::Stretch;
use crate::service::PaymentService;

/// Questions to the provider at once.
const QUESTIONS: usize = 8;

/// What one step came to.
#[derive(Debug, Default)]
pub(super) struct Step {
    /// Payments and charges that were compared.
    pub(super) compared: u64,
    /// Of these, how many are in flight.
    pub(super) in_flight: u64,
    /// What differs.
    pub(super) differences: Vec<Difference>,
    /// Payments that have failed and whose money the provider took.
    pub(super) surplus: Vec<Payment>,
    /// When the youngest charge was written down; none when there was none.
    pub(super) youngest: Option<DateTime<Utc>>,
    /// Where the next step begins; none at the end.
    pub(super) next: Option<Cursor>,
}

impl Step {
    fn count(&mut self, found: Comparison) {
        self.compared += 1;
        self.in_flight += u64::from(found.in_flight);
        self.differences.extend(found.differences);
    }
}

impl PaymentService {
    /// Makes the step that begins at `cursor`.
    pub(super) async fn step(&self, cursor: Cursor) -> Result<Step, PaymentError> {
        match cursor {
            Cursor::Charge(after) => self.step_through_charges(after).await,
            Cursor::Unreferenced(after) => self.step_through_unreferenced(after).await,
        }
    }

    async fn step_through_charges(&self, after: Option<String>) -> Result<Step, PaymentError> {
        let limit = self.policy.review.page;
        let listing = self.provider.list_charges(after.as_deref(), limit);
        let page = self.patiently(listing).await.map_err(unavailable)?;
        if page.next.is_some() && page.next <= after {
            return Err(unavailable(ProviderError::unknown("the ledger does not go forward")));
        }
        let mut step = Step {
            youngest: page.charges.iter().map(|charge| charge.created_at).max(),
            next: Some(
                page.next
                    .clone()
                    .map_or(Cursor::Unreferenced(None), |next| Cursor::Charge(Some(next))),
            ),
            ..Step::default()
        };
        self.compare_listed(&page, &mut step).await?;
        let stretch = Stretch { after, upto: page.next.clone() };
        self.compare_absent_from(&page, stretch, &mut step).await?;
        Ok(step)
    }

    /// Compares what the provider lists with what is recorded here, which is read later.
    async fn compare_listed(&self, page: &ChargePage, step: &mut Step) -> Result<(), PaymentError> {
        let ids: Vec<_> = page.charges.iter().filter_map(ListedCharge::payment_id).collect();
        let booked = self.repository.find_booked(&ids).await?;
        let booked: HashMap<_, _> =
            booked.into_iter().map(|ours| (ours.payment.id(), ours)).collect();
        let calm = self.calm();
        for theirs in &page.charges {
            let ours = theirs.payment_id().and_then(|id| booked.get(&id));
            let failed = ours.filter(|ours| ours.payment.makes_surplus());
            if let Some(ours) = failed.filter(|ours| ours.payment.refund().is_none())
                && theirs.is_captured()
            {
                step.surplus.push(ours.payment.clone());
            }
            step.count(compare(theirs, ours, calm));
        }
        Ok(())
    }

    /// Looks for money that counts as taken in this stretch, and that the provider does not list.
    async fn compare_absent_from(
        &self,
        page: &ChargePage,
        mut stretch: Stretch,
        step: &mut Step,
    ) -> Result<(), PaymentError> {
        let listed: HashSet<_> = page.charges.iter().filter_map(ListedCharge::payment_id).collect();
        let (limit, calm) = (self.policy.review.page, self.calm());
        loop {
            let ours = self.repository.list_referenced(&stretch, limit).await?;
            for ours in ours.iter().filter(|ours| !listed.contains(&ours.payment.id())) {
                step.count(compare_absent(ours, calm));
            }
            let last =
                ours.last().and_then(|ours| ours.payment.snapshot().provider_reference.clone());
            if ours.len() < limit as usize || last.is_none() {
                return Ok(());
            }
            stretch.after = last;
        }
    }

    /// Asks about payments one by one whose place in the provider's ledger is not known.
    async fn step_through_unreferenced(
        &self,
        after: Option<PaymentId>,
    ) -> Result<Step, PaymentError> {
        let limit = self.policy.review.page;
        let page = self.repository.list_unreferenced(after, limit).await?;
        let full = page.len() >= limit as usize;
        let last = page.last().map(|ours| ours.payment.id());
        let mut step = Step {
            next: last.filter(|_| full).map(|id| Cursor::Unreferenced(Some(id))),
            ..Step::default()
        };
        let mut answers = stream::iter(page)
            .map(|ours| async move { self.ask_about(ours).await })
            .buffer_unordered(QUESTIONS);
        while let Some(answer) = answers.next().await {
            // One that was taken was compared where the provider lists it.
            if let Some(absent) = answer? {
                step.count(compare_absent(&absent, self.calm()));
            }
        }
        Ok(step)
    }

    /// The payment, if the provider has not taken its money.
    async fn ask_about(&self, ours: Booked) -> Result<Option<Booked>, PaymentError> {
        let request = ChargeRequest::of(&ours.payment);
        let charge = self.patiently(self.provider.query(&request)).await.map_err(unavailable)?;
        Ok(charge.is_none_or(|charge| charge.outcome != Outcome::Captured).then_some(ours))
    }

    /// What changed since may be in flight.
    fn calm(&self) -> DateTime<Utc> {
        self.clock.now() - self.policy.review.grace
    }
}

/// Without the provider there is nothing to compare with.
fn unavailable(error: ProviderError) -> PaymentError {
    PaymentError::Unavailable { source: Box::new(error) }
}
