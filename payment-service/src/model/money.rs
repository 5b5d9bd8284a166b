//! Money: a positive amount in minor units of one currency.

use std::fmt;

use chassis::error::{Invalid, Validator};

/// A currency code of ISO 4217's form: three upper-case letters.
///
/// Which currencies are sold in is order-service's rule; a payment carries whatever it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    /// Reads a code such as `CNY`.
    pub fn parse(text: &str) -> Option<Self> {
        let code: [u8; 3] = text.as_bytes().try_into().ok()?;
        code.iter().all(u8::is_ascii_uppercase).then_some(Self(code))
    }

    /// The code.
    pub fn as_str(&self) -> &str {
        // The letters were checked by `parse`, so there is always a text.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A positive amount of money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Money {
    amount: i64,
    currency: Currency,
}

impl Money {
    /// Largest amount: the largest integer that every JSON reader keeps exactly.
    pub const MAX: i64 = (1 << 53) - 1;

    /// Reads an amount in minor units and its currency code; violations name `field`.
    pub fn parse(field: &str, amount: i64, currency: &str) -> Result<Self, Invalid> {
        let mut validator = Validator::new();
        validator.check(
            (1..=Self::MAX).contains(&amount),
            format!("{field}.amount"),
            "OUT_OF_RANGE",
            "must be between 1 and 9007199254740991 minor units",
        );
        let code = Currency::parse(currency);
        validator.check(
            code.is_some(),
            format!("{field}.currency"),
            "FORMAT",
            "must be three upper-case letters",
        );
        validator.finish()?;
        code.map(|currency| Self { amount, currency })
            .ok_or_else(|| Invalid::single(field, "REQUIRED", "must be given"))
    }

    /// Minor units: fen, cents, yen.
    pub const fn amount(&self) -> i64 {
        self.amount
    }

    /// The currency.
    pub const fn currency(&self) -> Currency {
        self.currency
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn amounts_are_positive_and_exact_in_json() {
        for amount in [1, 19_900, Money::MAX] {
            assert_eq!(Money::parse("amount", amount, "CNY").unwrap().amount(), amount);
        }
        for amount in [0, -1, i64::MIN, Money::MAX + 1] {
            let invalid = Money::parse("amount", amount, "CNY").unwrap_err();
            assert_eq!(invalid.violations[0].field, "amount.amount");
        }
    }

    #[test]
    fn every_fault_is_named_at_once() {
        let invalid = Money::parse("amount", 0, "cny").unwrap_err();
        let fields: Vec<_> = invalid.violations.iter().map(|found| found.field.as_str()).collect();
        assert_eq!(fields, ["amount.amount", "amount.currency"]);
    }

    proptest! {
        #[test]
        fn a_currency_that_is_read_is_written_back(text in ".{0,6}") {
            if let Some(currency) = Currency::parse(&text) {
                prop_assert_eq!(currency.to_string(), text);
            }
        }
    }
}
