//! SPDX licence expressions: `OR` lets us choose, `AND` binds us to both.

use std::collections::BTreeSet;

/// Whether a crate may be used when these licences are accepted. What cannot be read is refused.
pub(crate) fn is_allowed(expression: &str, accepted: &BTreeSet<String>) -> bool {
    // Old manifests write `MIT/Apache-2.0`.
    let text = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut reader = Reader { words: &words, accepted };
    reader.any() == Some(true) && reader.words.is_empty()
}

struct Reader<'r> {
    words: &'r [&'r str],
    accepted: &'r BTreeSet<String>,
}

impl<'r> Reader<'r> {
    fn word(&mut self) -> Option<&'r str> {
        let (&first, rest) = self.words.split_first()?;
        self.words = rest;
        Some(first)
    }

    fn takes(&mut self, word: &str) -> bool {
        let is_it = self.words.first() == Some(&word);
        if is_it {
            self.words = &self.words[1..];
        }
        is_it
    }

    fn any(&mut self) -> Option<bool> {
        let mut is_good = self.all()?;
        while self.takes("OR") {
            is_good |= self.all()?;
        }
        Some(is_good)
    }

    fn all(&mut self) -> Option<bool> {
        let mut is_good = self.one()?;
        while self.takes("AND") {
            is_good &= self.one()?;
        }
        Some(is_good)
    }

    fn one(&mut self) -> Option<bool> {
        if self.takes("(") {
            let is_good = self.any()?;
            return self.takes(")").then_some(is_good);
        }
        let mut name = self.word()?.to_owned();
        if ["AND", "OR", "WITH", ")"].contains(&name.as_str()) {
            return None;
        }
        if self.takes("WITH") {
            name = format!("{name} WITH {}", self.word()?);
        }
        Some(self.accepted.contains(&name))
    }
}

#[test]
fn expressions_are_read_as_they_are_meant() {
    let accepted = ["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned).into();
    for good in [
        "MIT",
        "MIT/Apache-2.0",
        "Apache-2.0 / MIT",
        "GPL-3.0 OR MIT",
        "GPL-3.0 AND ISC OR MIT",
        "ISC AND (Apache-2.0 OR MIT)",
        "(MIT OR Apache-2.0) AND ISC",
        "Apache-2.0 WITH LLVM-exception",
    ] {
        assert!(is_allowed(good, &accepted), "{good}");
    }
    for bad in [
        "",
        "GPL-3.0",
        "MIT AND GPL-3.0",
        "MIT AND (GPL-3.0 OR AGPL-3.0)",
        "Apache-2.0",
        "MIT WITH LLVM-exception",
        "MIT OR",
        "(MIT",
        "MIT)",
        "MIT ISC",
        "mit",
    ] {
        assert!(!is_allowed(bad, &accepted), "{bad}");
    }
}
