//! The error catalogue: one page per code, in English and Chinese, read from `errors/` at build time.
//!
//! A code is a contract: it is never renamed and never reused. Each crate that owns codes tests that
//! its table and the pages it owns are the same set.

/// The page of one error code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorPage {
    /// UPPER_SNAKE code, as in the member `code` of a problem document.
    pub code: &'static str,
    /// Short English title, the member `title` of a problem document.
    pub title: &'static str,
    /// Short Chinese title.
    pub title_zh: &'static str,
    /// HTTP status the code is answered with.
    pub status: u16,
    /// The crate whose table holds the code.
    pub owner: &'static str,
    /// The whole page, Markdown.
    pub text: &'static str,
}

/// Every page, sorted by code.
pub const PAGES: &[ErrorPage] = include!(concat!(env!("OUT_DIR"), "/errors.rs"));

/// Finds the page of a code.
pub fn find(code: &str) -> Option<&'static ErrorPage> {
    PAGES.binary_search_by(|page| page.code.cmp(code)).ok().map(|at| &PAGES[at])
}

/// Lists codes and statuses of the pages that a crate owns, sorted by code.
pub fn owned_by(owner: &str) -> Vec<(&'static str, u16)> {
    PAGES.iter().filter(|page| page.owner == owner).map(|page| (page.code, page.status)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_sorted_and_found_by_code() {
        assert!(PAGES.is_sorted_by(|a, b| a.code < b.code));
        for page in PAGES {
            assert_eq!(find(page.code), Some(page));
        }
        assert_eq!(find("NO_SUCH_CODE"), None);
    }

    #[test]
    fn codes_are_upper_snake_and_short() {
        for page in PAGES {
            assert!(page.code.len() <= 63, "{}", page.code);
            assert!(
                page.code.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'),
                "{}",
                page.code
            );
            assert!((400..600).contains(&page.status), "{}", page.code);
        }
    }

    #[test]
    fn every_page_has_an_owner_of_this_workspace() {
        let owners = [
            "chassis",
            "gateway-service",
            "user-service",
            "auth-service",
            "order-service",
            "payment-service",
            "notify-service",
        ];
        for page in PAGES {
            assert!(owners.contains(&page.owner), "{}: {}", page.code, page.owner);
        }
    }
}
