//! The page about OWASP ASVS against the standard's list of requirements, the catalogue of attacks,
//! and the files that it names.
//!
//! Whether a verdict is right nobody can test. That no requirement is passed over, and that what is
//! said to prove one exists, can be.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a source tree that cannot be read is a failed test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const PAGE: &str = "docs/ASVS.md";
/// The page with the catalogue of attacks.
const CATALOGUE: &str = "docs/SECURITY.md";

/// How many requirements of levels 1 and 2 each section of ASVS 5.0.0 has; their numbers run from 1.
const SECTIONS: [(&str, u32); 75] = [
    ("1.1", 2),
    ("1.2", 9),
    ("1.3", 11),
    ("1.4", 3),
    ("1.5", 2),
    ("2.1", 3),
    ("2.2", 3),
    ("2.3", 4),
    ("2.4", 1),
    ("3.2", 2),
    ("3.3", 4),
    ("3.4", 6),
    ("3.5", 5),
    ("3.7", 2),
    ("4.1", 3),
    ("4.2", 1),
    ("4.3", 2),
    ("4.4", 4),
    ("5.1", 1),
    ("5.2", 3),
    ("5.3", 2),
    ("5.4", 3),
    ("6.1", 3),
    ("6.2", 12),
    ("6.3", 4),
    ("6.4", 4),
    ("6.5", 5),
    ("6.6", 3),
    ("6.8", 4),
    ("7.1", 3),
    ("7.2", 4),
    ("7.3", 2),
    ("7.4", 5),
    ("7.5", 2),
    ("7.6", 2),
    ("8.1", 2),
    ("8.2", 3),
    ("8.3", 1),
    ("8.4", 1),
    ("9.1", 3),
    ("9.2", 4),
    ("10.1", 2),
    ("10.2", 2),
    ("10.3", 4),
    ("10.4", 11),
    ("10.5", 5),
    ("10.6", 2),
    ("10.7", 3),
    ("11.1", 2),
    ("11.2", 3),
    ("11.3", 3),
    ("11.4", 4),
    ("11.5", 1),
    ("11.6", 1),
    ("12.1", 3),
    ("12.2", 2),
    ("12.3", 4),
    ("13.1", 1),
    ("13.2", 5),
    ("13.3", 2),
    ("13.4", 5),
    ("14.1", 2),
    ("14.2", 4),
    ("14.3", 3),
    ("15.1", 3),
    ("15.2", 3),
    ("15.3", 7),
    ("16.1", 1),
    ("16.2", 5),
    ("16.3", 4),
    ("16.4", 3),
    ("16.5", 3),
    ("17.1", 1),
    ("17.2", 4),
    ("17.3", 2),
];

/// Verdicts, in the order in which the page counts them.
const VERDICTS: [&str; 5] = ["met", "partly", "not met", "operator", "none"];
/// Those that something has to prove.
const PROVEN: [&str; 2] = ["met", "partly"];

/// Shortest reason that stands without a test or a page, in bytes.
const REASON_MIN: usize = 20;

/// A line of the page.
struct Line<'p> {
    /// One requirement, or a range such as `6.5.1–5`.
    requirements: &'p str,
    verdict: &'p str,
    /// By which tests and pages, or why.
    by: &'p str,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(path: &str) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn cells(line: &str) -> Vec<&str> {
    line.trim_matches('|').split('|').map(str::trim).collect()
}

/// The lines about requirements, which begin with a number.
fn lines(page: &str) -> Vec<Line<'_>> {
    let is_about_one = |row: &&str| {
        row.strip_prefix("| ").is_some_and(|row| row.starts_with(|c: char| c.is_ascii_digit()))
    };
    page.lines().filter(is_about_one).map(line).collect()
}

fn line(row: &str) -> Line<'_> {
    match cells(row)[..] {
        [requirements, _, verdict, by] => Line { requirements, verdict, by },
        _ => panic!("{row} is no line about a requirement"),
    }
}

/// The requirements of a line, in full: `6.5.1–5` are five.
fn requirements(text: &str) -> Vec<String> {
    let (first, last) = text.split_once('–').unwrap_or((text, ""));
    let (section, from) = first.rsplit_once('.').unwrap();
    let from: u32 = from.parse().unwrap();
    let to = if last.is_empty() { from } else { last.parse().unwrap() };
    (from..=to).map(|number| format!("{section}.{number}")).collect()
}

