//! Passwords: as typed, as chosen, and as kept.

use std::fmt;

use chassis::config::Secret;
use unicode_normalization::UnicodeNormalization;

use super::email::normalize;
use super::{DisplayName, Email};

/// Shortest password in characters.
const LENGTH_MIN: usize = 8;
/// Longest password in characters. Nothing is ever cut off: what is longer is refused.
const LENGTH_MAX: usize = 128;
/// The passwords that lists of leaked ones are headed by, in comparison form, one a line.
const COMMON: &str = include_str!("common_passwords.txt");

/// A password as someone typed it, to be compared with the one in force. In NFC, because keyboards
/// differ in how they compose the same characters (RFC 8265). Never printed.
#[derive(Clone, Debug)]
pub struct TypedPassword(Secret);

impl TypedPassword {
    /// Takes what was typed. `None` when it is longer than any password can be, which bounds the
    /// work that a caller can cause.
    pub fn parse(text: &str) -> Option<Self> {
        // One composed character stands for at most four typed ones.
        if text.chars().nth(LENGTH_MAX * 4).is_some() {
            return None;
        }
        let composed: String = text.nfc().collect();
        (composed.chars().count() <= LENGTH_MAX).then(|| Self(Secret::new(composed)))
    }

    /// The password itself.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

/// A password that someone chose, of an acceptable length.
#[derive(Clone, Debug)]
pub struct NewPassword(TypedPassword);

impl NewPassword {
    /// Accepts a password of 8 to 128 characters, or says in one sentence why it is none.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const RULE: &str = "must be 8 to 128 characters long";
        let typed = TypedPassword::parse(text).ok_or(RULE)?;
        if typed.expose().chars().count() < LENGTH_MIN {
            return Err(RULE);
        }
        Ok(Self(typed))
    }

    /// Tells whether someone who knows the account's public data, or a list of leaked passwords,
    /// guesses it at once.
    pub fn is_weak_for(&self, email: &Email, name: &DisplayName) -> bool {
        let guess = normalize(self.0.expose());
        guess == email.normalized()
            || guess == normalize(name.as_str())
            || COMMON.lines().any(|common| common == guess)
    }

    /// The password, to be hashed.
    pub fn as_typed(&self) -> &TypedPassword {
        &self.0
    }
}

/// The hash of a password in PHC string form. Its `Debug` form shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Wraps what a hasher made.
    pub fn new(phc: impl Into<String>) -> Self {
        Self(phc.into())
    }

    /// The PHC string, for storage and comparison.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(***)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn is_weak(password: &str) -> bool {
        let email = Email::parse("alice.smith@example.com").unwrap();
        let name = DisplayName::parse("Alice Smith").unwrap();
        NewPassword::parse(password).unwrap().is_weak_for(&email, &name)
    }

    #[test]
    fn the_list_of_common_passwords_is_in_comparison_form() {
        let lines: Vec<_> = COMMON.lines().collect();
        assert!(lines.len() > 200);
        for line in lines {
            assert_eq!(normalize(line), line);
            assert!(line.chars().count() >= LENGTH_MIN, "{line} can never be chosen");
        }
    }

    #[test]
    fn guessable_passwords_are_weak() {
        for weak in
            ["password", "PASSWORD123", "12345678", "ALICE.SMITH@example.com", "alice smith"]
        {
            assert!(is_weak(weak), "{weak}");
        }
        assert!(!is_weak("correct horse battery staple"));
    }

    #[test]
    fn the_length_is_counted_in_characters() {
        assert!(NewPassword::parse("1234567").is_err());
        assert!(NewPassword::parse(&"密".repeat(8)).is_ok());
        assert!(NewPassword::parse(&"密".repeat(128)).is_ok());
        assert!(NewPassword::parse(&"密".repeat(129)).is_err());
        assert!(NewPassword::parse(&"a".repeat(1_000_000)).is_err());
    }

    #[test]
    fn nothing_is_cut_off_or_trimmed() {
        let odd = "  \0 p🔑ss  ";
        assert_eq!(NewPassword::parse(odd).unwrap().as_typed().expose(), odd);
        let long = "x".repeat(128);
        assert_eq!(NewPassword::parse(&long).unwrap().as_typed().expose(), long);
    }

    #[test]
    fn passwords_and_hashes_do_not_print() {
        let password = NewPassword::parse("hunter2-hunter2").unwrap();
        let hash = PasswordHash::new("$argon2id$secret");
        let printed = format!("{password:?} {hash:?}");
        assert!(!printed.contains("hunter2") && !printed.contains("argon2"));
    }

    proptest! {
        #[test]
        fn no_input_makes_the_parser_panic(text in "(?s).{0,600}") {
            let _ = NewPassword::parse(&text);
        }

        #[test]
        fn a_password_typed_decomposed_is_the_same(text in "[a-zéüñçàö]{8,40}") {
            let decomposed: String = text.nfd().collect();
            let chosen = NewPassword::parse(&text).unwrap();
            let typed = TypedPassword::parse(&decomposed).unwrap();
            prop_assert_eq!(typed.expose(), chosen.as_typed().expose());
        }
    }
}
