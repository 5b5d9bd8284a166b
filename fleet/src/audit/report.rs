//! The verdict: violations with ids, what was looked at, and what could not be seen.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::invariant::Sight;
use super::{Invariant, Sources};
use crate::ui;

/// One broken promise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Which promise.
    pub invariant: Invariant,
    /// Which check found it.
    pub check: &'static str,
    /// What it is about, such as an order's id.
    pub subject: String,
    /// What is wrong with it.
    pub detail: String,
}

/// What the auditor saw.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Everything that is wrong, by invariant; of each check at most a thousand.
    pub violations: Vec<Violation>,
    /// How many violations each check found that found any.
    pub totals: BTreeMap<&'static str, u64>,
    /// Rows looked at, by kind.
    pub counts: BTreeMap<&'static str, u64>,
    /// What was found worth telling and is no violation.
    pub notes: Vec<String>,
    /// Invariants that were not seen, or not wholly, and why.
    pub unseen: Vec<Unseen>,
    /// Milliseconds that it took.
    pub elapsed_ms: u64,
    /// How long each question took.
    #[serde(skip)]
    pub timings: Vec<(&'static str, Duration)>,
    #[serde(skip)]
    checks: BTreeSet<(Invariant, &'static str)>,
    #[serde(skip)]
    blind: BTreeMap<Invariant, String>,
}

/// An invariant that was not seen wholly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unseen {
    /// Which one.
    pub invariant: Invariant,
    /// Whether a part of it was seen.
    pub partly: bool,
    /// Why not more.
    pub reason: String,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.violations.is_empty()
    }

    /// The violations that a check found.
    pub fn of_check(&self, check: &str) -> Vec<&Violation> {
        self.violations.iter().filter(|violation| violation.check == check).collect()
    }

    /// How long it took.
    pub fn elapsed(&self) -> Duration {
        Duration::from_millis(self.elapsed_ms)
    }

    /// The names of the checks that were made, with their invariants.
    pub fn checks(&self) -> impl Iterator<Item = (Invariant, &'static str)> + '_ {
        self.checks.iter().copied()
    }

    /// Notes that a check was made, whatever it finds.
    pub(super) fn checked(&mut self, invariant: Invariant, check: &'static str) {
        self.checks.insert((invariant, check));
    }

    /// Notes that a witness of an invariant did not answer or was not named.
    pub(super) fn could_not_see(&mut self, invariant: Invariant, reason: &str) {
        self.blind.insert(invariant, reason.to_owned());
    }

    /// Adds a violation.
    pub(super) fn add(
        &mut self,
        (invariant, check): (Invariant, &'static str),
        subject: impl Into<String>,
        detail: impl Into<String>,
    ) {
        let total = self.totals.entry(check).or_default();
        *total += 1;
        if *total <= u64::from(super::SHOWN) {
            let (subject, detail) = (subject.into(), detail.into());
            self.violations.push(Violation { invariant, check, subject, detail });
        }
    }

    pub(super) fn finish(&mut self, sources: &Sources, elapsed: Duration) {
        self.violations.sort_by(|a, b| (a.invariant, a.check).cmp(&(b.invariant, b.check)));
        self.elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        self.unseen = Invariant::all().filter_map(|one| self.unseen_part(one, sources)).collect();
    }

    fn unseen_part(&self, invariant: Invariant, sources: &Sources) -> Option<Unseen> {
        let partly = self.checks.iter().any(|(checked, _)| *checked == invariant);
        let declared = match invariant.sight() {
            Sight::Partial(reason) | Sight::Blind(reason) => Some(reason),
            Sight::History if sources.history.is_none() => Some("no client history was given"),
            Sight::Full | Sight::History => None,
        };
        let reason = match (self.blind.get(&invariant), declared) {
            (Some(seen), Some(declared)) => format!("{seen}; {declared}"),
            (Some(seen), None) => seen.clone(),
            (None, declared) => declared?.to_owned(),
        };
        Some(Unseen { invariant, partly, reason })
    }

    fn checks_of(&self, invariant: Invariant) -> usize {
        self.checks.iter().filter(|(checked, _)| *checked == invariant).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let looked: Vec<String> =
            self.counts.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        writeln!(f, "Looked at {}", looked.join(", "))?;
        for invariant in Invariant::all() {
            let violations: u64 = self.totals_of(invariant);
            let unseen = self.unseen.iter().find(|unseen| unseen.invariant == invariant);
            let verdict = match (violations, unseen) {
                (1.., _) => format!("BROKEN ({violations})"),
                (0, Some(unseen)) if !unseen.partly => "not seen".to_owned(),
                (0, _) => format!("holds ({} checks)", self.checks_of(invariant)),
            };
            writeln!(f, "  {invariant:<4} {verdict:<18} {}", invariant.title())?;
            if let Some(unseen) = unseen {
                writeln!(f, "       {:<18} {}", "", unseen.reason)?;
            }
        }
        for violation in &self.violations {
            let Violation { invariant, check, subject, detail } = violation;
            writeln!(f, "{invariant:<4} {check}: {subject}: {detail}")?;
        }
        for (check, total) in self.totals.iter().filter(|(_, t)| **t > u64::from(super::SHOWN)) {
            writeln!(f, "{check}: {total} in all, {} shown", super::SHOWN)?;
        }
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        let elapsed = ui::seconds(self.elapsed());
        match self.totals.values().sum::<u64>() {
            0 => write!(f, "No violation found ({elapsed})."),
            total => write!(f, "{total} violations ({elapsed})."),
        }
    }
}

impl Report {
    /// How many violations of an invariant were found.
    pub(super) fn totals_of(&self, invariant: Invariant) -> u64 {
        let mut checks: Vec<&str> = self
            .violations
            .iter()
            .filter(|violation| violation.invariant == invariant)
            .map(|violation| violation.check)
            .collect();
        checks.dedup();
        checks.iter().filter_map(|check| self.totals.get(check)).sum()
    }
}
