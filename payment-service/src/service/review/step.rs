//! One step of a walk: a page of the provider's ledger, further payments in the stretch of such a
//! page, or a page of payments without a reference.

use std::collections::{HashMap, HashSet};

use chassis::error::Chain;
use chassis::grpc::context;
use chrono::{DateTime, Utc};
use futures::{StreamExt, stream};

use super::Cursor;
use crate::client::{ChargeRequest, ProviderError};
use crate::model::{
    Booked, ChargePage, Comparison, Difference, DifferenceClass, ListedCharge, Outcome, Payment,
    PaymentError, PaymentId, charged_again, compare, compare_absent, compare_unreadable,
};
use crate::repository::review::Stretch;
use crate::service::PaymentService;

/// Questions to the provider at once.
const QUESTIONS: usize = 8;

/// What one step came to.
#[derive(Debug, Default)]
pub(super) struct Step {
    /// Payments and charges that were read, also those that need no comparison.
    pub(super) looked_at: u64,
    /// Payments and charges that were compared.
    pub(super) compared: u64,
    /// Of these, how many are in flight, or could not be asked about.
    pub(super) in_flight: u64,
    /// What differs.
    pub(super) differences: Vec<Difference>,
    /// Payments that have failed and whose money the provider took, in exactly their terms.
    pub(super) surplus: Vec<Payment>,
    /// When the youngest charge was written down; none when there was none.
    pub(super) youngest: Option<DateTime<Utc>>,
    /// Where the next step begins; none at the end.
    pub(super) next: Option<Cursor>,
}

impl Step {
    fn look_at(&mut self, rows: usize) {
        self.looked_at += rows as u64;
    }

    fn count(&mut self, found: Comparison) {
        self.compared += 1;
        self.in_flight += u64::from(found.in_flight);
        self.differences.extend(found.differences);
    }

    /// One answer that is missing must not hide what the others say.
    fn leave_open(&mut self, id: PaymentId, error: &ProviderError) {
        tracing::warn!(payment.id = %id, error = %Chain(error), "payment could not be compared");
        self.count(Comparison { differences: Vec::new(), in_flight: true });
    }
}

impl PaymentService {
    /// Makes the step that begins at `cursor`. Payments without a place in the provider's ledger
    /// are asked about only if they were made from `since` on.
    pub(super) async fn step(
        &self,
        cursor: Cursor,
        since: Option<DateTime<Utc>>,
    ) -> Result<Step, PaymentError> {
        match cursor {
            Cursor::Charge(after) => self.step_through_charges(after).await,
            Cursor::Absent { page, after } => self.step_through_absent(page, after).await,
            Cursor::Unreferenced(after) => self.step_through_unreferenced(after, since).await,
        }
    }

    /// Whether the caller soon stops waiting, so that what was found has to be told.
    pub(super) fn is_short_of_time(&self) -> bool {
        context::remaining().is_some_and(|left| left <= self.policy.review.reserve)
    }

    async fn step_through_charges(&self, after: Option<String>) -> Result<Step, PaymentError> {
        let page = self.read_page(after.as_deref()).await?;
        let mut step = Step::default();
        self.compare_listed(&page, &mut step).await?;
        for unreadable in &page.unreadable {
            step.count(compare_unreadable(unreadable));
        }
        step.look_at(page.charges.len() + page.unreadable.len());
        self.compare_absent_from(&page, (after.clone(), after), &mut step).await?;
        Ok(step)
    }

    /// Goes on with the payments in the stretch of a page whose charges are compared.
    async fn step_through_absent(
        &self,
        page_after: Option<String>,
        after: String,
    ) -> Result<Step, PaymentError> {
        let page = self.read_page(page_after.as_deref()).await?;
        let mut step = Step::default();
        self.compare_absent_from(&page, (page_after, Some(after)), &mut step).await?;
        Ok(step)
    }

    async fn read_page(&self, after: Option<&str>) -> Result<ChargePage, PaymentError> {
        let listing = self.provider.list_charges(after, self.policy.review.page);
        let page = self.patiently(listing).await.map_err(unavailable)?;
        if page.next.is_some() && page.next.as_deref() <= after {
            return Err(unavailable(ProviderError::unknown("the ledger does not go forward")));
        }
        Ok(page)
    }

    /// Compares what the provider lists with what is recorded here, which is read later.
    async fn compare_listed(&self, page: &ChargePage, step: &mut Step) -> Result<(), PaymentError> {
        let ids: Vec<_> = page.charges.iter().filter_map(ListedCharge::payment_id).collect();
        let booked = self.repository.find_booked(&ids).await?;
        let booked: HashMap<_, _> =
            booked.into_iter().map(|ours| (ours.payment.id(), ours)).collect();
        let calm = self.calm();
        let mut charges = Charges::of(&ids);
        for theirs in &page.charges {
            let id = theirs.payment_id();
            let ours = id.and_then(|id| booked.get(&id));
            if let Some(ours) = ours
                && theirs.is_surplus_of(&ours.payment)
                && charges.is_only(ours.payment.id())
            {
                step.surplus.push(ours.payment.clone());
            }
            let mut found = compare(theirs, ours, calm);
            charges.tell_repetition(theirs, &mut found);
            step.count(found);
        }
        Ok(())
    }

