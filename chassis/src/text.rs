//! The form in which texts are compared: NFKC with case folding (UAX 15, UTS 39).
//!
//! `ALICE@Example.com`, full-width letters and the two encodings of `é` are one text in it. Whoever
//! keeps, looks up or counts by a text that people type goes by this form.

use caseless::default_case_fold_str;
use unicode_normalization::UnicodeNormalization;

/// Brings a text into its comparison form.
///
/// Folding can leave a text that NFKC changes once more (and the other way round), so this runs
/// until nothing changes; every known character settles within three rounds.
pub fn comparison_form(text: &str) -> String {
    let mut current: String = text.nfkc().collect();
    for _ in 0..4 {
        let next: String = default_case_fold_str(&current).nfkc().collect();
        if next == current {
            break;
        }
        current = next;
    }
    current
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spellings_of_one_text_are_one_text() {
        for (one, other) in
            [("ＡＬＩＣＥ", "alice"), ("e\u{301}VA", "Éva"), ("STRASSE", "straße"), ("ﬁn", "FIN")]
        {
            assert_eq!(comparison_form(one), comparison_form(other));
        }
    }

    proptest! {
        #[test]
        fn the_form_of_the_form_is_itself(text in "\\PC{0,64}") {
            let once = comparison_form(&text);
            prop_assert_eq!(comparison_form(&once), once);
        }
    }
}