/// The ids of attacks in a text, ranges such as `A001–A024` in full.
fn attacks(text: &str) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    for word in text.split(|c: char| !c.is_ascii_alphanumeric() && c != '–') {
        let ends: Vec<u32> = word.split('–').filter_map(attack).collect();
        if let [first, .., last] = ends[..] {
            found.extend(first..=last);
        }
        found.extend(ends);
    }
    found
}

/// The number of an id such as `A007`.
fn attack(word: &str) -> Option<u32> {
    let number = word.strip_prefix('A').filter(|number| number.len() == 3)?;
    number.parse().ok()
}

/// The files of this checkout that a text names in backticks.
fn files(text: &str) -> Vec<&str> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.filter(|name| is_path(name)).collect()
}

/// Whether a name is one of a file here, not of an operation, a setting or an alert.
fn is_path(name: &str) -> bool {
    let endings = ["rs", "md", "toml", "json", "yaml", "sh"];
    name.rsplit_once('.').is_some_and(|(_, ending)| endings.contains(&ending))
}

/// What is wrong with what a line rests on. What follows from the language, or from what is not
/// there, is proven by its reason alone.
fn fault(line: &Line<'_>, known: &BTreeSet<u32>) -> Option<String> {
    let (attacks, files) = (attacks(line.by), files(line.by));
    let shortest = if PROVEN.contains(&line.verdict) && attacks.is_empty() && files.is_empty() {
        REASON_MIN
    } else {
        1
    };
    let unknown = attacks.difference(known).next();
    let lost = files.iter().find(|file| !root().join(file).is_file());
    let what = match (unknown, lost) {
        (Some(unknown), _) => format!("there is no attack A{unknown:03}"),
        (_, Some(file)) => format!("there is no {file}"),
        _ if !VERDICTS.contains(&line.verdict) => format!("{:?} is no verdict", line.verdict),
        _ if line.by.len() < shortest => "rests on nothing".to_owned(),
        _ => return None,
    };
    Some(format!("{}: {what}", line.requirements))
}

#[test]
fn every_requirement_of_both_levels_has_its_verdict() {
    let page = read(PAGE);
    let listed: Vec<String> =
        lines(&page).iter().flat_map(|line| requirements(line.requirements)).collect();
    let of_section = |(section, count): &(&str, u32)| {
        (1..=*count).map(|number| format!("{section}.{number}")).collect::<Vec<_>>()
    };
    let expected: Vec<String> = SECTIONS.iter().flat_map(of_section).collect();
    assert_eq!(expected.len(), 253, "the standard has other requirements");
    assert_eq!(listed, expected);
}

#[test]
fn what_proves_a_requirement_exists() {
    let (page, catalogue) = (read(PAGE), read(CATALOGUE));
    let known: BTreeSet<u32> =
        catalogue.lines().filter_map(|line| attack(cells(line)[0])).collect();
    assert!(known.len() >= 140, "the catalogue is elsewhere");
    let faults: Vec<String> = lines(&page).iter().filter_map(|line| fault(line, &known)).collect();
    assert_eq!(faults, [""; 0]);
}

#[test]
fn the_page_counts_its_verdicts() {
    let page = read(PAGE);
    let mut counts = BTreeMap::<&str, usize>::new();
    for line in lines(&page) {
        *counts.entry(line.verdict).or_default() += requirements(line.requirements).len();
    }
    for verdict in VERDICTS {
        let row = page.lines().find(|line| line.starts_with(&format!("| {verdict} | ")));
        let told: Option<usize> = row.and_then(|row| cells(row).last()?.parse().ok());
        assert_eq!(told, counts.get(verdict).copied(), "{verdict}");
    }
}

#[test]
fn a_fault_of_the_page_is_seen() {
    let known = BTreeSet::from([1, 2, 3]);
    let of = |verdict, by| fault(&Line { requirements: "1.1.1", verdict, by }, &known);
    assert_eq!(of("met", "A001–A003, `docs/ASVS.md`"), None);
    assert_eq!(of("none", "nothing of the kind"), None);
    for (verdict, by) in [
        ("good", "A001"),
        ("met", "A001–A004"),
        ("met", "`docs/GHOST.md`"),
        ("partly", "somehow"),
        ("not met", ""),
    ] {
        assert!(of(verdict, by).is_some(), "{verdict}: {by}");
    }
    assert_eq!(requirements("6.5.3–5"), ["6.5.3", "6.5.4", "6.5.5"]);
    assert_eq!(attacks("by A009 (A001–A003) and ANNA"), BTreeSet::from([1, 2, 3, 9]));
}
