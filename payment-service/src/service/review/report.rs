//! The report for administrators: what differs, counted by class, with examples.

use chrono::{DateTime, Utc};
use tracing::instrument;

use super::Cursor;
use super::step::Step;
use crate::model::{Difference, DifferenceClass, PaymentError};
use crate::service::{Actor, PaymentService};

/// Asks for the report of one stretch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GetReconciliation {
    /// Who asks.
    pub actor: Actor,
    /// Where the stretch begins.
    pub after: Cursor,
}

/// What a stretch came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reconciliation {
    /// Payments and charges that were compared.
    pub compared: u64,
    /// Of these, how many do not agree yet and are too young for that to be a difference, or could
    /// not be asked about.
    pub in_flight: u64,
    /// Every class, also those without a difference.
    pub classes: Vec<ClassReport>,
    /// Where the next stretch begins; none when all was compared.
    pub next: Option<Cursor>,
    /// When this was found.
    pub compared_at: DateTime<Utc>,
}

/// The differences of one class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassReport {
    /// Which class.
    pub class: DifferenceClass,
    /// How many there are.
    pub count: u64,
    /// Some of them.
    pub examples: Vec<Difference>,
}

impl Reconciliation {
    /// A report without anything compared yet.
    pub(super) fn empty(now: DateTime<Utc>) -> Self {
        let class = |class| ClassReport { class, count: 0, examples: Vec::new() };
        Self {
            compared: 0,
            in_flight: 0,
            classes: DifferenceClass::ALL.map(class).into(),
            next: None,
            compared_at: now,
        }
    }

    /// Adds what a step came to, with up to `examples` differences of each class.
    pub(super) fn add(&mut self, step: Step, examples: usize) {
        self.compared += step.compared;
        self.in_flight += step.in_flight;
        self.next = step.next;
        for difference in step.differences {
            let class = self.classes.iter_mut().find(|report| report.class == difference.class);
            let Some(report) = class else { continue };
            report.count += 1;
            if report.examples.len() < examples {
                report.examples.push(difference);
            }
        }
    }

    /// How many differences there are.
    pub fn differences(&self) -> u64 {
        self.classes.iter().map(|report| report.count).sum()
    }
}