    /// Looks for money that counts as taken and that the provider does not list, in the stretch of
    /// this page, behind the second place. The first one is where the page was asked for.
    async fn compare_absent_from(
        &self,
        page: &ChargePage,
        (page_after, after): (Option<String>, Option<String>),
        step: &mut Step,
    ) -> Result<(), PaymentError> {
        let (limit, calm) = (self.policy.review.page, self.calm());
        let stretch = Stretch { after, upto: page.next.clone() };
        // One row more tells whether there are more.
        let mut ours = self.repository.list_referenced(&stretch, limit.saturating_add(1)).await?;
        let more = ours.len() > limit as usize;
        ours.truncate(limit as usize);
        step.look_at(ours.len());
        let listed = places(page);
        for ours in ours.iter().filter(|ours| !is_listed(&listed, &ours.payment)) {
            step.count(compare_absent(ours, calm));
        }
        step.youngest = page.charges.iter().map(|charge| charge.created_at).max();
        let last = ours.last().and_then(|ours| ours.payment.snapshot().provider_reference.clone());
        step.next = Some(match (last.filter(|_| more), page.next.clone()) {
            (Some(after), _) => Cursor::Absent { page: page_after, after },
            (None, Some(next)) => Cursor::Charge(Some(next)),
            (None, None) => Cursor::Unreferenced(None),
        });
        Ok(())
    }

    /// Asks about payments one by one whose place in the provider's ledger is not known, as long as
    /// the caller waits.
    async fn step_through_unreferenced(
        &self,
        after: Option<PaymentId>,
        since: Option<DateTime<Utc>>,
    ) -> Result<Step, PaymentError> {
        let limit = self.policy.review.page;
        let page = self.repository.list_unreferenced(after, since, limit).await?;
        let full = page.len() >= limit as usize;
        let last = page.last().map(|ours| ours.payment.id());
        let mut step = Step::default();
        let mut answers = stream::iter(page)
            .map(|ours| async move { (ours.payment.id(), self.ask_about(ours).await) })
            .buffered(QUESTIONS);
        while let Some((id, answer)) = answers.next().await {
            step.look_at(1);
            match answer {
                // One that was taken was compared where the provider lists it.
                Ok(None) => {}
                Ok(Some(absent)) => step.count(compare_absent(&absent, self.calm())),
                Err(error) => step.leave_open(id, &error),
            }
            if last != Some(id) && self.is_short_of_time() {
                step.next = Some(Cursor::Unreferenced(Some(id)));
                return Ok(step);
            }
        }
        step.next = last.filter(|_| full).map(|id| Cursor::Unreferenced(Some(id)));
        Ok(step)
    }

    /// The payment, if the provider has not taken its money.
    async fn ask_about(&self, ours: Booked) -> Result<Option<Booked>, ProviderError> {
        let request = ChargeRequest::of(&ours.payment);
        let charge = self.patiently(self.provider.query(&request)).await?;
        Ok(charge.is_none_or(|charge| charge.outcome != Outcome::Captured).then_some(ours))
    }

    /// What changed since may be in flight.
    fn calm(&self) -> DateTime<Utc> {
        self.clock.now() - self.policy.review.grace
    }
}

/// How often the charges of a page name each payment.
struct Charges {
    times: HashMap<PaymentId, u32>,
    first: HashMap<PaymentId, String>,
    told: HashSet<PaymentId>,
}

impl Charges {
    fn of(ids: &[PaymentId]) -> Self {
        let mut times = HashMap::new();
        for id in ids {
            *times.entry(*id).or_default() += 1;
        }
        Self { times, first: HashMap::new(), told: HashSet::new() }
    }

    /// Whether the page has one charge of this payment. Which one of several a refund would give
    /// back is for a person to decide.
    fn is_only(&self, id: PaymentId) -> bool {
        self.times.get(&id) == Some(&1)
    }

    /// Tells a payment that was listed before, once, unless the comparison told it: that cannot if
    /// our record has no reference to know the right charge by.
    fn tell_repetition(&mut self, theirs: &ListedCharge, found: &mut Comparison) {
        let Some(id) = theirs.payment_id() else { return };
        let is_told = found.tells(DifferenceClass::ChargedTwice);
        let first = self.first.entry(id).or_insert_with(|| theirs.provider_reference.clone());
        let is_repeated = *first != theirs.provider_reference;
        if is_told {
            self.told.insert(id);
        } else if is_repeated && self.told.insert(id) {
            found.differences.push(charged_again(theirs, first));
        }
    }
}

/// Where the page lists something, and of which payment; of something unreadable, of any.
fn places(page: &ChargePage) -> HashSet<(Option<PaymentId>, &str)> {
    let charges = page.charges.iter().filter_map(|charge| {
        charge.payment_id().map(|id| (Some(id), charge.provider_reference.as_str()))
    });
    let unreadable = page.unreadable.iter().map(|odd| (None, odd.provider_reference.as_str()));
    charges.chain(unreadable).collect()
}

fn is_listed(places: &HashSet<(Option<PaymentId>, &str)>, ours: &Payment) -> bool {
    let place = ours.snapshot().provider_reference.as_deref().unwrap_or_default();
    [Some(ours.id()), None].iter().any(|id| places.contains(&(*id, place)))
}

/// Without the provider there is nothing to compare with.
fn unavailable(error: ProviderError) -> PaymentError {
    PaymentError::Unavailable { source: Box::new(error) }
}
