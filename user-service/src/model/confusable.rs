//! Texts that look like others: mixed scripts, confusable and invisible characters (Unicode UTS 39).

use unicode_security::confusable_detection::skeleton;
use unicode_security::mixed_script::{AugmentedScriptSet, MixedScript as _};

/// Whether a word mixes scripts that no one language does. Latin letters may stand beside Chinese,
/// Japanese and Korean ones ("highly restrictive" in UTS 39, 5.2); beside Cyrillic or Greek ones they
/// are how look-alikes are made. Words of different scripts may stand beside each other.
pub(super) fn mixes_scripts(text: &str) -> bool {
    text.split(|c: char| c.is_whitespace() || c.is_ascii_punctuation()).any(|word| {
        if word.is_single_script() {
            return false;
        }
        let foreign = word.chars().filter(|c| !is_latin(*c));
        let set = foreign.fold(AugmentedScriptSet::default(), |mut set, c| {
            set.intersect_with(AugmentedScriptSet::for_char(c));
            set
        });
        !(set.hanb || set.jpan || set.kore)
    })
}

/// Whether a text is written in one script, as far as its characters belong to any.
pub(super) fn is_single_script(text: &str) -> bool {
    text.is_single_script()
}

/// Whether a text has letters of another script and still reads as Latin throughout, like the
/// Cyrillic `сосо`.
pub(super) fn passes_for_latin(text: &str) -> bool {
    let is_foreign = |c: char| c.is_alphabetic() && !is_latin(c);
    text.chars().any(is_foreign) && skeleton(text).all(|c| c.is_ascii())
}

/// Whether two texts look the same.
pub(super) fn looks_like(one: &str, other: &str) -> bool {
    skeleton(one).eq(skeleton(other))
}

/// Characters that show nothing, or make other characters show elsewhere: two names could look
/// the same, or one line could pass for several.
pub(super) fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
            | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FEFF}' | '\u{FFA0}'
            | '\u{FFF0}'..='\u{FFFB}' | '\u{E0000}'..='\u{E0FFF}')
}

fn is_latin(letter: char) -> bool {
    matches!(letter,
        'A'..='Z' | 'a'..='z' | '\u{00AA}' | '\u{00BA}' | '\u{00C0}'..='\u{024F}' | '\u{1E00}'..='\u{1EFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_of_two_alphabets_is_mixed() {
        for mixed in ["аdmin", "admіn", "Ωmega", "Алиcа", "good аdmin", "x_аb"] {
            assert!(mixes_scripts(mixed), "{mixed}");
        }
        for clean in [
            "admin",
            "Алиса Liddell",
            "爱丽丝Zoë",
            "東京タワーABC",
            "김철수Kim",
            "Zoë O'Neil",
            "👍 Max",
            "١٢٣",
            "Ωμέγα",
            "Вера",
            "e\u{301}va",
        ] {
            assert!(!mixes_scripts(clean), "{clean}");
        }
    }

    #[test]
    fn letters_of_another_script_can_pass_for_latin_ones() {
        for deceptive in ["сосо", "рауа", "соса.соlа", "ѕсоре"] {
            assert!(passes_for_latin(deceptive), "{deceptive}");
        }
        for honest in ["coco", "éva", "иван", "ωμέγα", "小明", "kıral"] {
            assert!(!passes_for_latin(honest), "{honest}");
        }
    }

    #[test]
    fn letters_that_show_nothing_deceive() {
        for invisible in ['\u{3164}', '\u{1160}', '\u{200D}', '\u{202E}', '\0', '\u{E0061}'] {
            assert!(is_deceptive(invisible), "{invisible:?}");
        }
        assert!(!['a', 'é', '김', ' ', '👍'].into_iter().any(is_deceptive));
    }

    #[test]
    fn looks_are_compared() {
        assert!(looks_like("admin", "аdmіn") && !looks_like("admin", "amdin"));
    }
}
