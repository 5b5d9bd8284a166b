//! What two ledgers have to agree on.

use std::collections::HashMap;

use uuid::Uuid;

use super::{AGREEMENT, Charge, Payment, Standing};
use crate::audit::{Invariant, Report};

const UNKNOWN_HERE: &str = "charge_without_payment";
const UNKNOWN_THERE: &str = "payment_without_charge";
const TERMS: &str = "charge_and_payment_differ";
const CAPTURED_THERE: &str = "captured_there_and_not_here";
const CAPTURED_HERE: &str = "captured_here_and_not_there";
const DECLINED_HERE: &str = "declined_here_and_not_there";
const REFUNDED_THERE: &str = "refunded_there_and_not_here";
const REFUNDED_HERE: &str = "refunded_here_and_not_there";
const KEPT_TWICE: &str = "provider_keeps_two_captures";
const OVER_REFUNDED: &str = "provider_refunded_too_much";
const CHARGED_TWICE: &str = "reference_charged_twice";
const NAMES: [&str; 11] = [
    UNKNOWN_HERE,
    UNKNOWN_THERE,
    TERMS,
    CAPTURED_THERE,
    CAPTURED_HERE,
    DECLINED_HERE,
    REFUNDED_THERE,
    REFUNDED_HERE,
    KEPT_TWICE,
    OVER_REFUNDED,
    CHARGED_TWICE,
];
const BOUNDS: Invariant = Invariant::new(5);

/// Two ledgers side by side.
pub(super) struct Comparison<'a> {
    charges: &'a [Charge],
    payments: &'a [Payment],
    by_reference: HashMap<Uuid, &'a Charge>,
    by_id: HashMap<Uuid, &'a Payment>,
}

impl<'a> Comparison<'a> {
    pub(super) fn new(charges: &'a [Charge], payments: &'a [Payment]) -> Self {
        Self {
            charges,
            payments,
            by_reference: charges.iter().map(|charge| (charge.reference, charge)).collect(),
            by_id: payments.iter().map(|payment| (payment.id, payment)).collect(),
        }
    }

    pub(super) fn tell(&self, report: &mut Report) {
        for name in NAMES {
            report.checked(if name == OVER_REFUNDED { BOUNDS } else { AGREEMENT }, name);
        }
        if self.by_reference.len() < self.charges.len() {
            self.tell_twins(report);
        }
        for charge in self.charges {
            tell_overpaid(charge, report);
            if let Some(payment) = self.by_id.get(&charge.reference) {
                compare(charge, payment, report);
            } else {
                let detail = format!("{} and unknown here", describe(charge));
                report.add((AGREEMENT, UNKNOWN_HERE), charge.reference, detail);
            }
        }
        for payment in self.payments {
            if payment.is_known_there() && !self.by_reference.contains_key(&payment.id) {
                let detail = format!("is {} and the provider does not know it", payment.status);
                report.add((AGREEMENT, UNKNOWN_THERE), payment.id, detail);
            }
        }
        self.tell_kept_twice(report);
    }

    fn tell_twins(&self, report: &mut Report) {
        let mut seen: HashMap<Uuid, u32> = HashMap::new();
        for charge in self.charges {
            *seen.entry(charge.reference).or_default() += 1;
        }
        for (reference, count) in seen.into_iter().filter(|(_, count)| *count > 1) {
            let detail = format!("the provider has {count} charges of it");
            report.add((AGREEMENT, CHARGED_TWICE), reference, detail);
        }
    }

    fn tell_kept_twice(&self, report: &mut Report) {
        let mut kept: HashMap<Uuid, Vec<String>> = HashMap::new();
        for charge in self.charges.iter().filter(|c| c.standing == Standing::Captured) {
            let Some(payment) = self.by_id.get(&charge.reference) else { continue };
            // A surplus capture that is on its way back is not kept.
            let is_returning = payment.refund_id.is_some() || !payment.is_old();
            if charge.refunds.is_empty() && !is_returning {
                kept.entry(payment.order_id).or_default().push(charge.reference.to_string());
            }
        }
        for (order, charges) in kept.into_iter().filter(|(_, charges)| charges.len() > 1) {
            let detail = format!("captures kept: {}", charges.join(", "));
            report.add((AGREEMENT, KEPT_TWICE), order, detail);
        }
    }
}

