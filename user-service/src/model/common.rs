//! The passwords that lists of leaked ones are headed by; `common_passwords.NOTICE.md` says where the
//! list comes from.

use std::sync::LazyLock;

/// In comparison form, the most common first, one a line.
const LIST: &str = include_str!("common_passwords.txt");

/// The list sorted, each entry with its place in it.
static SORTED: LazyLock<Vec<(&str, u16)>> = LazyLock::new(|| {
    let mut sorted: Vec<_> = LIST.lines().zip(1..=u16::MAX).collect();
    sorted.sort_unstable();
    sorted
});

/// The longest entry in bytes: a longer text is none.
pub(super) const LONGEST: usize = 32;

/// The place of a text, in comparison form, among the common passwords; 1 is the most common.
pub(super) fn rank(text: &str) -> Option<u16> {
    let at = SORTED.binary_search_by_key(&text, |(entry, _)| entry).ok()?;
    SORTED.get(at).map(|(_, rank)| *rank)
}

#[cfg(test)]
mod tests {
    use chassis::text::comparison_form;

    use super::*;

    #[test]
    fn the_list_is_in_comparison_form_without_repetition() {
        for line in LIST.lines() {
            assert_eq!(comparison_form(line), line);
            assert!((4..=LONGEST).contains(&line.len()), "{line}");
        }
        assert!(SORTED.windows(2).all(|pair| pair[0].0 != pair[1].0));
    }

    #[test]
    fn the_list_is_long_enough_to_matter() {
        assert_eq!(SORTED.len(), LIST.lines().count());
        let long_enough = LIST.lines().filter(|line| line.chars().count() >= 8);
        assert!(long_enough.count() > 10_000);
    }

    #[test]
    fn the_most_common_ones_have_their_places() {
        assert_eq!(rank("123456"), Some(1));
        assert!(rank("password").is_some_and(|rank| rank < 5));
        assert!(rank("!qaz2wsx").is_some());
        assert_eq!(rank("correct horse battery"), None);
    }
}
