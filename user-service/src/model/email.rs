//! E-mail addresses: what is accepted, and the form in which two of them are compared.
//!
//! The normalised form is NFKC with case folding, so that `ALICE@Example.com`, full-width letters
//! and the two encodings of `é` are one address. Dots and `+tags` stay: only the owner's provider
//! knows whether they matter. A local part is of one script and does not pass for another (UTS 39),
//! and the domain is ASCII, so that no two addresses look the same.

use std::fmt;

use chassis::text::comparison_form;
use unicode_normalization::UnicodeNormalization as _;

use super::confusable::{is_deceptive, is_single_script, passes_for_latin};

/// Longest address in characters (RFC 5321 leaves 254 for the mailbox in a path).
const LENGTH_MAX: usize = 254;
/// Longest local part in bytes (RFC 5321).
const LOCAL_MAX: usize = 64;
/// Longest label of a domain in bytes (RFC 1035).
const LABEL_MAX: usize = 63;
/// Characters beside letters and digits that stand in a local part without quotes (RFC 5322).
const ATEXT: &str = "!#$%&'*+-/=?^_`{|}~";

/// An e-mail address. Its `Debug` form shows nothing: addresses are personal data.
#[derive(Clone, PartialEq, Eq)]
pub struct Email {
    given: String,
    normalized: String,
}

impl Email {
    /// Accepts an address, or says in one sentence why it is none.
    pub fn parse(given: &str) -> Result<Self, &'static str> {
        if given.chars().count() > LENGTH_MAX {
            return Err("must be at most 254 characters long");
        }
        let normalized = comparison_form(given);
        if normalized.len() > LENGTH_MAX {
            return Err("must be at most 254 bytes long in its normalised form");
        }
        let (local, domain) =
            normalized.split_once('@').ok_or("must be of the form name@domain")?;
        check_local(local)?;
        check_domain(domain)?;
        Ok(Self { given: given.to_owned(), normalized })
    }

    /// Takes an address that an account is to be found by. The rules are not asked: an account that
    /// was accepted once is found when they get stricter. `None` when it is too long to be one.
    pub fn to_find(given: &str) -> Option<Self> {
        if given.chars().nth(LENGTH_MAX).is_some() {
            return None;
        }
        let normalized = comparison_form(given);
        (normalized.len() <= LENGTH_MAX).then(|| Self { given: given.to_owned(), normalized })
    }

    /// Restores an address from storage: accepted once, it stays one when the rules get stricter.
    pub(crate) fn from_stored(given: String, normalized: String) -> Self {
        Self { given, normalized }
    }

    /// The address as it was given.
    pub fn as_given(&self) -> &str {
        &self.given
    }

    /// The address to write to: the local part as it was given, because only the owner's provider knows
    /// which letters are the same there, and the domain in ASCII. How letters were typed, such as
    /// full-width ones, is no part of what was given.
    pub fn mailbox(&self) -> String {
        let given: String = self.given.nfkc().collect();
        let domain = self.normalized.split_once('@').map_or("", |(_, domain)| domain);
        match given.split_once('@') {
            Some((local, _)) => format!("{local}@{domain}"),
            None => self.normalized.clone(),
        }
    }

    /// The form that is compared and unique.
    pub fn normalized(&self) -> &str {
        &self.normalized
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(***)")
    }
}

fn check_local(local: &str) -> Result<(), &'static str> {
    if local.is_empty() || local.len() > LOCAL_MAX {
        return Err("must have 1 to 64 bytes before the @");
    }
    if local.starts_with('.') || local.ends_with('.') || local.contains("..") {
        return Err("must not begin or end with a dot, or have two in a row, before the @");
    }
    // Some letters show nothing, such as the fillers of Hangul.
    let is_letter = |c: char| c.is_alphanumeric() && !is_deceptive(c);
    let is_allowed = |c: char| is_letter(c) || c == '.' || ATEXT.contains(c);
    if !local.chars().all(is_allowed) {
        return Err("must have only letters, digits and unquoted punctuation before the @");
    }
    if !is_single_script(local) {
        return Err("must not mix scripts before the @");
    }
    if passes_for_latin(local) {
        return Err("must not have letters that pass for Latin ones before the @");
    }
    Ok(())
}

