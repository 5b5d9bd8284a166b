//! Names, addresses and passwords of people.

use user_service::model::{DisplayName, Email, NewPassword};

use crate::engine::{Target, fuzz};

const WORDS: [&str; 18] = [
    "@",
    "example.com",
    ".",
    "+tag",
    "\u{200b}",
    "\u{202e}",
    "e\u{301}",
    "é",
    "ａ",
    "а",
    "ß",
    "ﷺ",
    "\u{feff}",
    "\u{1f469}\u{200d}\u{1f467}",
    "\r\nBcc: ",
    "\u{0}",
    "İ",
    "ǅ",
];

/// A normalised text stays what it is, and holds nothing that another reader could see differently.
#[test]
fn a140_names() {
    fuzz(&Target { name: "names", words: &WORDS, seeds: vec![] }, |input| {
        let text = String::from_utf8_lossy(input);
        let name = match DisplayName::parse(&text) {
            Ok(name) => name,
            Err(reason) => return reason.to_owned(),
        };
        assert_eq!(DisplayName::parse(name.as_str()).unwrap(), name);
        assert!((1..=64).contains(&name.as_str().chars().count()));
        assert!(!name.as_str().chars().any(char::is_control), "{name:?}");
        format!("a name of ASCII: {}", name.as_str().is_ascii())
    });
}

/// Two spellings are one address or two, for good.
#[test]
fn a140_addresses() {
    fuzz(&Target { name: "addresses", words: &WORDS, seeds: vec![] }, |input| {
        let text = String::from_utf8_lossy(input);
        let email = match Email::parse(&text) {
            Ok(email) => email,
            Err(reason) => return reason.to_owned(),
        };
        let again = Email::parse(email.normalized()).unwrap();
        assert_eq!(again.normalized(), email.normalized());
        assert_eq!(email.as_given(), text);
        assert!(!text.chars().any(|c| c.is_control() || c.is_whitespace()), "{text:?}");
        format!("an address of ASCII: {}", email.normalized().is_ascii())
    });
}

/// Whatever a password is made of, it is shown nowhere and stays what it is.
#[test]
fn a140_passwords() {
    let shown = format!("{:?}", NewPassword::parse("correct horse battery").unwrap());
    fuzz(&Target { name: "names", words: &WORDS, seeds: vec![] }, |input| {
        let text = String::from_utf8_lossy(input);
        let password = match NewPassword::parse(&text) {
            Ok(password) => password,
            Err(reason) => return reason.to_owned(),
        };
        assert_eq!(format!("{password:?}"), shown, "shown by Debug");
        // Typed again, it is the same one: composed, and nothing else.
        let composed = NewPassword::parse(password.as_typed().expose()).unwrap();
        assert_eq!(composed.as_typed().expose(), password.as_typed().expose());
        format!("a password of ASCII: {}", text.is_ascii())
    });
}
