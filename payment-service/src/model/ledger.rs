//! The double-entry ledger: what a capture and a refund book.
//!
//! Entries are only ever added, and the entries of one posting sum to zero in each currency.

use chrono::{DateTime, Utc};

use super::{Currency, Money, PaymentId, RefundId};

/// An account of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Account {
    /// What the provider holds for us; grows with a capture.
    ProviderClearing,
    /// What customers paid for their orders; its balance is negative, as of every source of funds.
    OrderFunds,
    /// What the provider took for payments that have failed, and that goes back to the customers.
    SurplusCaptures,
}

impl Account {
    /// The name in storage.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ProviderClearing => "provider_clearing",
            Self::OrderFunds => "order_funds",
            Self::SurplusCaptures => "surplus_captures",
        }
    }
}

/// One line of a posting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Which account.
    pub account: Account,
    /// Minor units; debits are positive, credits negative.
    pub amount: i64,
    /// In which currency.
    pub currency: Currency,
}

/// The entries that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posting {
    id: String,
    payment_id: PaymentId,
    entries: [Entry; 2],
    at: DateTime<Utc>,
}

impl Posting {
    /// Books the capture of a payment.
    ///
    /// The identity follows from the payment, so the same capture cannot be booked twice.
    pub fn capture(payment_id: PaymentId, money: Money, at: DateTime<Utc>) -> Self {
        let entries = transfer(Account::OrderFunds, Account::ProviderClearing, money);
        Self { id: format!("capture:{payment_id}"), payment_id, entries, at }
    }

    /// Books the refund of a payment.
    pub fn refund(
        payment_id: PaymentId,
        refund_id: RefundId,
        money: Money,
        at: DateTime<Utc>,
    ) -> Self {
        let entries = transfer(Account::ProviderClearing, Account::OrderFunds, money);
        Self { id: format!("refund:{refund_id}"), payment_id, entries, at }
    }

    /// Books money that the provider took for a payment that has failed.
    pub fn surplus(payment_id: PaymentId, money: Money, at: DateTime<Utc>) -> Self {
        let entries = transfer(Account::SurplusCaptures, Account::ProviderClearing, money);
        Self { id: format!("surplus:{payment_id}"), payment_id, entries, at }
    }

    /// Books that such money went back.
    pub fn surplus_refund(
        payment_id: PaymentId,
        refund_id: RefundId,
        money: Money,
        at: DateTime<Utc>,
    ) -> Self {
        let entries = transfer(Account::ProviderClearing, Account::SurplusCaptures, money);
        Self { id: format!("refund:{refund_id}"), payment_id, entries, at }
    }

    /// Identity: what was booked, and for which payment or refund.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The payment that the money belongs to.
    pub const fn payment_id(&self) -> PaymentId {
        self.payment_id
    }

    /// The lines; they sum to zero.
    pub const fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// When it was booked.
    pub const fn at(&self) -> DateTime<Utc> {
        self.at
    }
}

fn transfer(from: Account, to: Account, money: Money) -> [Entry; 2] {
    let (amount, currency) = (money.amount(), money.currency());
    [Entry { account: to, amount, currency }, Entry { account: from, amount: -amount, currency }]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_posting_sums_to_zero(amount in 1..=Money::MAX) {
            let money = Money::parse("amount", amount, "CNY").unwrap();
            let at = DateTime::UNIX_EPOCH;
            let payment = PaymentId::generate();
            let capture = Posting::capture(payment, money, at);
            let refund = Posting::refund(payment, RefundId::generate(), money, at);
            for posting in [&capture, &refund] {
                prop_assert_eq!(posting.entries().iter().map(|entry| entry.amount).sum::<i64>(), 0);
            }
            for account in [Account::ProviderClearing, Account::OrderFunds] {
                let balance: i64 = capture.entries().iter().chain(refund.entries())
                    .filter(|entry| entry.account == account)
                    .map(|entry| entry.amount)
                    .sum();
                prop_assert_eq!(balance, 0);
            }
        }
    }

    #[test]
    fn a_posting_is_named_after_its_cause() {
        let money = Money::parse("amount", 5, "CNY").unwrap();
        let payment = PaymentId::generate();
        let posting = Posting::capture(payment, money, DateTime::UNIX_EPOCH);
        assert_eq!(posting.id(), format!("capture:{payment}"));
        assert_eq!(posting.payment_id(), payment);
    }
}
