//! What the processes of a fleet showed over a time, as Prometheus would have scraped it.

use std::collections::{BTreeMap, BTreeSet};

/// A look at which a series is not there.
const ABSENT: &str = "_";
/// The first such look: Prometheus notes that a series has ended.
const STALE: &str = "stale";

/// A process that is asked.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// Its service.
    pub(crate) job: &'static str,
    /// Its name among those of the service.
    pub(crate) instance: String,
}

/// Values of series, look by look.
#[derive(Debug)]
pub(crate) struct Record {
    wanted: BTreeSet<String>,
    looks: usize,
    series: BTreeMap<String, Vec<String>>,
}

impl Record {
    /// An empty record of the series with these names.
    pub(crate) fn new(wanted: BTreeSet<String>) -> Self {
        Self { wanted, looks: 0, series: BTreeMap::new() }
    }

    /// How many looks there were.
    pub(crate) fn looks(&self) -> usize {
        self.looks
    }

    /// Adds a look: what each target answered, or that it did not.
    pub(crate) fn add(&mut self, answers: &[(Target, Option<String>)]) {
        let mut shown = BTreeMap::new();
        for (target, answer) in answers {
            let up = if answer.is_some() { "1" } else { "0" };
            shown.insert(series("up", "", target), up.to_owned());
            let lines = answer.iter().flat_map(|text| text.lines());
            shown.extend(lines.filter_map(|line| self.wanted(line, target)));
        }
        let looks = self.looks;
        for name in shown.keys() {
            let values = self.series.entry(name.clone());
            values.or_insert_with(|| vec![ABSENT.to_owned(); looks]);
        }
        for (name, values) in &mut self.series {
            let is_new = values.last().is_none_or(|last| matches!(last.as_str(), ABSENT | STALE));
            let missing = if is_new { ABSENT } else { STALE };
            values.push(shown.remove(name).unwrap_or_else(|| missing.to_owned()));
        }
        self.looks += 1;
    }

    /// The series of a line and its value, if anybody wants it.
    fn wanted(&self, line: &str, target: &Target) -> Option<(String, String)> {
        let (id, value) = line.rsplit_once(' ')?;
        let parts = id.strip_suffix('}').and_then(|id| id.split_once('{'));
        let (name, labels) = parts.unwrap_or((id, ""));
        self.wanted.contains(name).then(|| (series(name, labels, target), value.to_owned()))
    }

    /// As `input_series` of a test of promtool, indented as there.
    pub(crate) fn input(&self) -> String {
        let lines = self.series.iter().map(|(name, values)| {
            let (name, values) = (name.replace('\'', "''"), values.join(" "));
            format!("      - series: '{name}'\n        values: '{values}'\n")
        });
        lines.collect()
    }
}

/// A series of a target, with the labels that Prometheus gives it.
fn series(name: &str, labels: &str, target: &Target) -> String {
    let Target { job, instance } = target;
    let more = if labels.is_empty() { "" } else { "," };
    format!("{name}{{job=\"{job}\",instance=\"{instance}\"{more}{labels}}}")
}

#[test]
fn what_is_wanted_is_kept_and_what_vanishes_ends() {
    let target = Target { job: "order-service", instance: "order-service-2".to_owned() };
    let mut record = Record::new(BTreeSet::from(["a_total".to_owned(), "b".to_owned()]));
    let looks = [
        Some("# TYPE a_total counter\na_total{q=\"x y\"} 3\nother 1\n"),
        Some("a_total{q=\"x y\"} 4\nb 0.5\n"),
        None,
        None,
        Some("b 1\n"),
    ];
    for look in looks {
        record.add(&[(target.clone(), look.map(str::to_owned))]);
    }
    let labels = "job=\"order-service\",instance=\"order-service-2\"";
    let expected = format!(
        "      - series: 'a_total{{{labels},q=\"x y\"}}'\n        values: '3 4 stale _ _'\n      \
         - series: 'b{{{labels}}}'\n        values: '_ 0.5 stale _ 1'\n      \
         - series: 'up{{{labels}}}'\n        values: '1 1 0 0 1'\n"
    );
    assert_eq!((record.looks(), record.input()), (5, expected));
}
