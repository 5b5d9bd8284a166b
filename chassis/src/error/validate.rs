//! Validation that reports every field at fault at once, not the first one only.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{ErrorCode, ServiceError, codes};

/// One field that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// Path of the field as the caller wrote it, such as `items[0].quantity`.
    pub field: String,
    /// The rule, UPPER_SNAKE, such as `TOO_LONG`.
    pub reason: String,
    /// One sentence for a person.
    pub description: String,
}

/// Collects the violations of one input.
///
/// ```
/// use chassis::error::Validator;
///
/// let mut validator = Validator::new();
/// validator.check(false, "items[0].quantity", "OUT_OF_RANGE", "must be between 1 and 1000");
/// assert_eq!(validator.finish().unwrap_err().violations.len(), 1);
/// ```
#[derive(Debug, Default)]
pub struct Validator {
    violations: Vec<Violation>,
}

impl Validator {
    /// Creates a validator that has seen no violation.
    pub fn new() -> Self {
        Self::default()
    }

    /// Records a violation unless `holds`. Returns `holds`.
    pub fn check(
        &mut self,
        holds: bool,
        field: impl Into<String>,
        reason: impl Into<String>,
        description: impl Into<String>,
    ) -> bool {
        if !holds {
            self.reject(field, reason, description);
        }
        holds
    }

    /// Records a violation.
    pub fn reject(
        &mut self,
        field: impl Into<String>,
        reason: impl Into<String>,
        description: impl Into<String>,
    ) {
        self.violations.push(Violation {
            field: field.into(),
            reason: reason.into(),
            description: description.into(),
        });
    }

    /// Whether no violation was recorded so far.
    pub fn is_valid(&self) -> bool {
        self.violations.is_empty()
    }

    /// Ends the validation: an error when anything was recorded.
    pub fn finish(self) -> Result<(), Invalid> {
        if self.violations.is_empty() {
            Ok(())
        } else {
            Err(Invalid { violations: self.violations })
        }
    }
}

/// An input with violations.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request has {} invalid field(s)", violations.len())]
pub struct Invalid {
    /// What is wrong, in the order in which it was found.
    pub violations: Vec<Violation>,
}

impl Invalid {
    /// An input with exactly one violation.
    pub fn single(
        field: impl Into<String>,
        reason: impl Into<String>,
        description: impl Into<String>,
    ) -> Self {
        let mut validator = Validator::new();
        validator.reject(field, reason, description);
        Self { violations: validator.violations }
    }
}

impl ServiceError for Invalid {
    fn code(&self) -> ErrorCode {
        codes::VALIDATION_FAILED
    }

    fn detail(&self) -> Cow<'_, str> {
        self.to_string().into()
    }

    fn violations(&self) -> Vec<Violation> {
        self.violations.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_violation_is_reported() {
        let mut validator = Validator::new();
        assert!(validator.check(true, "name", "REQUIRED", "must not be empty"));
        assert!(validator.is_valid());
        assert!(!validator.check(false, "email", "FORMAT", "must be an address"));
        validator.reject("items", "TOO_MANY", "must be at most 50");
        let invalid = validator.finish().unwrap_err();
        let fields: Vec<_> = invalid.violations.iter().map(|found| found.field.as_str()).collect();
        assert_eq!(fields, ["email", "items"]);
        assert_eq!(invalid.code(), codes::VALIDATION_FAILED);
        assert_eq!(invalid.detail(), "the request has 2 invalid field(s)");
    }

    #[test]
    fn nothing_recorded_is_valid() {
        assert_eq!(Validator::new().finish(), Ok(()));
    }

    #[test]
    fn a_single_violation_is_shorthand() {
        assert_eq!(Invalid::single("sku", "UNKNOWN", "no such product").violations().len(), 1);
    }
}
