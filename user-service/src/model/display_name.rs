//! The name under which an account appears to people.

use chassis::text::comparison_form;
use unicode_normalization::UnicodeNormalization;

use super::confusable::{is_deceptive, looks_like, mixes_scripts};

/// Longest name in characters.
const LENGTH_MAX: usize = 64;

/// Names that people trust: a name that only looks like one of them is refused. One that is spelt so
/// is a name like any other, which whoever looks for it finds.
const TRUSTED: [&str; 8] = [
    "admin",
    "administrator",
    "enterprisehub",
    "moderator",
    "root",
    "security",
    "support",
    "system",
];

/// A display name: 1 to 64 visible characters, in NFKC, so that full-width letters and ligatures are
/// the letters that they look like. Names need not be unique: an account is known by its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisplayName(String);

impl DisplayName {
    /// Accepts a name, or says in one sentence why it is none.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        // Bounds the work on input of any size before it is normalised.
        if text.chars().nth(LENGTH_MAX * 4).is_some() {
            return Err("must be 1 to 64 characters long");
        }
        let name: String = text.nfkc().collect();
        if name.is_empty() || name.chars().count() > LENGTH_MAX {
            return Err("must be 1 to 64 characters long");
        }
        if name.starts_with(char::is_whitespace) || name.ends_with(char::is_whitespace) {
            return Err("must not begin or end with a space");
        }
        if name.chars().any(is_deceptive) {
            return Err("must not have control, zero-width or direction-changing characters");
        }
        if mixes_scripts(&name) || imitates_a_trusted_name(&name) {
            return Err("must not mix scripts in one word, or look like another name");
        }
        Ok(Self(name))
    }

    /// Restores a name from storage: accepted once, it stays one when the rules get stricter.
    pub(crate) fn from_stored(name: String) -> Self {
        Self(name)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn imitates_a_trusted_name(name: &str) -> bool {
    let form = comparison_form(name);
    let is_imitation = |trusted: &&str| form != **trusted && looks_like(&form, trusted);
    TRUSTED.iter().any(is_imitation)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_many_languages_are_names() {
        for name in [
            "A",
            "admin",
            "Вера",
            "Алиса Liddell",
            "Zoë O'Neil",
            "王小明",
            "Ωμέγα",
            "👍 Max",
            "<script>",
            "' OR '1'='1",
        ] {
            assert_eq!(DisplayName::parse(name).unwrap().as_str(), name);
        }
        assert!(DisplayName::parse(&"名".repeat(64)).is_ok());
    }

    #[test]
    fn a_composed_and_a_decomposed_name_are_the_same() {
        assert_eq!(DisplayName::parse("Zoe\u{308}"), DisplayName::parse("Zoë"));
        assert_eq!(DisplayName::parse("ａｄｍｉｎ").unwrap().as_str(), "admin");
    }

    #[test]
    fn invisible_and_misleading_names_are_refused() {
        let overlong = "名".repeat(65);
        for name in [
            "",
            " ",
            "Alice ",
            " Alice",
            "Al\nice",
            "Al\0ice",
            "Al\u{200D}ice",
            "\u{202E}ecilA",
            "Al\u{FEFF}ice",
            "Al\u{2028}ice",
            "Al\u{2066}ice",
            "\u{3164}",
            "аdmin",
            "adm\u{0456}n",
            "Αlice",
            "ro\u{03BF}t",
            "r00t\u{200F}",
            &overlong,
        ] {
            assert!(DisplayName::parse(name).is_err(), "{name:?}");
        }
    }
}