impl Payment {
    fn is_old(&self) -> bool {
        self.is_old != 0
    }

    fn is_refunded(&self) -> bool {
        self.is_refunded != 0
    }
}

fn compare(charge: &Charge, payment: &Payment, report: &mut Report) {
    let has_other_name = matches!(
        (&charge.provider_reference, &payment.provider_reference),
        (Some(theirs), Some(ours)) if theirs != ours
    );
    if (charge.amount, &charge.currency) != (payment.amount, &payment.currency) || has_other_name {
        let ours = format!("{} {}", payment.amount, payment.currency);
        let detail = format!("{}; here it is {ours}", describe(charge));
        report.add((AGREEMENT, TERMS), payment.id, detail);
    }
    let disagreement = match (charge.standing, payment.status.as_str()) {
        // What was taken for a payment that has failed is on its way back for a while.
        (Standing::Captured, "FAILED") if charge.refunds.is_empty() && payment.is_old() => {
            Some(CAPTURED_THERE)
        }
        (Standing::Captured, "INITIATED" | "PENDING") if payment.is_old() => Some(CAPTURED_THERE),
        (Standing::Pending, "FAILED") => Some(DECLINED_HERE),
        (Standing::Declined, "INITIATED" | "PENDING") if payment.is_old() => Some(DECLINED_HERE),
        (Standing::Pending | Standing::Declined, "SUCCEEDED" | "REFUNDING" | "REFUNDED") => {
            Some(CAPTURED_HERE)
        }
        _ => None,
    };
    if let Some(check) = disagreement {
        let detail = format!("{}; here it is {}", describe(charge), payment.status);
        report.add((AGREEMENT, check), payment.id, detail);
    }
    compare_refunds(charge, payment, report);
}

fn compare_refunds(charge: &Charge, payment: &Payment, report: &mut Report) {
    for (id, amount) in &charge.refunds {
        let is_ours = payment.refund_id == Some(*id);
        let is_known = is_ours && (payment.is_refunded() || !payment.is_old());
        if !is_known {
            let detail = format!("refund {id} of {amount}; here it is {}", payment.status);
            report.add((AGREEMENT, REFUNDED_THERE), payment.id, detail);
        }
    }
    if payment.is_refunded() && !charge.refunds.iter().any(|(id, _)| payment.refund_id == Some(*id))
    {
        let detail = format!("{}; here its refund is made", describe(charge));
        report.add((AGREEMENT, REFUNDED_HERE), payment.id, detail);
    }
}

fn tell_overpaid(charge: &Charge, report: &mut Report) {
    let captured = if charge.standing == Standing::Captured { charge.amount } else { 0 };
    let refunded: i64 = charge.refunds.iter().map(|(_, amount)| amount).sum();
    if refunded > captured {
        let detail = format!("captured {captured}, refunded {refunded}");
        report.add((BOUNDS, OVER_REFUNDED), charge.reference, detail);
    }
}