impl PaymentService {
    /// Compares a stretch of the provider's ledger with the books, as long as the caller waits.
    /// Changes nothing.
    #[instrument(name = "payment.compare_ledgers", skip_all)]
    pub async fn get_reconciliation(
        &self,
        query: GetReconciliation,
    ) -> Result<Reconciliation, PaymentError> {
        if matches!(query.actor, Actor::User(_)) {
            return Err(PaymentError::PermissionDenied);
        }
        let review = self.policy.review;
        let mut report = Reconciliation::empty(self.clock.now());
        let (mut cursor, mut looked_at) = (query.after, 0);
        loop {
            let step = self.step(cursor, None).await?;
            looked_at += step.looked_at;
            report.add(step, review.examples);
            let goes_on = looked_at < review.report_max && !self.is_short_of_time();
            match report.next.clone() {
                Some(next) if goes_on => cursor = next,
                _ => return Ok(report),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use chassis::grpc::context::{CallContext, scope};
    use chrono::TimeDelta;

    use super::*;
    use crate::client::scripted::Step as Answer;
    use crate::model::{ListedCharge, Outcome, Payment, PaymentId, Reason, RefundId};
    use crate::service::RefundPayment;
    use crate::testing::{Bench, callback, create};

    async fn report(bench: &Bench, after: Cursor) -> Reconciliation {
        let query = GetReconciliation { actor: Actor::Admin, after };
        bench.service.get_reconciliation(query).await.unwrap()
    }

    /// What all stretches came to together.
    struct Whole {
        compared: u64,
        differences: u64,
        stretches: u32,
    }

    async fn whole(bench: &Bench) -> Whole {
        let mut whole = Whole { compared: 0, differences: 0, stretches: 0 };
        let mut after = Cursor::START;
        loop {
            let report = report(bench, after).await;
            whole.compared += report.compared;
            whole.differences += report.differences();
            whole.stretches += 1;
            match report.next {
                Some(next) => after = Cursor::parse("after", &next.to_string()).unwrap(),
                None => return whole,
            }
        }
    }

    /// The classes with differences, and how many there are.
    async fn found(bench: &Bench) -> Vec<(&'static str, u64)> {
        let report = report(bench, Cursor::START).await;
        assert_eq!(report.next, None);
        let some = report.classes.iter().filter(|class| class.count > 0);
        some.map(|class| (class.class.as_str(), class.count)).collect()
    }

    async fn captured(bench: &Bench) -> Payment {
        bench.service.create_payment(create("pm_ok")).await.unwrap()
    }

    fn age(bench: &Bench) {
        bench.clock.advance(TimeDelta::minutes(3));
    }

    fn declined() -> Outcome {
        Outcome::Declined(Reason::from_provider("card_declined"))
    }

    #[tokio::test]
    async fn books_that_agree_have_no_differences_over_many_pages() {
        let bench = Bench::new([]);
        for _ in 0..=3 * Bench::PAGE {
            captured(&bench).await;
        }
        bench.provider.then(Answer::Answer(declined()));
        captured(&bench).await;
        bench.provider.then(Answer::Answer(Outcome::Pending));
        captured(&bench).await;
        age(&bench);
        let report = report(&bench, Cursor::START).await;
        assert_eq!((report.compared, report.in_flight), (12, 0));
        assert_eq!((report.differences(), report.next), (0, None));
        assert_eq!(report.classes.len(), DifferenceClass::ALL.len());
    }

    #[tokio::test]
    async fn what_only_one_side_knows_is_found() {
        let bench = Bench::new([]);
        let (kept, forgotten) = (captured(&bench).await, captured(&bench).await);
        bench.provider.forget(forgotten.id());
        let foreign = PaymentId::generate();
        bench.provider.decide(foreign, Outcome::Captured);
        age(&bench);
        assert_eq!(found(&bench).await, [("missing_here", 1), ("missing_there", 1)]);
        let report = report(&bench, Cursor::START).await;
        let examples: Vec<_> = report.classes.iter().flat_map(|class| &class.examples).collect();
        assert_eq!(examples[0].reference, foreign.to_string());
        assert_eq!(examples[1].reference, forgotten.id().to_string());
        assert!(examples.iter().all(|example| example.reference != kept.id().to_string()));
    }

    #[tokio::test]
    async fn a_payment_that_only_a_callback_told_of_is_asked_about() {
        let bench = Bench::new([]);
        let mut settled = Vec::new();
        for _ in 0..=Bench::PAGE {
            bench.provider.then(Answer::LoseAnswer(Outcome::Captured));
            let payment = captured(&bench).await;
            let id = format!("evt_{}", payment.id());
            let body = callback(&id, "payment.succeeded", &payment).to_string().into_bytes();
            bench.service.handle_callback(bench.signed(body)).await.unwrap();
            settled.push(payment.id());
        }
        age(&bench);
        assert_eq!(found(&bench).await, []);
        for id in settled {
            bench.provider.forget(id);
        }
        assert_eq!(found(&bench).await, [("missing_there", u64::from(Bench::PAGE) + 1)]);
    }

    #[tokio::test]
    async fn outcomes_and_refunds_that_differ_are_found() {
        let bench = Bench::new([]);
        let (refunded, lied) = (captured(&bench).await, captured(&bench).await);
        let command = RefundPayment {
            actor: Actor::Service,
            payment_id: refunded.id(),
            refund_id: RefundId::generate(),
            reason: "customer_request".to_owned(),
        };
        bench.service.refund_payment(command).await.unwrap();
        bench.provider.forget_refund(refunded.id());
        bench.provider.decide(lied.id(), declined());
        assert_eq!(found(&bench).await, [], "young");
        age(&bench);
        assert_eq!(found(&bench).await, [("status_differs", 1), ("refund_missing_there", 1)]);
    }

    #[tokio::test]
    async fn what_is_under_way_is_counted_apart() {
        let bench = Bench::new([Answer::LoseAnswer(Outcome::Captured)]);
        captured(&bench).await;
        let young = report(&bench, Cursor::START).await;
        assert_eq!((young.compared, young.in_flight, young.differences()), (1, 1, 0));
        age(&bench);
        assert_eq!(found(&bench).await, [("status_differs", 1)], "nobody reconciled it");
        bench.service.reconcile().await.unwrap();
        assert_eq!(found(&bench).await, []);
    }

    #[tokio::test]
    async fn a_long_report_is_continued_where_it_ended() {
        let bench = Bench::with_report_max(4);
        for _ in 0..10 {
            captured(&bench).await;
        }
        let whole = whole(&bench).await;
        // A page of three charges and their three payments ends each; the last charge and its
        // payment leave room for payments without a reference, of which there are none.
        assert_eq!((whole.compared, whole.differences, whole.stretches), (10, 0, 4));
    }

    #[tokio::test]
    async fn payments_that_the_provider_does_not_list_are_compared_a_page_at_a_time() {
        let bench = Bench::with_report_max(1);
        for at in 0..10 {
            let payment = captured(&bench).await;
            if at != 4 {
                bench.provider.forget(payment.id());
            }
        }
        age(&bench);
        let whole = whole(&bench).await;
        assert_eq!((whole.compared, whole.differences), (10, 9));
        assert_eq!(whole.stretches, 5, "four pages of payments and an empty one");
    }

    #[tokio::test(start_paused = true)]
    async fn a_report_ends_before_its_caller_stops_waiting() {
        let bench = Bench::new([]);
        for _ in 0..5 {
            captured(&bench).await;
        }
        for _ in 0..5 {
            bench.provider.then(Answer::LoseAnswer(Outcome::Captured));
            let payment = captured(&bench).await;
            let id = format!("evt_{}", payment.id());
            let body = callback(&id, "payment.succeeded", &payment).to_string().into_bytes();
            bench.service.handle_callback(bench.signed(body)).await.unwrap();
            bench.provider.forget(payment.id());
        }
        age(&bench);
        let patient = whole(&bench).await;
        assert_eq!((patient.compared, patient.differences, patient.stretches), (10, 5, 1));
        let reserve = crate::testing::policy().review.reserve;
        let hasty = scope(CallContext::with_timeout(reserve), whole(&bench)).await;
        assert_eq!((hasty.compared, hasty.differences), (10, 5), "nothing is left out");
        // Two pages of charges, and each payment without a reference by itself.
        assert_eq!(hasty.stretches, 7);
    }

    #[tokio::test]
    async fn a_payment_with_two_charges_is_told_once() {
        let bench = Bench::new([]);
        let (paid, other) = (captured(&bench).await, captured(&bench).await);
        bench.provider.then(Answer::LoseAnswer(Outcome::Captured));
        let unanswered = captured(&bench).await;
        let twice = [paid.id().to_string(), unanswered.id().to_string()];
        bench.provider.falsify(move |ledger| {
            let second = |first: &ListedCharge| ListedCharge {
                provider_reference: format!("{}_2", first.provider_reference),
                ..first.clone()
            };
            let doubled = ledger.iter().filter(|charge| twice.contains(&charge.reference));
            let seconds: Vec<_> = doubled.map(second).collect();
            ledger.extend(seconds);
        });
        let young = report(&bench, Cursor::START).await;
        let class = |class: &&ClassReport| class.class == DifferenceClass::ChargedTwice;
        let told = young.classes.iter().find(class).unwrap();
        assert_eq!(told.count, 2, "at any age");
        let mut examples: Vec<_> = told.examples.iter().map(|one| &one.reference).collect();
        examples.sort_unstable();
        let mut expected = [paid.id().to_string(), unanswered.id().to_string()];
        expected.sort_unstable();
        assert_eq!(examples, [&expected[0], &expected[1]]);
        assert!(told.examples.iter().all(|one| one.provider_reference.ends_with("_2")));
        assert!(told.examples.iter().all(|one| !one.ours.is_empty()));
        assert_eq!(young.differences(), 2, "{other:?} is not told");
    }

    #[tokio::test]
    async fn a_charge_that_cannot_be_read_is_told_and_hides_no_other() {
        let bench = Bench::new([]);
        let (spoiled, _) = (captured(&bench).await, captured(&bench).await);
        bench.provider.spoil(spoiled.id());
        let foreign = PaymentId::generate();
        bench.provider.decide(foreign, Outcome::Captured);
        age(&bench);
        assert_eq!(found(&bench).await, [("missing_here", 1), ("unreadable_there", 1)]);
    }

    #[tokio::test]
    async fn an_answer_that_is_missing_leaves_one_payment_open_and_hides_no_other() {
        let bench = Bench::new([]);
        let mut settled = Vec::new();
        for _ in 0..3 {
            bench.provider.then(Answer::LoseAnswer(Outcome::Captured));
            let payment = captured(&bench).await;
            let id = format!("evt_{}", payment.id());
            let body = callback(&id, "payment.succeeded", &payment).to_string().into_bytes();
            bench.service.handle_callback(bench.signed(body)).await.unwrap();
            bench.provider.forget(payment.id());
            settled.push(payment.id());
        }
        bench.provider.spoil(settled[0]);
        age(&bench);
        let report = report(&bench, Cursor::START).await;
        assert_eq!((report.compared, report.in_flight, report.differences()), (3, 1, 2));
    }

    #[tokio::test]
    async fn examples_are_bounded_and_counts_are_not() {
        let bench = Bench::new([]);
        let max = crate::testing::policy().review.examples;
        for _ in 0..=max {
            bench.provider.decide(PaymentId::generate(), Outcome::Captured);
        }
        let report = report(&bench, Cursor::START).await;
        let class = &report.classes[0];
        assert_eq!((class.count, class.examples.len()), (max as u64 + 1, max));
    }

    #[tokio::test]
    async fn users_do_not_see_the_books() {
        let bench = Bench::new([]);
        let own = captured(&bench).await;
        let actor = Actor::User(own.terms().user_id);
        let query = GetReconciliation { actor, after: Cursor::START };
        let error = bench.service.get_reconciliation(query).await.unwrap_err();
        assert!(matches!(error, PaymentError::PermissionDenied));
    }

    #[tokio::test]
    async fn without_the_provider_there_is_no_report() {
        let bench = Bench::new([]);
        captured(&bench).await;
        bench.provider.go_away();
        let query = GetReconciliation { actor: Actor::Admin, after: Cursor::START };
        let error = bench.service.get_reconciliation(query).await.unwrap_err();
        assert!(matches!(error, PaymentError::Unavailable { .. }));
    }
}
