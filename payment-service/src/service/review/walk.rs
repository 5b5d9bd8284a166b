//! The walk of the worker: finds surplus captures and books them, and tells people of differences.

use chassis::error::Chain;
use chrono::{DateTime, Utc};
use tracing::instrument;

use super::step::Step;
use super::{Cursor, Reconciliation};
use crate::model::{Charge, Outcome, Payment, PaymentError};
use crate::service::PaymentService;
use crate::service::settle::Source;

/// Where walks begin: behind what is too old to change at the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walk {
    start: Cursor,
    /// Where the walk before ran out of time.
    rest: Option<Cursor>,
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
        Self { start: Cursor::START, rest: None }
    }
}

impl Walk {
    /// Lets later walks begin behind a step whose charges are all older than `horizon`. Returns
    /// whether it was one.
    fn advance(&mut self, step: &Step, horizon: DateTime<Utc>) -> bool {
        let old = step.youngest.is_some_and(|youngest| youngest < horizon);
        match &step.next {
            Some(next @ Cursor::Charge(_)) if old => self.start = next.clone(),
            // Once the payments in the stretch of this page are compared, it counts as a whole.
            Some(Cursor::Absent { .. }) if old => {}
            _ => return false,
        }
        true
    }
}

impl PaymentService {
    /// Walks the provider's ledger from where `walk` begins to its end, or until time runs out, and
    /// books every capture of a payment that has failed, so that the reconciliation gives it back.
    #[instrument(name = "payment.walk_ledger", skip_all)]
    pub async fn walk_ledger(&self, walk: &mut Walk) -> Result<WalkSummary, PaymentError> {
        let review = self.policy.review;
        let report = Reconciliation::empty(self.clock.now());
        let horizon = report.compared_at - review.window;
        let mut summary = WalkSummary { report, surplus: 0 };
        let rest = walk.rest.take();
        let mut is_beginning = rest.is_none();
        let mut cursor = rest.unwrap_or_else(|| walk.start.clone());
        loop {
            let step = self.step(cursor, Some(horizon)).await?;
            summary.surplus += self.give_back(&step.surplus).await;
            is_beginning = is_beginning && walk.advance(&step, horizon);
            summary.report.add(step, review.examples);
            match summary.report.next.clone() {
                Some(next) if self.is_short_of_time() => {
                    walk.rest = Some(next);
                    break;
                }
                Some(next) => cursor = next,
                None => break,
            }
        }
        tell(&summary);
        Ok(summary)
    }

    /// Books surplus captures; returns how many. One that cannot be booked is found again.
    async fn give_back(&self, surplus: &[Payment]) -> u64 {
        let mut booked = 0;
        for payment in surplus {
            let settled = self.settle(payment.clone(), &captured(), Source::Reconciliation).await;
            match settled {
                Ok(_) => booked += 1,
                Err(error) => tracing::error!(
                    payment.id = %payment.id(),
                    error = %Chain(&error),
                    "surplus capture could not be booked"
                ),
            }
        }
        booked
    }
}

/// What a listing says of a charge, without the reference: the payment is settled already.
fn captured() -> Charge {
    Charge { provider_reference: String::new(), outcome: Outcome::Captured }
}

