//! Money: integer minor units of one currency. No fractions, no rounding, no silent overflow.

use super::{Currency, OrderError};

/// The largest amount that the fleet handles, in minor units. Sums of many of them stay below
/// 2^53, so that every JSON reader sees them exactly.
pub const MAX_AMOUNT: i64 = 99_999_999_999;

/// An amount from 1 to [`MAX_AMOUNT`] minor units in a currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Money {
    amount: i64,
    currency: Currency,
}

impl Money {
    /// Accepts an amount within the range.
    pub fn new(amount: i64, currency: Currency) -> Result<Self, OrderError> {
        if (1..=MAX_AMOUNT).contains(&amount) {
            Ok(Self { amount, currency })
        } else {
            Err(OrderError::AmountOutOfRange)
        }
    }

    /// Integer minor units.
    pub fn amount(self) -> i64 {
        self.amount
    }

    /// The currency.
    pub fn currency(self) -> Currency {
        self.currency
    }

    /// The price of `quantity` pieces at this price.
    pub fn times(self, quantity: u32) -> Result<Self, OrderError> {
        let amount = self.amount.checked_mul(i64::from(quantity));
        Self::new(amount.ok_or(OrderError::AmountOutOfRange)?, self.currency)
    }

    /// The sum of two amounts of the same currency.
    pub fn plus(self, other: Self) -> Result<Self, OrderError> {
        if self.currency != other.currency {
            return Err(OrderError::CurrencyMixed);
        }
        let amount = self.amount.checked_add(other.amount);
        Self::new(amount.ok_or(OrderError::AmountOutOfRange)?, self.currency)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn money(amount: i64, code: &str) -> Result<Money, OrderError> {
        Money::new(amount, Currency::parse(code)?)
    }

    #[test]
    fn amounts_outside_the_range_are_refused() {
        for bad in [i64::MIN, -1, 0, MAX_AMOUNT + 1, i64::MAX] {
            assert!(matches!(money(bad, "CNY"), Err(OrderError::AmountOutOfRange)), "{bad}");
        }
        assert_eq!(money(MAX_AMOUNT, "CNY").unwrap().amount(), MAX_AMOUNT);
    }

    #[test]
    fn currencies_do_not_mix() {
        let sum = money(1, "CNY").unwrap().plus(money(1, "USD").unwrap());
        assert!(matches!(sum, Err(OrderError::CurrencyMixed)));
    }

    #[test]
    fn a_product_or_sum_above_the_range_is_refused() {
        let most = money(MAX_AMOUNT, "CNY").unwrap();
        assert!(matches!(most.times(2), Err(OrderError::AmountOutOfRange)));
        assert!(matches!(most.times(u32::MAX), Err(OrderError::AmountOutOfRange)));
        assert!(matches!(most.plus(most), Err(OrderError::AmountOutOfRange)));
    }

    proptest! {
        #[test]
        fn arithmetic_is_exact(unit in 1..=1_000_000_i64, quantity in 1..=1000_u32) {
            let price = money(unit, "CNY").unwrap();
            let total = price.times(quantity).unwrap();
            prop_assert_eq!(total.amount(), unit * i64::from(quantity));
            prop_assert_eq!(total.plus(price).unwrap().amount(), unit * i64::from(quantity + 1));
        }
    }
}