fn describe(charge: &Charge) -> String {
    let standing = match charge.standing {
        Standing::Pending => "pending",
        Standing::Captured => "captured",
        Standing::Declined => "declined",
    };
    let name = charge.provider_reference.as_deref().unwrap_or_default();
    let Charge { amount, currency, .. } = charge;
    format!("the provider has it {standing} over {amount} {currency} {name}").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn charge(standing: Standing) -> Charge {
        Charge {
            reference: Uuid::from_u128(1),
            provider_reference: Some("ch_1".to_owned()),
            amount: 100,
            currency: "CNY".to_owned(),
            standing,
            refunds: Vec::new(),
        }
    }

    fn payment(status: &str) -> Payment {
        Payment {
            id: Uuid::from_u128(1),
            order_id: Uuid::from_u128(7),
            status: status.to_owned(),
            amount: 100,
            currency: "CNY".to_owned(),
            provider_reference: Some("ch_1".to_owned()),
            refund_id: None,
            is_refunded: 0,
            is_old: 1,
        }
    }

    fn refunded() -> Payment {
        let refund_id = Some(Uuid::from_u128(9));
        Payment { refund_id, is_refunded: 1, ..payment("REFUNDED") }
    }

    fn found(charges: &[Charge], payments: &[Payment]) -> Vec<&'static str> {
        let mut report = Report::default();
        Comparison::new(charges, payments).tell(&mut report);
        report.violations.iter().map(|violation| violation.check).collect()
    }

    #[test]
    fn ledgers_that_agree_are_no_violation() {
        for (standing, status) in [
            (Standing::Captured, "SUCCEEDED"),
            (Standing::Declined, "FAILED"),
            (Standing::Pending, "PENDING"),
            (Standing::Pending, "INITIATED"),
        ] {
            assert!(found(&[charge(standing)], &[payment(status)]).is_empty(), "{status}");
        }
        let given_back =
            Charge { refunds: vec![(Uuid::from_u128(9), 100)], ..charge(Standing::Captured) };
        assert!(found(std::slice::from_ref(&given_back), &[refunded()]).is_empty());
        // Taken after all for a payment that has failed, and given back.
        let surplus = Payment { status: "FAILED".to_owned(), ..refunded() };
        assert!(found(&[given_back], &[surplus]).is_empty());
        // The provider refused at once, or was never reached.
        assert!(found(&[], &[payment("FAILED")]).is_empty());
        assert!(found(&[], &[payment("INITIATED")]).is_empty());
    }

    #[test]
    fn what_only_one_side_has_is_named() {
        assert_eq!(found(&[charge(Standing::Captured)], &[]), [UNKNOWN_HERE]);
        assert_eq!(found(&[], &[payment("SUCCEEDED")]), [UNKNOWN_THERE]);
    }

    #[test]
    fn another_outcome_is_named() {
        for (standing, status, check) in [
            (Standing::Captured, "FAILED", CAPTURED_THERE),
            (Standing::Captured, "PENDING", CAPTURED_THERE),
            (Standing::Declined, "SUCCEEDED", CAPTURED_HERE),
            (Standing::Pending, "SUCCEEDED", CAPTURED_HERE),
            (Standing::Pending, "FAILED", DECLINED_HERE),
        ] {
            assert_eq!(found(&[charge(standing)], &[payment(status)]), [check], "{status}");
        }
    }

    #[test]
    fn what_is_under_way_is_given_time() {
        let young = Payment { is_old: 0, ..payment("PENDING") };
        assert!(found(&[charge(Standing::Captured)], &[young]).is_empty());
    }

    #[test]
    fn other_amounts_and_references_are_named() {
        let dearer = Charge { amount: 101, ..charge(Standing::Captured) };
        assert_eq!(found(&[dearer], &[payment("SUCCEEDED")]), [TERMS]);
        let renamed =
            Charge { provider_reference: Some("ch_2".to_owned()), ..charge(Standing::Captured) };
        assert_eq!(found(&[renamed], &[payment("SUCCEEDED")]), [TERMS]);
    }

    #[test]
    fn refunds_are_compared_both_ways() {
        let given_back =
            Charge { refunds: vec![(Uuid::from_u128(9), 100)], ..charge(Standing::Captured) };
        assert_eq!(
            found(std::slice::from_ref(&given_back), &[payment("SUCCEEDED")]),
            [REFUNDED_THERE]
        );
        assert_eq!(found(&[charge(Standing::Captured)], &[refunded()]), [REFUNDED_HERE]);
        let mut twice = given_back;
        twice.refunds.push((Uuid::from_u128(10), 100));
        let mut names = found(&[twice], &[refunded()]);
        names.sort_unstable();
        assert_eq!(names, [OVER_REFUNDED, REFUNDED_THERE]);
    }

    #[test]
    fn two_kept_captures_of_an_order_are_named() {
        let second = Charge { reference: Uuid::from_u128(2), ..charge(Standing::Captured) };
        let other = Payment { id: Uuid::from_u128(2), ..payment("SUCCEEDED") };
        let names = found(&[charge(Standing::Captured), second], &[payment("SUCCEEDED"), other]);
        assert_eq!(names, [KEPT_TWICE]);
        let names = found(
            &[charge(Standing::Captured), charge(Standing::Captured)],
            &[payment("SUCCEEDED")],
        );
        assert!(names.contains(&CHARGED_TWICE), "{names:?}");
    }
}