fn check_domain(domain: &str) -> Result<(), &'static str> {
    let labels: Vec<&str> = domain.split('.').collect();
    if labels.len() < 2 || !labels.iter().all(|label| is_label(label)) {
        return Err("must have a domain name of ASCII letters, digits and hyphens after the @");
    }
    let is_address = labels.iter().all(|label| label.bytes().all(|b| b.is_ascii_digit()));
    if is_address {
        return Err("must have a domain name after the @, not an address");
    }
    Ok(())
}

fn is_label(label: &str) -> bool {
    let is_allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=LABEL_MAX).contains(&label.len())
        && label.bytes().all(is_allowed)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn normalized(text: &str) -> String {
        Email::parse(text).unwrap().normalized().to_owned()
    }

    #[test]
    fn spellings_of_one_address_are_one_address() {
        assert_eq!(normalized("ALICE@Example.COM"), "alice@example.com");
        assert_eq!(normalized("ａｌｉｃｅ@example.com"), "alice@example.com");
        assert_eq!(normalized("e\u{301}va@example.com"), normalized("éva@example.com"));
        assert_eq!(normalized("STRASSE@example.com"), normalized("straße@example.com"));
    }

    #[test]
    fn dots_and_tags_are_kept() {
        assert_eq!(normalized("a.b+shop@example.com"), "a.b+shop@example.com");
    }

    #[test]
    fn the_given_spelling_is_kept() {
        assert_eq!(Email::parse("Alice@Example.com").unwrap().as_given(), "Alice@Example.com");
    }

    #[test]
    fn mail_goes_to_the_owners_spelling_at_the_domain() {
        for (given, mailbox) in [
            ("Alice@Example.com", "Alice@example.com"),
            ("Straße@ｅｘａｍｐｌｅ.com", "Straße@example.com"),
            ("alice＠example.com", "alice@example.com"),
            ("ａｌｉｃｅ@example.com", "alice@example.com"),
        ] {
            assert_eq!(Email::parse(given).unwrap().mailbox(), mailbox);
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long_local = format!("{}@example.com", "a".repeat(65));
        let long_label = format!("a@{}.com", "b".repeat(64));
        let overlong = format!("a@{}example.com", "b.".repeat(130));
        let expanding = format!("{}@example.com", "\u{FDFA}".repeat(60));
        for bad in [
            "",
            "@",
            "alice",
            "alice@",
            "@example.com",
            "a@b@example.com",
            "alice@localhost",
            "alice@example.com\r\nBcc: eve@example.com",
            "al ice@example.com",
            " alice@example.com",
            "alice@example.com ",
            "\"al ice\"@example.com",
            "alice@[127.0.0.1]",
            "alice@127.0.0.1",
            ".alice@example.com",
            "alice.@example.com",
            "al..ice@example.com",
            "alice@-example.com",
            "alice@example-.com",
            "alice@example..com",
            "alice@example.com.",
            "alice@exаmple.com",
            "аdmin@example.com",
            "сосо@example.com",
            "иванωμ@example.com",
            "<script>@example.com",
            "../alice@example.com",
            "admin@example.com\0",
            "admin'--@example .com",
            "al\u{200B}ice@example.com",
            "al\u{202E}ice@example.com",
            "김\u{3164}철수@example.com",
            "김철수\u{1160}@example.com",
            "alice\0@example.com",
            "<alice@example.com>",
            "alice,bob@example.com",
            &long_local,
            &long_label,
            &overlong,
            &expanding,
        ] {
            assert!(Email::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_address_does_not_print() {
        let email = Email::parse("alice@example.com").unwrap();
        assert!(!format!("{email:?}").contains("alice"));
    }

    proptest! {
        #[test]
        fn an_accepted_address_is_accepted_in_its_normalised_form(text in "[\\w.+-]{1,20}@[a-zA-Z0-9.-]{1,20}") {
            if let Ok(email) = Email::parse(&text) {
                let again = Email::parse(email.normalized()).unwrap();
                prop_assert_eq!(again.normalized(), email.normalized());
            }
        }

        #[test]
        fn no_input_makes_the_parser_panic(text in "(?s).{0,300}") {
            let _ = Email::parse(&text);
        }

        #[test]
        fn an_accepted_address_holds_nothing_that_could_split_a_header(text in "(?s).{1,20}@[a-z]{1,5}\\.com(?s).{0,3}") {
            if let Ok(email) = Email::parse(&text) {
                prop_assert!(!email.as_given().chars().any(|c| c.is_control() || c == ' '));
            }
        }
    }
}
