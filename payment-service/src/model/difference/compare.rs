//! The comparison itself: a pure function of the two records.

use chrono::{DateTime, Utc};

use super::{Booked, Comparison, Difference, DifferenceClass};
use crate::model::{ListedCharge, ListedRefund, Outcome, PaymentStatus, UnreadableCharge};

/// Compares a charge that the provider lists with what is recorded here. What changed here, or was
/// written down there, after `calm` may be in flight.
pub fn compare(theirs: &ListedCharge, ours: Option<&Booked>, calm: DateTime<Utc>) -> Comparison {
    let Some(ours) = ours else { return missing_here(theirs) };
    let known = ours.payment.snapshot().provider_reference.as_deref();
    if let Some(known) = known.filter(|known| *known != theirs.provider_reference) {
        // What is recorded here is about the other charge. A reference never changes, so this is
        // never in flight.
        let differences = vec![charged_again(theirs, known)];
        return Comparison { differences, in_flight: false };
    }
    let moving = ours.payment.updated_at() > calm || theirs.created_at > calm;
    let mut pair = Pair { theirs, ours, moving, found: Comparison::default() };
    pair.money();
    pair.status();
    pair.refunds();
    pair.ledger();
    pair.found
}

/// Judges a payment that the provider does not list.
pub fn compare_absent(ours: &Booked, calm: DateTime<Utc>) -> Comparison {
    if !ours.is_captured() {
        return Comparison::default();
    }
    if ours.payment.updated_at() > calm {
        return Comparison { differences: Vec::new(), in_flight: true };
    }
    let snapshot = ours.payment.snapshot();
    let difference = Difference {
        class: DifferenceClass::MissingThere,
        reference: snapshot.id.to_string(),
        provider_reference: snapshot.provider_reference.clone().unwrap_or_default(),
        refund_id: String::new(),
        ours: snapshot.status.to_string(),
        theirs: String::new(),
    };
    Comparison { differences: vec![difference], in_flight: false }
}

/// A charge of a payment for which the provider has another one, named `first`.
pub fn charged_again(theirs: &ListedCharge, first: &str) -> Difference {
    Difference {
        class: DifferenceClass::ChargedTwice,
        reference: theirs.reference.clone(),
        provider_reference: theirs.provider_reference.clone(),
        refund_id: String::new(),
        ours: first.to_owned(),
        theirs: summary(theirs),
    }
}

/// Judges what the provider lists and is no charge as agreed.
pub fn compare_unreadable(theirs: &UnreadableCharge) -> Comparison {
    let difference = Difference {
        class: DifferenceClass::UnreadableThere,
        reference: theirs.reference.clone(),
        provider_reference: theirs.provider_reference.clone(),
        refund_id: String::new(),
        ours: String::new(),
        theirs: theirs.field.to_owned(),
    };
    Comparison { differences: vec![difference], in_flight: false }
}

fn summary(theirs: &ListedCharge) -> String {
    format!("{} {} {}", word(&theirs.outcome), theirs.amount, theirs.currency)
}

/// An intent is stored before the provider is asked, so a charge without one is never in flight.
fn missing_here(theirs: &ListedCharge) -> Comparison {
    let difference = Difference {
        class: DifferenceClass::MissingHere,
        reference: theirs.reference.clone(),
        provider_reference: theirs.provider_reference.clone(),
        refund_id: String::new(),
        ours: String::new(),
        theirs: summary(theirs),
    };
    Comparison { differences: vec![difference], in_flight: false }
}

/// Two records of one charge, and what was found so far.
struct Pair<'a> {
    theirs: &'a ListedCharge,
    ours: &'a Booked,
    moving: bool,
    found: Comparison,
}