/// Shows how many differences there are, and tells people of each class with one example.
fn tell(summary: &WalkSummary) {
    for class in &summary.report.classes {
        let count = u32::try_from(class.count).unwrap_or(u32::MAX);
        metrics::gauge!("eh_ledger_differences", "class" => class.class.as_str()).set(count);
    }
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

#[cfg(test)]
mod tests {
    use chassis::grpc::context::{CallContext, scope};
    use chrono::TimeDelta;

    use super::*;
    use crate::client::scripted::Step as Answer;
    use crate::model::{DifferenceClass, ListedCharge, ListedRefund, PaymentId, Reason, RefundId};
    use crate::testing::{Bench, callback, create};

    /// A payment that has failed here, and whose money the provider has taken since.
    async fn captured_late(bench: &Bench) -> Payment {
        let declined = Outcome::Declined(Reason::from_provider("card_declined"));
        bench.provider.then(Answer::Answer(declined));
        let payment = bench.service.create_payment(create("pm_x")).await.unwrap();
        bench.provider.decide(payment.id(), Outcome::Captured);
        payment
    }

    /// A payment whose place in the provider's ledger is not known, and that is not there any more.
    async fn lost(bench: &Bench) -> PaymentId {
        bench.provider.then(Answer::LoseAnswer(Outcome::Captured));
        let payment = bench.service.create_payment(create("pm_x")).await.unwrap();
        let id = format!("evt_{}", payment.id());
        let body = callback(&id, "payment.succeeded", &payment).to_string().into_bytes();
        bench.service.handle_callback(bench.signed(body)).await.unwrap();
        bench.provider.forget(payment.id());
        payment.id()
    }

    #[tokio::test]
    async fn differences_are_shown_until_a_walk_finds_none() {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        let _recording = metrics::set_default_local_recorder(&recorder);
        let shown = |count: u32| {
            let line = format!("eh_ledger_differences{{class=\"amount_differs\"}} {count}\n");
            recorder.handle().render().contains(&line)
        };
        let bench = Bench::new([]);
        captured_late(&bench).await;
        bench.provider.falsify(|ledger| ledger.iter_mut().for_each(|charge| charge.amount += 1));
        bench.clock.advance(TimeDelta::minutes(10));
        walk(&bench).await;
        assert!(shown(1));
        bench.provider.falsify(|ledger| ledger.iter_mut().for_each(|charge| charge.amount -= 1));
        walk(&bench).await;
        assert!(shown(0));
    }

    fn told(summary: &WalkSummary) -> Vec<DifferenceClass> {
        let some = summary.report.classes.iter().filter(|class| class.count > 0);
        some.map(|class| class.class).collect()
    }

    async fn walk(bench: &Bench) -> WalkSummary {
        bench.service.walk_ledger(&mut Walk::default()).await.unwrap()
    }

    #[tokio::test]
    async fn a_late_capture_in_other_terms_is_left_to_a_person() {
        use DifferenceClass::{
            AmountDiffers, ChargedTwice, CurrencyDiffers, RefundMissingHere, StatusDiffers,
        };
        type Falsify = fn(&mut ListedCharge);
        let cases: [(Falsify, &[DifferenceClass]); 4] = [
            (|charge| charge.amount += 1, &[AmountDiffers, StatusDiffers]),
            (|charge| charge.currency = "USD".to_owned(), &[CurrencyDiffers, StatusDiffers]),
            (|charge| charge.provider_reference.push('x'), &[ChargedTwice]),
            (
                |charge| {
                    let (id, amount) = (RefundId::generate().to_string(), charge.amount);
                    charge.refunds = vec![ListedRefund { id, amount }];
                },
                &[StatusDiffers, RefundMissingHere],
            ),
        ];
        for (falsify, expected) in cases {
            let bench = Bench::new([]);
            let payment = captured_late(&bench).await;
            bench.provider.falsify(move |ledger| ledger.iter_mut().for_each(falsify));
            bench.clock.advance(TimeDelta::minutes(10));
            let summary = walk(&bench).await;
            assert_eq!((summary.surplus, told(&summary).as_slice()), (0, expected));
            bench.service.reconcile().await.unwrap();
            assert_eq!(bench.service.load(payment.id()).await.unwrap(), payment);
            assert_eq!(bench.provider.refund_of(payment.id()), None);
            assert_eq!(bench.balance(payment.id()), 0);
        }
    }

    #[tokio::test]
    async fn a_failed_payment_with_two_captures_is_left_to_a_person() {
        let bench = Bench::new([Answer::LoseCall]);
        let payment = bench.service.create_payment(create("pm_x")).await.unwrap();
        let body = callback("evt_1", "payment.failed", &payment).to_string().into_bytes();
        bench.service.handle_callback(bench.signed(body)).await.unwrap();
        bench.provider.decide(payment.id(), Outcome::Captured);
        let money = payment.terms().amount;
        bench.provider.falsify(move |ledger| {
            let first = &mut ledger[0];
            (first.amount, first.currency) = (money.amount(), money.currency().to_string());
            let second = ListedCharge { provider_reference: "z".to_owned(), ..first.clone() };
            ledger.push(second);
        });
        bench.clock.advance(TimeDelta::minutes(10));
        let summary = walk(&bench).await;
        assert_eq!(summary.surplus, 0);
        let expected = [DifferenceClass::ChargedTwice, DifferenceClass::StatusDiffers];
        assert_eq!(told(&summary), expected);
    }

    #[tokio::test]
    async fn an_odd_charge_keeps_no_surplus_from_going_back() {
        let bench = Bench::new([]);
        let (odd, late) = (captured_late(&bench).await, captured_late(&bench).await);
        bench.provider.spoil(odd.id());
        let summary = walk(&bench).await;
        assert_eq!((summary.surplus, told(&summary)), (1, vec![DifferenceClass::UnreadableThere]));
        assert!(bench.service.load(late.id()).await.unwrap().refund().is_some());
    }

    #[tokio::test]
    async fn payments_without_a_place_are_asked_about_within_the_window() {
        let bench = Bench::new([]);
        let old = lost(&bench).await;
        bench.clock.advance(crate::testing::policy().review.window + TimeDelta::seconds(1));
        let young = lost(&bench).await;
        bench.clock.advance(TimeDelta::minutes(10));
        let summary = walk(&bench).await;
        let missing = summary.report.classes.iter().flat_map(|class| &class.examples);
        let told: Vec<_> = missing.map(|example| example.reference.clone()).collect();
        assert_eq!(told, [young.to_string()], "and not {old}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_walk_that_runs_out_of_time_is_continued_by_the_next_one() {
        let bench = Bench::new([]);
        for _ in 0..4 {
            captured_late(&bench).await;
        }
        lost(&bench).await;
        lost(&bench).await;
        bench.clock.advance(TimeDelta::minutes(10));
        let reserve = crate::testing::policy().review.reserve;
        let (mut walk, mut surplus, mut compared, mut rounds) = (Walk::default(), 0, 0, 0);
        loop {
            let round = bench.service.walk_ledger(&mut walk);
            let summary = scope(CallContext::with_timeout(reserve), round).await.unwrap();
            surplus += summary.surplus;
            compared += summary.report.compared;
            rounds += 1;
            if summary.report.next.is_none() {
                break;
            }
        }
        assert_eq!((surplus, compared, rounds), (4, 6, 4));
        let again = bench.service.walk_ledger(&mut walk).await.unwrap();
        assert!(again.report.compared >= 2, "the next one begins anew");
    }
}
