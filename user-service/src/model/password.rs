//! Passwords: as typed, as chosen, and as kept.

use std::fmt;

use chassis::config::Secret;
use chassis::text::comparison_form;
use unicode_normalization::UnicodeNormalization;

use super::common;
use super::strength::Strength;
use super::{DisplayName, Email};

/// Shortest password in characters.
const LENGTH_MIN: usize = 8;
/// Longest password in characters. Nothing is ever cut off: what is longer is refused.
const LENGTH_MAX: usize = 128;
/// Shortest word of an account's own data that a guesser would try, in characters.
const PERSONAL_MIN: usize = 3;

/// Words, in comparison form, that whoever guesses for accounts of this product tries as early as
/// what an account tells of itself: its name, and what people with rights in it are called. Whoever
/// runs it under another name adds that one. Listed in `docs/API.md`, as ASVS 6.1.2 asks.
const CONTEXT_WORDS: [&str; 5] = ["enterprise", "enterprisehub", "ehub", "admin", "administrator"];

/// Which rule a password breaks that is easily guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weakness {
    /// It is the account's e-mail address, the part before the @, or the display name.
    Personal,
    /// It is on the list of common passwords.
    Common,
    /// It scores less than is asked for.
    Guessable,
}

impl Weakness {
    /// The rule's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Personal => "PERSONAL",
            Self::Common => "COMMON",
            Self::Guessable => "GUESSABLE",
        }
    }

    /// What the rule demands, in words for whoever chose the password.
    pub const fn rule(self) -> &'static str {
        match self {
            Self::Personal => "must not be the e-mail address or the name",
            Self::Common => "must not be one of the passwords that many people have",
            Self::Guessable => {
                "must be harder to guess: longer, or with fewer common words, repetitions and sequences"
            }
        }
    }
}

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

    /// Says by which rule someone who knows the account's public data, or a list of leaked
    /// passwords, or what people usually do, guesses it soon. `score_min` is the lowest score, 0 to
    /// 4, that is accepted.
    pub fn weakness(&self, email: &Email, name: &DisplayName, score_min: u8) -> Option<Weakness> {
        let form = comparison_form(self.0.expose());
        let name = comparison_form(name.as_str());
        let local = email.normalized().split('@').next().unwrap_or_default();
        if form == email.normalized() || form == local || form == name {
            return Some(Weakness::Personal);
        }
        if common::rank(&form).is_some() {
            return Some(Weakness::Common);
        }
        let strength = self.strength(&form, &[email.normalized(), &name]);
        (strength.score() < score_min).then_some(Weakness::Guessable)
    }

    fn strength(&self, form: &str, personal: &[&str]) -> Strength {
        let is_word = |word: &&str| word.chars().count() >= PERSONAL_MIN;
        let words = personal.iter().flat_map(|text| text.split(|c: char| !c.is_alphanumeric()));
        let words = words.filter(is_word).chain(CONTEXT_WORDS);
        let words: Vec<String> = words.map(str::to_owned).collect();
        let capitals = self.0.expose().chars().filter(|c| c.is_uppercase()).count();
        Strength::estimate(form, capitals, &words)
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

    fn weakness(password: &str) -> Option<Weakness> {
        let email = Email::parse("alice.smith@example.com").unwrap();
        let name = DisplayName::parse("Alice Smith").unwrap();
        NewPassword::parse(password).unwrap().weakness(&email, &name, 2)
    }

    #[test]
    fn a_weak_password_is_told_by_which_rule() {
        for (weak, rule) in [
            ("ALICE.SMITH@example.com", Weakness::Personal),
            ("Alice.Smith", Weakness::Personal),
            ("alice smith", Weakness::Personal),
            ("password", Weakness::Common),
            ("PASSWORD123", Weakness::Common),
            ("12345678", Weakness::Common),
            ("ｐａｓｓｗｏｒｄ", Weakness::Common),
            ("alicesmith1", Weakness::Guessable),
            ("Password123!", Weakness::Common),
            ("Password2026!", Weakness::Guessable),
            ("EnterpriseHub2026!", Weakness::Guessable),
            ("3nt3rpr1s3hub-2026", Weakness::Guessable),
            ("aaaaaaaaaaaaaaaaaaaaaa", Weakness::Guessable),
        ] {
            assert_eq!(weakness(weak), Some(rule), "{weak}");
        }
        assert_eq!(weakness("correct horse battery staple"), None);
    }

    #[test]
    fn words_of_the_product_are_compared_as_passwords_are() {
        for word in CONTEXT_WORDS {
            assert_eq!(comparison_form(word), word);
            assert!(word.chars().count() >= PERSONAL_MIN, "{word}");
        }
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
