//! The report of a measurement: for people and for programs.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use serde::Serialize;

use super::measured::{Bounds, Figures, Phase, Turn};
use crate::ui;

/// What was measured, where, and whether it is within its bounds.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// When.
    pub at: DateTime<Utc>,
    /// Processors of the machine, which the fleet and the load share.
    pub processors: usize,
    /// Calls of customers in a second.
    pub rate: u32,
    /// For how long each neighbour was away, in seconds.
    pub away_s: u64,
    /// The figures, neighbour by neighbour.
    pub turns: Vec<Turn>,
    /// What is allowed.
    pub bounds: Bounds,
    /// What is not within it, in words.
    pub missed: Vec<String>,
}

impl Report {
    /// Writes `report.md` and `report.json` into a folder, which is made if it is missing.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let verdict = if self.missed.is_empty() { "within the bounds" } else { "bounds MISSED" };
        let missed = self.missed.iter().map(|what| format!("\n- {what}"));
        let missed = missed.collect::<Vec<_>>().concat();
        let page = format!(
            "# Neighbours that go away: {verdict}\n\n{}, {} processors\n\n```\n{self}```\n{missed}",
            self.at.format("%Y-%m-%d %H:%M UTC"),
            self.processors
        );
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(folder.join("report.md"), page.trim_end().to_owned() + "\n"))
            .with_context(|| format!("{} cannot be written", folder.display()))?;
        Ok(fs::write(folder.join("report.json"), serde_json::to_vec_pretty(self)?)?)
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let head = [
            "away",
            "calls",
            "requests",
            "failed",
            "longest",
            "back: requests",
            "failed",
            "longest",
            "well again",
        ];
        let turns = self.turns.iter().flat_map(rows_of);
        std::iter::once(head.map(str::to_owned).to_vec()).chain(turns).collect()
    }
}

fn rows_of(turn: &Turn) -> Vec<Vec<String>> {
    let mut name = std::iter::once(turn.neighbour.to_string());
    let mut again = std::iter::once(well_again(turn));
    let kinds = turn.away.kinds().into_iter().zip(turn.after.kinds());
    kinds
        .map(|((kind, away), (_, after))| {
            let start = vec![name.next().unwrap_or_default(), kind.to_owned()];
            let end = vec![again.next().unwrap_or_default()];
            [start, cells(away), cells(after), end].concat()
        })
        .collect()
}

fn cells(figures: Figures) -> Vec<String> {
    let Figures { calls, failed, longest_ms } = figures;
    let share = figures.failed_percent();
    vec![calls.to_string(), format!("{failed} ({share:.2} %)"), format!("{longest_ms} ms")]
}

fn well_again(turn: &Turn) -> String {
    match turn.recovered_after_s {
        Some(seconds) => format!("after {seconds} s"),
        None => "never".to_owned(),
    }
}

/// How calls were answered where some of them failed.
fn answers_of(turn: &Turn) -> Vec<String> {
    let mut lines = Vec::new();
    for (when, phase) in [("away", &turn.away), ("back", &turn.after)] {
        let Phase { reads, checkouts, logins, .. } = phase;
        for (what, failed, answers) in [
            ("reads and checkouts", reads.failed + checkouts.failed, &phase.answers),
            ("logins", logins.failed, &phase.login_answers),
        ] {
            if failed > 0 {
                let counts = counts(answers);
                lines.push(format!("  {} ({when}): {what} got {counts}", turn.neighbour));
            }
        }
    }
    lines
}

fn counts(answers: &BTreeMap<String, u64>) -> String {
    let parts = answers.iter().map(|(answer, count)| format!("{answer} x {count}"));
    parts.collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rate, away_s, bounds, .. } = self;
        write!(f, "{}", ui::table(&self.rows()))?;
        for line in self.turns.iter().flat_map(answers_of) {
            writeln!(f, "{line}")?;
        }
        writeln!(
            f,
            "  {rate} calls of customers a second and {} logins; each neighbour was away for {away_s} s",
            super::LOGIN_RATE
        )?;
        writeln!(
            f,
            "  bounds: an answer within {} ms, all well again within {} s",
            bounds.answer_ms, bounds.recovery_s
        )
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::measured::tests::{BOUNDS, turn};
    use super::super::neighbour::Neighbour;
    use super::*;

    fn report() -> Report {
        let mut locked_out = turn(Neighbour::AuthServiceKilled);
        locked_out.away.logins = Figures { calls: 40, failed: 40, longest_ms: 3 };
        locked_out.away.login_answers.insert("503".to_owned(), 40);
        locked_out.recovered_after_s = None;
        let turns = vec![turn(Neighbour::Redis), locked_out];
        Report {
            at: DateTime::from_timestamp(1_700_000_000, 0).unwrap(),
            processors: 2,
            rate: 20,
            away_s: 20,
            missed: turns.iter().flat_map(|turn| turn.missed(BOUNDS)).collect(),
            turns,
            bounds: BOUNDS,
        }
    }

    #[test]
    fn people_read_who_was_away_and_what_that_did() {
        let text = report().to_string();
        let lines: Vec<String> = text
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        for expected in [
            "Redis, frozen reads 100 0 (0.00 %) 90 ms 100 0 (0.00 %) 90 ms after 0 s",
            "checkouts 100 0 (0.00 %) 90 ms 100 0 (0.00 %) 90 ms",
            "logins 40 40 (100.00 %) 3 ms 100 0 (0.00 %) 90 ms",
            "auth-service, killed (away): logins got 503 x 40",
            "bounds: an answer within 11000 ms, all well again within 30 s",
        ] {
            assert!(lines.iter().any(|line| line == expected), "{expected}: {text}");
        }
        assert!(text.contains("never"), "{text}");
    }

    #[test]
    fn programs_read_the_same_in_a_file() {
        let folder =
            std::env::temp_dir().join(format!("ehub-neighbours-{:016x}", rand::random::<u64>()));
        report().write(&folder.join("inner")).unwrap();
        let page = fs::read_to_string(folder.join("inner/report.md")).unwrap();
        assert!(
            page.starts_with("# Neighbours that go away: bounds MISSED\n\n2023-11-14"),
            "{page}"
        );
        assert!(page.contains("\n- auth-service, killed: no 5 seconds"), "{page}");
        let text = fs::read_to_string(folder.join("inner/report.json")).unwrap();
        let json: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["turns"][1]["neighbour"], "auth-service-killed");
        assert_eq!(json["turns"][1]["away"]["logins"]["failed"], 40);
        assert_eq!(json["missed"].as_array().map(Vec::len), Some(1));
        fs::remove_dir_all(&folder).unwrap();
    }
}
