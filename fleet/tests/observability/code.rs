//! The declarations against the code that records, and against their page.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use fleet::observability::{Catalogue, Kind, Metric, PAGE, catalogues, page};

use crate::{read, root};

const MACROS: [(&str, Kind); 3] =
    [("counter", Kind::Counter), ("gauge", Kind::Gauge), ("histogram", Kind::Histogram)];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") && !path.ends_with("tests.rs") {
            found.push(path);
        }
    }
}

/// What is compiled into the product of a package: no comments, no unit tests, which are last in
/// their file, and nothing that only tests use.
fn product(package: &str) -> String {
    let (mut files, mut text) = (Vec::new(), String::new());
    sources(&root().join(package).join("src"), &mut files);
    for file in files.iter().filter(|file| !file.iter().any(|part| part == "testing")) {
        let source = read(file);
        let product = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let lines = product.lines().filter(|line| !line.trim_start().starts_with("//"));
        lines.for_each(|line| text.extend([line, "\n"]));
    }
    text
}

/// The names in `counter!("…")` and the like; names that are made up at run time are not seen.
fn recorded(source: &str) -> BTreeSet<(String, &'static str)> {
    let calls = MACROS.into_iter().flat_map(|(call, kind)| {
        let start = format!("{call}!(");
        let rests: Vec<&str> = source.split(start.as_str()).skip(1).collect();
        rests.into_iter().filter_map(move |rest| {
            let (name, _) = rest.trim_start().strip_prefix('"')?.split_once('"')?;
            Some((name.to_owned(), kind.as_str()))
        })
    });
    calls.collect()
}

/// What is recorded and not declared, and what is declared and never named.
fn disagreements(catalogue: &Catalogue, source: &str) -> Vec<String> {
    let declared = |(name, kind): &&(String, &str)| {
        catalogue.metric.iter().any(|metric| metric.name == *name && metric.kind.as_str() == *kind)
    };
    let recorded = recorded(source);
    let undeclared = recorded.iter().filter(|call| !declared(call));
    let undeclared = undeclared.map(|(name, kind)| format!("{kind} {name} is not declared"));
    let is_named = |metric: &&Metric| source.contains(&format!("\"{}\"", metric.name));
    let gone = catalogue.metric.iter().filter(|metric| !is_named(metric));
    undeclared.chain(gone.map(|metric| format!("{} is not in the code", metric.name))).collect()
}

/// What is wrong with the form of a declaration.
fn odd(metric: &Metric) -> Option<&'static str> {
    let Metric { name, kind, unit, labels, help, buckets, from_start, only_when } = metric;
    let is_counter = *kind == Kind::Counter;
    let is_labelled =
        |set: &std::collections::BTreeMap<String, String>| set.keys().eq(labels.iter());
    let rules = [
        (name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'), "name"),
        (is_counter == name.ends_with("_total"), "a counter ends in _total, and nothing else"),
        (unit != "seconds" || name.contains("_seconds"), "seconds are in the name"),
        (unit != "bytes" || name.contains("_bytes"), "bytes are in the name"),
        ((*kind == Kind::Histogram) != buckets.is_empty(), "a histogram has buckets"),
        (from_start.is_empty() || is_counter, "only counters begin at 0"),
        (from_start.iter().all(is_labelled), "what begins at 0 has exactly its labels"),
        (!labels.iter().any(|label| label == "id" || label.ends_with("_id")), "ids are no labels"),
        (help.ends_with('.') && !help.contains('|'), "help is a sentence"),
        (!only_when.ends_with('.') && !only_when.contains('|'), "a condition is a clause"),
    ];
    rules.into_iter().find(|(holds, _)| !holds).map(|(_, rule)| rule)
}

#[test]
fn every_metric_in_the_code_is_declared_and_every_declared_one_is_in_the_code() {
    let catalogues = catalogues(&root()).unwrap();
    for catalogue in &catalogues {
        let source = product(&catalogue.package);
        assert_eq!(disagreements(catalogue, &source), [""; 0], "{}", catalogue.package);
    }
    let declaring: Vec<&str> = catalogues.iter().map(|one| one.package.as_str()).collect();
    for package in fleet::services::Service::ALL.iter().map(|service| service.name) {
        let silent = declaring.contains(&package) || recorded(&product(package)).is_empty();
        assert!(silent, "{package} records metrics and has no metrics.toml");
    }
}

#[test]
fn declarations_have_the_agreed_form() {
    let catalogues = catalogues(&root()).unwrap();
    let all = || catalogues.iter().flat_map(|catalogue| &catalogue.metric);
    let faults: Vec<_> = all().filter_map(|metric| Some((&metric.name, odd(metric)?))).collect();
    assert!(faults.is_empty(), "{faults:?}");
    let known: Vec<&String> = catalogues.iter().flat_map(|one| one.buckets.keys()).collect();
    for metric in all().filter(|metric| metric.kind == Kind::Histogram) {
        assert!(known.contains(&&metric.buckets), "{} has no buckets", metric.name);
    }
    for catalogue in &catalogues {
        let names: BTreeSet<&str> = catalogue.metric.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names.len(), catalogue.metric.len(), "{}: one name twice", catalogue.package);
        let rises = |bounds: &Vec<f64>| bounds.windows(2).all(|pair| pair[0] < pair[1]);
        assert!(catalogue.buckets.values().all(rises), "{}", catalogue.package);
    }
}

#[test]
fn the_page_is_that_of_the_declarations() {
    let expected = page(&catalogues(&root()).unwrap());
    let is_current = read(PAGE) == expected;
    assert!(is_current, "{PAGE} is not that of the code: cargo ehub metrics --write");
}

#[test]
fn a_disagreement_is_seen() {
    let source = "counter!(\n    \"a_total\", \"x\" => 1);\ndescribe_gauge!(name);\n\
        metrics::gauge!(\"b\").set(1.0);";
    let expected = [("a_total".to_owned(), "counter"), ("b".to_owned(), "gauge")];
    assert_eq!(recorded(source), BTreeSet::from(expected));
    let metric = Metric {
        name: "c_total".to_owned(),
        kind: Kind::Counter,
        unit: "events".to_owned(),
        labels: vec!["x".to_owned()],
        help: "What.".to_owned(),
        buckets: String::new(),
        from_start: Vec::new(),
        only_when: String::new(),
    };
    assert_eq!(odd(&metric), None);
    let begun = vec![std::collections::BTreeMap::new()];
    assert!(odd(&Metric { from_start: begun, ..metric.clone() }).is_some());
    assert!(odd(&Metric { labels: vec!["user_id".to_owned()], ..metric.clone() }).is_some());
    assert!(odd(&Metric { kind: Kind::Gauge, ..metric.clone() }).is_some());
    let catalogue = Catalogue { metric: vec![metric], ..Catalogue::default() };
    let faults = disagreements(&catalogue, source);
    let named = |fault: &str| faults.iter().any(|found| found == fault);
    assert!(named("counter a_total is not declared") && named("gauge b is not declared"));
    assert!(named("c_total is not in the code"), "{faults:?}");
}
