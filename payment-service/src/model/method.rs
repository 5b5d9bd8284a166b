//! The provider's token for a way to pay.

use std::fmt;

use chassis::error::Invalid;

/// A token such as `pm_ok`: `pm_` and 1 to 60 of `a-z`, `0-9`, `_`.
///
/// The form keeps card numbers out by construction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PaymentMethod(String);

impl PaymentMethod {
    /// Reads a token; violations name `field`.
    pub fn parse(field: &str, text: &str) -> Result<Self, Invalid> {
        let token = text.strip_prefix("pm_").unwrap_or_default();
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if (1..=60).contains(&token.len()) && token.bytes().all(allowed) {
            return Ok(Self(text.to_owned()));
        }
        let rule = "must be `pm_` and 1 to 60 of `a-z`, `0-9`, `_`";
        Err(Invalid::single(field, "FORMAT", rule))
    }

    /// The token.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PaymentMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tokens_are_methods() {
        for good in ["pm_ok", "pm_slow_2s", "pm_1", &format!("pm_{}", "a".repeat(60))] {
            assert_eq!(PaymentMethod::parse("payment_method", good).unwrap().as_str(), good);
        }
        let too_long = format!("pm_{}", "a".repeat(61));
        for bad in ["", "pm_", "ok", "PM_ok", "pm_OK", "pm_ ok", "4111111111111111", &too_long] {
            assert!(PaymentMethod::parse("payment_method", bad).is_err(), "{bad:?}");
        }
    }
}
