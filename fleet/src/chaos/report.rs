//! The report of a run: for people and for programs.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::Result;
use serde::Serialize;

use super::arena::Death;
use super::checks::Violation;
use super::figures::Figures;
use super::new_work::NewWork;
use super::schedule::Schedule;

/// How many violations of one check are shown in full.
const SHOWN: usize = 10;

/// What a run came to.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// How to run it again.
    pub replay: String,
    /// What was done to the fleet.
    pub schedule: Schedule,
    /// Who died, when, and of what.
    pub deaths: Vec<Death>,
    /// Acts that could not be performed.
    pub notes: Vec<String>,
    /// Calls by route.
    pub figures: Vec<Figures>,
    /// Arrivals of the load.
    pub arrivals: usize,
    /// Arrivals that the load itself dropped.
    pub dropped: usize,
    /// From the end of the faults to rest; absent when the fleet did not come to rest.
    pub settled_ms: Option<u64>,
    /// Longest time that this was allowed to take.
    pub settle_limit_ms: u64,
    /// What came of the orders that followed; absent when the fleet did not come back.
    pub new_work: Option<NewWork>,
    /// What the audit looked at, in its own words.
    pub audit: String,
    /// Broken promises.
    pub violations: Vec<Violation>,
}

impl Report {
    /// Whether every promise was kept.
    pub fn is_clean(&self) -> bool {
        self.violations.is_empty()
    }

