//! How what strangers send is compared with what only the product can compute. A comparison that ends at
//! the first byte that differs tells by its time how much of a guess was right.

use std::path::{Path, PathBuf};

use crate::{read, root};

/// Where it is done: signatures of callbacks, and page tokens.
const PLACES: [&str; 2] = ["payment-service/src/model/signature.rs", "chassis/src/page.rs"];
/// The library's comparison, which looks at every byte whatever the first ones are.
const COMPARISON: &str = "verify_slices_are_equal(";
/// What a file that makes tags names.
const TAGS: &str = "hmac::";
/// How the bytes of a tag are had.
const BYTES: &str = ".as_ref()";
/// What compares them like any others.
const HASTY: [&str; 6] = [" == ", " != ", ".eq(", ".ne(", ".cmp(", ".starts_with("];

/// What is compiled into the product: no comments, no unit tests, which are last in their file.
fn product_lines(source: &str) -> impl Iterator<Item = &str> {
    let product = source.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    product.lines().map(str::trim).filter(|line| !line.starts_with("//"))
}

/// How often a tag is compared by the library.
fn comparisons(source: &str) -> usize {
    let is_one = |line: &&str| line.contains(COMPARISON) && line.contains("tag.as_ref()");
    product_lines(source).filter(is_one).count()
}

/// Lines that compare the bytes of a tag, if the file makes any, in another way.
fn hasty(source: &str) -> Vec<&str> {
    if !source.contains(TAGS) {
        return Vec::new();
    }
    let is_hasty = |line: &&str| line.contains(BYTES) && HASTY.iter().any(|way| line.contains(way));
    product_lines(source).filter(is_hasty).collect()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn a115_signatures_are_compared_in_constant_time() {
    for place in PLACES {
        assert_eq!(comparisons(&read(place)), 1, "{place}");
    }
    let mut files = Vec::new();
    for folder in std::fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path().join("src"))
    {
        if folder.is_dir() {
            sources(&folder, &mut files);
        }
    }
    for file in files {
        assert_eq!(hasty(&read(&file)), [""; 0], "{}", file.display());
    }
}

#[test]
fn a_hasty_comparison_is_seen() {
    let source = "let tag = hmac::sign(key, text);\nif tag.as_ref() == given {\n\
        // tag.as_ref() == given\nverify_slices_are_equal(tag.as_ref(), given)\n\
        #[cfg(test)]\nmod tests {\nassert!(tag.as_ref() != given);";
    assert_eq!(hasty(source), ["if tag.as_ref() == given {"]);
    assert_eq!(comparisons(source), 1);
    assert_eq!(hasty("if name.as_ref() == given {"), [""; 0]);
}
