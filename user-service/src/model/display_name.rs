//! The name under which an account appears to people.

use unicode_normalization::UnicodeNormalization;

/// Longest name in characters.
const LENGTH_MAX: usize = 64;

/// A display name: 1 to 64 visible characters, in NFC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisplayName(String);

impl DisplayName {
    /// Accepts a name, or says in one sentence why it is none.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        // Bounds the work on input of any size before it is normalised.
        if text.chars().nth(LENGTH_MAX * 4).is_some() {
            return Err("must be 1 to 64 characters long");
        }
        let name: String = text.nfc().collect();
        if name.is_empty() || name.chars().count() > LENGTH_MAX {
            return Err("must be 1 to 64 characters long");
        }
        if name.starts_with(char::is_whitespace) || name.ends_with(char::is_whitespace) {
            return Err("must not begin or end with a space");
        }
        if name.chars().any(is_deceptive) {
            return Err("must not have control, zero-width or direction-changing characters");
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

/// Characters that show nothing, or make other characters show elsewhere: two names could look
/// the same, or one line could pass for several.
fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
            | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FEFF}' | '\u{FFA0}'
            | '\u{FFF0}'..='\u{FFFB}' | '\u{E0000}'..='\u{E0FFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_many_languages_are_names() {
        for name in ["A", "Zoë O'Neil", "王小明", "Ωμέγα", "👍 Max", "<script>", "' OR '1'='1"]
        {
            assert_eq!(DisplayName::parse(name).unwrap().as_str(), name);
        }
        assert!(DisplayName::parse(&"名".repeat(64)).is_ok());
    }

    #[test]
    fn a_composed_and_a_decomposed_name_are_the_same() {
        assert_eq!(DisplayName::parse("Zoe\u{308}"), DisplayName::parse("Zoë"));
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
            &overlong,
        ] {
            assert!(DisplayName::parse(name).is_err(), "{name:?}");
        }
    }
}
