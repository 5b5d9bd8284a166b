//! Money that the provider took for a payment that has failed, and its way back.
//!
//! A failed payment stays failed: its order was told, and may have been paid otherwise. The money
//! is booked beside it, in an account of its own, and goes back in full and once.

use chrono::{DateTime, Utc};

use super::{
    Payment, PaymentError, PaymentStatus, Posting, Refund, RefundId, RefundStatus, Snapshot,
};

/// Why the refund of a surplus capture is asked for.
const REASON: &str = "surplus_capture";

/// A step of a surplus capture on its way back, with what has to be stored together with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SurplusChange {
    /// The payment after the step: FAILED under the same version, with the refund.
    pub payment: Payment,
    /// What the step books.
    pub posting: Posting,
}

impl SurplusChange {
    /// The refund after the step.
    pub fn refund(&self) -> Option<&Refund> {
        self.payment.refund()
    }
}

impl Payment {
    /// Whether a capture of this payment is one too many.
    pub fn makes_surplus(&self) -> bool {
        self.status() == PaymentStatus::Failed
    }

    /// Books money that the provider took although the payment has failed, and owes it back.
    ///
    /// The refund bears the payment's own id: whoever finds the capture again, even from a restored
    /// backup, asks the provider for the same refund.
    pub fn take_surplus(&self, now: DateTime<Utc>) -> Result<SurplusChange, PaymentError> {
        if !self.makes_surplus() || self.refund().is_some() {
            return Err(PaymentError::StateConflict { status: self.status() });
        }
        let amount = self.terms().amount;
        let refund = Refund {
            id: RefundId::from_uuid(self.id().as_uuid()),
            amount,
            status: RefundStatus::Pending,
            reason: REASON.to_owned(),
            created_at: now,
        };
        let payment = self.with_refund(refund, now);
        let posting = Posting::surplus(self.id(), amount, payment.updated_at());
        Ok(SurplusChange { payment, posting })
    }

    /// Ends the refund of a surplus capture that the provider has confirmed.
    pub fn return_surplus(&self, now: DateTime<Utc>) -> Result<SurplusChange, PaymentError> {
        let pending = self.refund().filter(|refund| refund.status == RefundStatus::Pending);
        let Some(refund) = pending.filter(|_| self.makes_surplus()) else {
            return Err(PaymentError::StateConflict { status: self.status() });
        };
        let done = Refund { status: RefundStatus::Succeeded, ..refund.clone() };
        let payment = self.with_refund(done, now);
        let amount = self.terms().amount;
        let at = payment.updated_at();
        let posting = Posting::surplus_refund(self.id(), refund.id, amount, at);
        Ok(SurplusChange { payment, posting })
    }

    fn with_refund(&self, refund: Refund, now: DateTime<Utc>) -> Self {
        let snapshot = self.snapshot().clone();
        // A clock that was set back must not make a payment older than its last move.
        let updated_at = now.max(snapshot.updated_at);
        Self::restore(Snapshot { refund: Some(refund), updated_at, ..snapshot })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Account, Charge, Outcome, PaymentId, Reason, Verdict};
    use crate::testing::terms;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp_millis(1_767_323_045_006).unwrap()
    }

    fn initiated() -> Payment {
        Payment::initiate(PaymentId::generate(), terms("pm_ok"), now())
    }

    fn after(outcome: Outcome) -> Payment {
        let charge = Charge { provider_reference: "ch_1".to_owned(), outcome };
        match initiated().hear(&charge, now()) {
            Verdict::Moves(change) => change.payment,
            other => panic!("{other:?}"),
        }
    }

    fn failed() -> Payment {
        after(Outcome::Declined(Reason::from_provider("card_declined")))
    }

    fn balance(postings: &[&Posting], account: Account) -> i64 {
        let entries = postings.iter().flat_map(|posting| posting.entries());
        entries.filter(|entry| entry.account == account).map(|entry| entry.amount).sum()
    }

    #[test]
    fn a_surplus_capture_is_booked_and_owed_back() {
        let payment = failed();
        let taken = payment.take_surplus(now()).unwrap();
        assert_eq!(taken.payment.status(), PaymentStatus::Failed);
        assert_eq!(taken.payment.version(), payment.version());
        let refund = taken.refund().unwrap();
        assert_eq!((refund.status, refund.reason.as_str()), (RefundStatus::Pending, REASON));
        assert_eq!(refund.id.as_uuid(), payment.id().as_uuid());
        assert!(taken.payment.awaits_provider());
        assert_eq!(balance(&[&taken.posting], Account::ProviderClearing), 19_900);
        assert_eq!(balance(&[&taken.posting], Account::SurplusCaptures), -19_900);

        let returned = taken.payment.return_surplus(now()).unwrap();
        assert_eq!(returned.refund().unwrap().status, RefundStatus::Succeeded);
        assert!(!returned.payment.awaits_provider());
        for account in [Account::ProviderClearing, Account::SurplusCaptures, Account::OrderFunds] {
            assert_eq!(balance(&[&taken.posting, &returned.posting], account), 0);
        }
        assert_ne!(taken.posting.id(), returned.posting.id());
    }

    #[test]
    fn it_is_taken_once_and_returned_once() {
        let taken = failed().take_surplus(now()).unwrap().payment;
        assert!(taken.take_surplus(now()).is_err());
        let returned = taken.return_surplus(now()).unwrap().payment;
        assert!(returned.take_surplus(now()).is_err());
        assert!(returned.return_surplus(now()).is_err());
        assert!(failed().return_surplus(now()).is_err());
    }

    #[test]
    fn only_what_has_failed_has_a_surplus() {
        let captured = after(Outcome::Captured);
        let refunding =
            captured.request_refund(RefundId::generate(), "late".to_owned(), now()).unwrap();
        for payment in [initiated(), after(Outcome::Pending), captured, refunding.payment] {
            assert!(payment.take_surplus(now()).is_err(), "{}", payment.status());
            assert!(payment.return_surplus(now()).is_err(), "{}", payment.status());
        }
    }
}