    /// Writes `report.md` and `report.json`.
    pub fn write(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder)?;
        fs::write(folder.join("report.json"), serde_json::to_vec_pretty(self)?)?;
        Ok(fs::write(folder.join("report.md"), self.to_markdown()?)?)
    }

    /// The report as people read it.
    pub fn to_markdown(&self) -> Result<String> {
        let mut text = String::new();
        self.write_head(&mut text)?;
        self.write_violations(&mut text)?;
        self.write_load(&mut text)?;
        self.write_course(&mut text)?;
        Ok(text)
    }

    fn write_head(&self, text: &mut String) -> Result<()> {
        let verdict = match self.violations.len() {
            0 => "every promise was kept".to_owned(),
            count => format!("{count} violations"),
        };
        writeln!(text, "# Chaos, seed {}: {verdict}\n", self.schedule.seed)?;
        writeln!(text, "Run it again: `{}`\n", self.replay)?;
        let settled = match self.settled_ms {
            Some(ms) => format!("after {ms} ms (limit {} ms)", self.settle_limit_ms),
            None => format!("not within {} ms", self.settle_limit_ms),
        };
        writeln!(text, "- Faults: {} in {} s", self.schedule.episodes.len(), self.seconds())?;
        writeln!(text, "- Deaths: {}", self.deaths.len())?;
        writeln!(text, "- At rest after the last fault: {settled}")?;
        writeln!(text, "- New work after the faults: {}", self.new_work())?;
        writeln!(text, "- Audit: {}\n", self.audit)?;
        Ok(())
    }

    fn new_work(&self) -> String {
        let Some(NewWork { offered, served, longest_ms, limit_ms }) = self.new_work else {
            return "none was offered".to_owned();
        };
        let time = longest_ms.map_or_else(String::new, |ms| format!(", the last after {ms} ms"));
        format!("{served} of {offered} orders served{time} (limit {limit_ms} ms)")
    }

    fn seconds(&self) -> u64 {
        self.schedule.length_ms / 1000
    }

    fn write_violations(&self, text: &mut String) -> Result<()> {
        if self.is_clean() {
            return Ok(());
        }
        writeln!(text, "## Violations\n")?;
        let checks: BTreeSet<&str> = self.violations.iter().map(|one| one.check.as_str()).collect();
        for check in checks {
            let all: Vec<_> = self.violations.iter().filter(|one| one.check == check).collect();
            writeln!(text, "### {check} ({})\n", all.len())?;
            for one in all.iter().take(SHOWN) {
                writeln!(text, "- `{}`: {}", one.subject, one.detail)?;
            }
            if all.len() > SHOWN {
                writeln!(text, "- and {} more in report.json", all.len() - SHOWN)?;
            }
            writeln!(text)?;
        }
        Ok(())
    }

    fn write_load(&self, text: &mut String) -> Result<()> {
        writeln!(text, "## Load\n\n{} arrivals, {} dropped.\n", self.arrivals, self.dropped)?;
        writeln!(text, "| route | ok | refused | put off | unknown | p50 ms | p99 ms |")?;
        writeln!(text, "|---|--:|--:|--:|--:|--:|--:|")?;
        for one in &self.figures {
            let Figures { route, ok, refused, put_off, unknown, p50_ms, p99_ms } = one;
            writeln!(
                text,
                "| {route} | {ok} | {refused} | {put_off} | {unknown} | {p50_ms} | {p99_ms} |"
            )?;
        }
        Ok(writeln!(text)?)
    }

    fn write_course(&self, text: &mut String) -> Result<()> {
        writeln!(text, "## Course\n\n| fault | from | to | what |\n|---|--:|--:|---|")?;
        for episode in &self.schedule.episodes {
            let (from, to) = (episode.start_ms, episode.end_ms);
            writeln!(text, "| {} | {from} | {to} | {} |", episode.fault, episode.name)?;
        }
        writeln!(text, "\n## Acts\n")?;
        for timed in self.schedule.acts() {
            writeln!(text, "- {} ms: {}", timed.at_ms, timed.act)?;
        }
        writeln!(text, "\n## Deaths\n")?;
        for death in &self.deaths {
            writeln!(text, "- {} ms: {}: {}", death.at_ms, death.process, death.how)?;
        }
        if !self.notes.is_empty() {
            writeln!(text, "\n## Acts that could not be performed\n")?;
            for note in &self.notes {
                writeln!(text, "- {note}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(violations: Vec<Violation>) -> Report {
        Report {
            replay: "cargo ehub chaos --seed 7".to_owned(),
            schedule: Schedule { seed: 7, length_ms: 60_000, episodes: Vec::new() },
            deaths: Vec::new(),
            notes: Vec::new(),
            figures: Vec::new(),
            arrivals: 1,
            dropped: 0,
            settled_ms: Some(900),
            settle_limit_ms: 15_000,
            new_work: Some(NewWork {
                offered: 10,
                served: 10,
                longest_ms: Some(700),
                limit_ms: 15_000,
            }),
            audit: "nothing".to_owned(),
            violations,
        }
    }

    #[test]
    fn a_clean_report_says_so_and_how_to_run_it_again() {
        let text = report(Vec::new()).to_markdown().unwrap();
        assert!(text.starts_with("# Chaos, seed 7: every promise was kept"));
        assert!(text.contains("`cargo ehub chaos --seed 7`") && text.contains("after 900 ms"));
        assert!(text.contains("10 of 10 orders served, the last after 700 ms (limit 15000 ms)"));
        assert!(!text.contains("## Violations"));
    }

    #[test]
    fn new_work_that_was_not_served_or_not_offered_is_told() {
        let told = |new_work| Report { new_work, ..report(Vec::new()) }.to_markdown().unwrap();
        let none = NewWork { offered: 10, served: 0, longest_ms: None, limit_ms: 15_000 };
        let line = "- New work after the faults: 0 of 10 orders served (limit 15000 ms)\n";
        assert!(told(Some(none)).contains(line));
        assert!(told(None).contains("- New work after the faults: none was offered\n"));
    }

    #[test]
    fn violations_are_grouped_and_the_many_are_counted() {
        let many = (0..12).map(|n| Violation::new("a rule", format!("k-{n}"), "broken"));
        let report = report(many.collect());
        let text = report.to_markdown().unwrap();
        assert!(!report.is_clean() && text.contains("### a rule (12)"));
        assert!(text.contains("`k-0`: broken") && text.contains("and 2 more"));
    }
}
