//! What a run has come to.

use std::fmt;
use std::time::Duration;

use crate::audit;
use crate::ui;

/// One process that was replaced, or another thing that was done, and what the customers saw.
#[derive(Clone, Debug)]
pub struct Turn {
    /// Which round, from one.
    pub round: usize,
    /// What was replaced.
    pub what: String,
    /// How long that took.
    pub took: Duration,
    /// Requests meanwhile.
    pub requests: usize,
    /// Those of them that failed.
    pub failed: usize,
}

/// What a run has come to.
#[derive(Debug)]
pub struct Report {
    /// All turns, in order.
    pub turns: Vec<Turn>,
    /// All requests.
    pub requests: usize,
    /// Orders that were acknowledged.
    pub orders: usize,
    /// How many requests failed, and the first of them.
    pub failures: (usize, Vec<String>),
    /// States of orders, if they are not all paid, and no more and no fewer than were acknowledged.
    pub unpaid: Vec<(String, i64)>,
    /// Whether the books are true.
    pub audit: audit::Report,
}

impl Report {
    /// Whether nothing was lost.
    pub fn is_clean(&self) -> bool {
        self.failures.0 == 0 && self.unpaid.is_empty() && self.audit.is_clean()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["round", "replaced", "took", "requests", "failed"].map(str::to_owned);
        let row = |turn: &Turn| {
            let Turn { round, what, took, requests, failed } = turn;
            let (round, took) = (round.to_string(), ui::seconds(*took));
            vec![round, what.clone(), took, requests.to_string(), failed.to_string()]
        };
        let rows: Vec<_> = [head.to_vec()].into_iter().chain(self.turns.iter().map(row)).collect();
        write!(f, "{}", ui::table(&rows))?;
        let (failed, shown) = &self.failures;
        writeln!(f, "{} requests, {failed} failed; {} orders", self.requests, self.orders)?;
        for failure in shown {
            writeln!(f, "  failed: {failure}")?;
        }
        for (state, count) in &self.unpaid {
            writeln!(f, "  orders: {count} {state}")?;
        }
        write!(f, "{}", self.audit)
    }
}