impl Pair<'_> {
    /// What was charged is fixed before the provider is asked: it is never in flight.
    fn money(&mut self) {
        let (theirs, money) = (self.theirs, self.ours.payment.terms().amount);
        if money.amount() != theirs.amount {
            let (ours, theirs) = (money.amount().to_string(), theirs.amount.to_string());
            self.add(DifferenceClass::AmountDiffers, "", (ours, theirs));
        }
        if money.currency().as_str() != theirs.currency {
            let (ours, theirs) = (money.currency().to_string(), theirs.currency.clone());
            self.add(DifferenceClass::CurrencyDiffers, "", (ours, theirs));
        }
    }

    fn status(&mut self) {
        let (status, outcome) = (self.ours.payment.status(), &self.theirs.outcome);
        let agree = match outcome {
            Outcome::Pending => status == PaymentStatus::Pending,
            Outcome::Captured => self.ours.is_captured(),
            Outcome::Declined(_) => status == PaymentStatus::Failed && !self.ours.is_captured(),
        };
        if !agree {
            let said = (status.to_string(), word(outcome).to_owned());
            self.unless_moving(DifferenceClass::StatusDiffers, "", said);
        }
    }

    fn refunds(&mut self) {
        let (theirs, ours) = (self.theirs, self.ours);
        let refund = ours.payment.refund();
        let known = |listed: &&ListedRefund| {
            refund.is_some_and(|refund| refund.id.to_string() == listed.id)
        };
        for foreign in theirs.refunds.iter().filter(|listed| !known(listed)) {
            let said = (String::new(), foreign.amount.to_string());
            self.add(DifferenceClass::RefundMissingHere, &foreign.id, said);
        }
        if theirs.refunds.len() > 1 || theirs.refunded() > theirs.amount {
            let said = (String::new(), theirs.refunded().to_string());
            self.add(DifferenceClass::RefundedTwice, "", said);
        }
        let Some(refund) = refund else { return };
        let id = refund.id.to_string();
        let status = refund.status.as_str().to_owned();
        match theirs.refunds.iter().find(known) {
            None => {
                self.unless_moving(
                    DifferenceClass::RefundMissingThere,
                    &id,
                    (status, String::new()),
                );
            }
            Some(made) if made.amount != refund.amount.amount() => {
                let said = (refund.amount.amount().to_string(), made.amount.to_string());
                self.add(DifferenceClass::AmountDiffers, &id, said);
            }
            Some(made) if !ours.is_refunded() => {
                let said = (status, made.amount.to_string());
                self.unless_moving(DifferenceClass::RefundMissingHere, &id, said);
            }
            Some(_) => {}
        }
    }

    /// Where the records differ, so must the ledger: it is told apart only where they agree.
    fn ledger(&mut self) {
        let agree = self.found == Comparison::default();
        if agree && self.ours.held != self.theirs.held() {
            let said = (self.ours.held.to_string(), self.theirs.held().to_string());
            self.unless_moving(DifferenceClass::LedgerDiffers, "", said);
        }
    }

    fn unless_moving(&mut self, class: DifferenceClass, refund: &str, said: (String, String)) {
        if self.moving {
            self.found.in_flight = true;
        } else {
            self.add(class, refund, said);
        }
    }

    fn add(&mut self, class: DifferenceClass, refund: &str, (ours, theirs): (String, String)) {
        self.found.differences.push(Difference {
            class,
            reference: self.theirs.reference.clone(),
            provider_reference: self.theirs.provider_reference.clone(),
            refund_id: refund.to_owned(),
            ours,
            theirs,
        });
    }
}

const fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Pending => "pending",
        Outcome::Captured => "captured",
        Outcome::Declined(_) => "declined",
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::model::{
        Charge, Money, Payment, PaymentId, Reason, RefundId, Snapshot, Terms, Verdict,
    };
    use crate::testing::terms;

    const AMOUNT: i64 = 19_900;

    fn then() -> DateTime<Utc> {
        DateTime::from_timestamp_millis(1_767_323_045_006).unwrap()
    }

    /// Long after everything happened.
    fn calm() -> DateTime<Utc> {
        then() + TimeDelta::minutes(5)
    }

    fn declined() -> Outcome {
        Outcome::Declined(Reason::from_provider("card_declined"))
    }

    fn initiated() -> Booked {
        let payment = Payment::initiate(PaymentId::generate(), terms("pm_ok"), then());
        Booked { payment, held: 0 }
    }

    fn after(outcome: Outcome) -> Booked {
        let held = if outcome == Outcome::Captured { AMOUNT } else { 0 };
        let charge = Charge { provider_reference: "ch_1".to_owned(), outcome };
        match initiated().payment.hear(&charge, then()) {
            Verdict::Moves(change) => Booked { payment: change.payment, held },
            other => panic!("{other:?}"),
        }
    }

    fn refunding() -> Booked {
        let payment = after(Outcome::Captured).payment;
        let asked = payment.request_refund(RefundId::generate(), "late".to_owned(), then());
        Booked { payment: asked.unwrap().payment, held: AMOUNT }
    }

    fn refunded() -> Booked {
        let payment = refunding().payment.complete_refund(then()).unwrap().payment;
        Booked { payment, held: 0 }
    }

    fn surplus() -> Booked {
        let payment = after(declined()).payment.take_surplus(then()).unwrap().payment;
        Booked { payment, held: AMOUNT }
    }

    fn surplus_returned() -> Booked {
        Booked { payment: surplus().payment.return_surplus(then()).unwrap().payment, held: 0 }
    }

    /// The provider's record that fits `ours`.
    fn listed(ours: &Booked, outcome: Outcome) -> ListedCharge {
        let refund = ours.payment.refund().filter(|_| ours.is_refunded());
        let refunds =
            refund.map(|refund| ListedRefund { id: refund.id.to_string(), amount: AMOUNT });
        ListedCharge {
            reference: ours.payment.id().to_string(),
            provider_reference: "ch_1".to_owned(),
            amount: AMOUNT,
            currency: "CNY".to_owned(),
            outcome,
            created_at: then(),
            refunds: refunds.into_iter().collect(),
        }
    }

    fn classes(theirs: &ListedCharge, ours: &Booked) -> Vec<&'static str> {
        let found = compare(theirs, Some(ours), calm());
        assert!(!found.in_flight, "nothing is young");
        found.differences.iter().map(|difference| difference.class.as_str()).collect()
    }

    #[test]
    fn records_that_fit_do_not_differ() {
        for (ours, outcome) in [
            (after(Outcome::Pending), Outcome::Pending),
            (after(Outcome::Captured), Outcome::Captured),
            (after(declined()), declined()),
            (refunded(), Outcome::Captured),
            (surplus_returned(), Outcome::Captured),
        ] {
            let found = compare(&listed(&ours, outcome), Some(&ours), calm());
            assert_eq!(found, Comparison::default(), "{}", ours.payment.status());
        }
    }

    #[test]
    fn an_outcome_that_differs_is_told() {
        for (ours, outcome) in [
            (after(declined()), Outcome::Captured),
            (after(declined()), Outcome::Pending),
            (after(Outcome::Captured), declined()),
            (after(Outcome::Captured), Outcome::Pending),
            (after(Outcome::Pending), Outcome::Captured),
            (initiated(), Outcome::Captured),
            (initiated(), Outcome::Pending),
        ] {
            assert_eq!(classes(&listed(&ours, outcome), &ours), ["status_differs"]);
        }
        let ours = refunded();
        assert_eq!(classes(&listed(&ours, declined()), &ours), ["status_differs"]);
    }

    #[test]
    fn what_is_young_is_in_flight() {
        for (ours, outcome) in [
            (initiated(), Outcome::Captured),
            (after(Outcome::Pending), Outcome::Captured),
            (refunding(), Outcome::Captured),
            (surplus(), Outcome::Captured),
        ] {
            let found =
                compare(&listed(&ours, outcome), Some(&ours), then() - TimeDelta::seconds(1));
            assert_eq!(found, Comparison { differences: Vec::new(), in_flight: true });
        }
        let absent = compare_absent(&after(Outcome::Captured), then() - TimeDelta::seconds(1));
        assert_eq!(absent, Comparison { differences: Vec::new(), in_flight: true });
    }

    #[test]
    fn a_charge_that_only_one_side_knows_is_told() {
        let ours = after(Outcome::Captured);
        let found = compare(&listed(&ours, Outcome::Captured), None, calm());
        assert_eq!(found.differences[0].class, DifferenceClass::MissingHere);
        assert_eq!(found.differences[0].theirs, "captured 19900 CNY");
        let found = compare_absent(&ours, calm());
        assert_eq!(found.differences[0].class, DifferenceClass::MissingThere);
        assert_eq!(found.differences[0].reference, ours.payment.id().to_string());
        for ours in [initiated(), after(Outcome::Pending), after(declined())] {
            assert_eq!(compare_absent(&ours, calm()), Comparison::default(), "no money is claimed");
        }
    }

    #[test]
    fn a_second_charge_of_the_same_payment_is_told_at_any_age_and_instead_of_all_else() {
        for ours in [after(Outcome::Captured), refunded(), after(declined())] {
            let theirs = ListedCharge {
                provider_reference: "ch_2".to_owned(),
                ..listed(&ours, Outcome::Captured)
            };
            assert_eq!(classes(&theirs, &ours), ["charged_twice"]);
            let young = compare(&theirs, Some(&ours), then() - TimeDelta::seconds(1));
            let told = &young.differences[0];
            assert_eq!((told.ours.as_str(), told.provider_reference.as_str()), ("ch_1", "ch_2"));
            assert_eq!(told.theirs, "captured 19900 CNY");
        }
        // Without a reference there is nothing to tell it by.
        let ours = Booked { payment: initiated().payment, held: 0 };
        assert_eq!(classes(&listed(&ours, Outcome::Captured), &ours), ["status_differs"]);
    }

    #[test]
    fn only_a_capture_in_the_terms_of_the_failed_payment_is_its_surplus() {
        let failed = after(declined());
        let fits = listed(&failed, Outcome::Captured);
        assert!(fits.is_surplus_of(&failed.payment));
        let refund = |id: String, amount| vec![ListedRefund { id, amount }];
        let own = failed.payment.id().to_string();
        let asked_before = ListedCharge { refunds: refund(own.clone(), AMOUNT), ..fits.clone() };
        assert!(asked_before.is_surplus_of(&failed.payment), "the same refund is asked for again");
        let foreign = RefundId::generate().to_string();
        for odd in [
            ListedCharge { amount: AMOUNT + 1, ..fits.clone() },
            ListedCharge { currency: "USD".to_owned(), ..fits.clone() },
            ListedCharge { provider_reference: "ch_2".to_owned(), ..fits.clone() },
            ListedCharge { outcome: Outcome::Pending, ..fits.clone() },
            ListedCharge { refunds: refund(foreign, AMOUNT), ..fits.clone() },
            ListedCharge { refunds: refund(own, AMOUNT - 1), ..fits.clone() },
        ] {
            assert!(!odd.is_surplus_of(&failed.payment), "{odd:?}");
        }
        for other in [after(Outcome::Captured), surplus(), initiated()] {
            let theirs = listed(&other, Outcome::Captured);
            assert!(!theirs.is_surplus_of(&other.payment));
        }
    }

    #[test]
    fn other_money_is_told_also_of_what_is_young() {
        let ours = after(Outcome::Captured);
        let terms = Terms {
            amount: Money::parse("amount", AMOUNT, "USD").unwrap(),
            ..ours.payment.terms().clone()
        };
        let snapshot = Snapshot { terms, ..ours.payment.snapshot().clone() };
        let ours = Booked { payment: Payment::restore(snapshot), held: AMOUNT };
        let theirs = ListedCharge { amount: AMOUNT + 1, ..listed(&ours, Outcome::Captured) };
        assert_eq!(classes(&theirs, &ours), ["amount_differs", "currency_differs"]);
        let young = compare(&theirs, Some(&ours), then() - TimeDelta::seconds(1));
        assert_eq!(young.differences.len(), 2);
    }

    #[test]
    fn refunds_are_compared_one_by_one() {
        let ours = refunded();
        let fitting = listed(&ours, Outcome::Captured);
        let foreign = ListedRefund { id: RefundId::generate().to_string(), amount: AMOUNT };
        let with = |refunds: Vec<ListedRefund>| ListedCharge { refunds, ..fitting.clone() };
        assert_eq!(classes(&with(Vec::new()), &ours), ["refund_missing_there"]);
        assert_eq!(
            classes(&with(vec![foreign.clone()]), &ours),
            ["refund_missing_here", "refund_missing_there"]
        );
        let both = with(vec![fitting.refunds[0].clone(), foreign.clone()]);
        assert_eq!(classes(&both, &ours), ["refund_missing_here", "refunded_twice"]);
        let less = ListedRefund { amount: AMOUNT - 1, ..fitting.refunds[0].clone() };
        assert_eq!(classes(&with(vec![less]), &ours), ["amount_differs"]);
        let captured = after(Outcome::Captured);
        let theirs =
            ListedCharge { refunds: vec![foreign], ..listed(&captured, Outcome::Captured) };
        assert_eq!(classes(&theirs, &captured), ["refund_missing_here"]);
    }

    #[test]
    fn a_refund_that_was_made_and_does_not_count_as_made_is_told() {
        for (pending, done) in [(refunding(), refunded()), (surplus(), surplus_returned())] {
            let amount = AMOUNT;
            let id = pending.payment.refund().unwrap().id.to_string();
            let refunds = vec![ListedRefund { id, amount }];
            let theirs = ListedCharge { refunds, ..listed(&pending, Outcome::Captured) };
            assert_eq!(classes(&theirs, &pending), ["refund_missing_here"]);
            let not_made = listed(&pending, Outcome::Captured);
            assert_eq!(classes(&not_made, &pending), ["refund_missing_there"]);
            assert_eq!(classes(&listed(&done, Outcome::Captured), &done), [""; 0]);
        }
    }

    #[test]
    fn a_ledger_that_says_something_else_is_told() {
        for (ours, outcome) in [
            (after(Outcome::Captured), Outcome::Captured),
            (after(declined()), declined()),
            (refunded(), Outcome::Captured),
        ] {
            let theirs = listed(&ours, outcome);
            let booked = Booked { held: ours.held + 1, ..ours };
            assert_eq!(classes(&theirs, &booked), ["ledger_differs"]);
        }
    }
}
