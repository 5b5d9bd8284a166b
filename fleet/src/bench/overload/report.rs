//! The report of a measurement: for people and for programs.

use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use serde::Serialize;

use super::measured::{Bounds, Measured, Round, Step};
use crate::load::{Class, Mix};
use crate::ui;

/// A generator that is later than this is what was measured, in milliseconds.
const LATE_MS: u64 = 1_000;

/// What was measured, where, and whether it is within its bounds.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// When.
    pub at: DateTime<Utc>,
    /// The gateway that was asked.
    pub gateway: String,
    /// Processors of the machine that asked, which is the fleet's own unless another one was named.
    pub processors: usize,
    /// What was asked.
    pub mix: Mix,
    /// The figures.
    pub measured: Measured,
    /// What is allowed.
    pub bounds: Bounds,
    /// What is not within it, in words.
    pub missed: Vec<String>,
}

impl Report {
    /// Writes `report.md` and `report.json` into a folder, which is made if it is missing.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let verdict = if self.missed.is_empty() { "within the bounds" } else { "bounds MISSED" };
        let page = format!(
            "# Overload: {verdict}\n\n{}, {}, {} processors\n\n```\n{self}```\n",
            self.at.format("%Y-%m-%d %H:%M UTC"),
            self.gateway,
            self.processors
        );
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(folder.join("report.md"), page))
            .with_context(|| format!("{} cannot be written", folder.display()))?;
        Ok(fs::write(folder.join("report.json"), serde_json::to_vec_pretty(self)?)?)
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let head = ["", "offered", "changes", "reads", "failed", "not started"].map(str::to_owned);
        let mut rows = vec![head.to_vec(), row("capacity", &self.measured.capacity)];
        for (number, round) in (1..).zip(&self.measured.rounds) {
            let Round { peaks, overload, after, .. } = round;
            rows.push(vec![format!("round {number}")]);
            rows.extend(peaks.iter().map(|peak| row("  peak", peak)));
            rows.extend([row("  overload", overload), row("  afterwards", after)]);
        }
        rows
    }

    /// What was left in each round, if there is more than one.
    fn by_round(&self) -> Option<String> {
        let rounds = &self.measured.rounds;
        let each = rounds.iter().map(|round| {
            let again = round
                .recovered_after_s
                .map_or_else(|| "never".to_owned(), |s| format!("after {s} s"));
            format!("{:.1} %, well again {again}", round.kept_percent())
        });
        (rounds.len() > 1).then(|| each.collect::<Vec<_>>().join("; "))
    }

    /// What was left to each class, if there is more than one.
    fn by_class(&self) -> Option<String> {
        let kept = |class| self.measured.kept_of_class_percent(class);
        let (changes, reads) = (kept(Class::Change)?, kept(Class::Read)?);
        Some(format!("{changes:.1} % of the most changes, {reads:.1} % of the most reads"))
    }
}

fn row(name: &str, step: &Step) -> Vec<String> {
    vec![
        name.to_owned(),
        format!("{}/s", step.rate),
        format!("{:.1}/s", step.changes),
        format!("{:.1}/s", step.reads),
        format!("{:.2} %", step.failed_share * 100.0),
        step.not_started.to_string(),
    ]
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { measured, bounds, .. } = self;
        write!(f, "{}", ui::table(&self.rows()))?;
        writeln!(
            f,
            "  goodput left under overload: {:.1} % of the peak (bound {} %)",
            measured.kept_percent(),
            bounds.goodput_percent
        )?;
        if let Some(by_round) = self.by_round() {
            writeln!(f, "  of the most in each round: {by_round}")?;
        }
        if let Some(by_class) = self.by_class() {
            writeln!(f, "  by class, where reads are refused first: {by_class}")?;
        }
        let again = match measured.recovered_after_s() {
            Some(seconds) => format!("after {seconds} s"),
            None => "not in every round".to_owned(),
        };
        writeln!(f, "  well again: {again} (bound {} s)", bounds.recovery_s)?;
        let steps =
            measured.rounds.iter().flat_map(|round| round.peaks.iter().chain([&round.overload]));
        let late = steps.map(|step| step.latest_start_ms).max().unwrap_or_default();
        if late > LATE_MS {
            writeln!(
                f,
                "  Calls were started up to {late} ms late: the generator had no time. Let it run on \
                 another machine (--url)."
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn report() -> Report {
        let capacity = Step { rate: 100, changes: 25.0, reads: 74.5, ..Step::default() };
        let peak = Step { rate: 200, changes: 40.0, reads: 85.0, failed_share: 0.375, ..capacity };
        let overload = Step {
            rate: 500,
            changes: 30.0,
            reads: 2.0,
            failed_share: 0.936,
            not_started: 7,
            latest_start_ms: 1_500,
        };
        let round = |kept, recovered_after_s| Round {
            peaks: vec![capacity, peak],
            overload: Step { changes: kept, ..overload },
            after: Step { rate: 60, ..Step::default() },
            recovered_after_s,
            seconds_after: Vec::new(),
        };
        let measured = Measured {
            steps: vec![capacity, peak],
            capacity,
            rounds: vec![round(40.0, Some(4)), round(20.0, None)],
        };
        let bounds = Bounds { goodput_percent: 80.0, recovery_s: 3 };
        Report {
            at: DateTime::from_timestamp(1_700_000_000, 0).unwrap(),
            gateway: "http://127.0.0.1:8080".to_owned(),
            processors: 2,
            mix: Mix::Shop,
            missed: measured.missed(bounds),
            measured,
            bounds,
        }
    }

    #[test]
    fn people_read_what_was_left_and_how_long_it_took() {
        let text = report().to_string();
        for part in [
            "round 2\n",
            "peak        100/s    25.0/s   74.5/s  0.00 %   0",
            "peak        200/s    40.0/s   85.0/s  37.50 %  0",
            "overload    500/s    40.0/s   2.0/s   93.60 %  7",
            "goodput left under overload: 25.6 % of the peak (bound 80 %)\n",
            "of the most in each round: 33.6 %, well again after 4 s; 17.6 %, well again never",
            "reads are refused first: 75.0 % of the most changes, 2.4 % of the most reads",
            "well again: not in every round (bound 3 s)",
            "started up to 1500 ms late",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn calls_of_one_class_have_no_figures_by_class_and_one_round_none_by_round() {
        let mut report = report();
        report.measured.rounds.truncate(1);
        report.measured.rounds[0].peaks.iter_mut().for_each(|peak| peak.reads = 0.0);
        let text = report.to_string();
        assert!(!text.contains("by class") && !text.contains("each round"), "{text}");
    }

    #[test]
    fn programs_read_the_same_in_a_file() {
        let folder =
            std::env::temp_dir().join(format!("ehub-overload-{:016x}", rand::random::<u64>()));
        report().write(&folder.join("inner")).unwrap();
        let page = fs::read_to_string(folder.join("inner/report.md")).unwrap();
        assert!(page.starts_with("# Overload: bounds MISSED\n\n2023-11-14 22:13 UTC"), "{page}");
        let text = fs::read_to_string(folder.join("inner/report.json")).unwrap();
        let json: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["mix"], "shop");
        assert_eq!(json["measured"]["rounds"][0]["overload"]["rate"], 500);
        assert_eq!(json["measured"]["rounds"][1]["peaks"][1]["rate"], 200);
        assert_eq!(
            json["missed"],
            json!([
                "25.6 % of the peak goodput was left under overload, not 80 %",
                "the fleet was not well again after each overload in the 0 s in which it was watched",
            ])
        );
        fs::remove_dir_all(&folder).unwrap();
    }
}
