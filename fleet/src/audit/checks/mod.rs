//! The questions to the schemas, one file per matter.
//!
//! Every question is one set-based statement over all rows, asked in one snapshot. A question about
//! what has to hold in the end leaves out what is younger than the grace; one about what has to
//! hold at any time leaves out nothing.

mod accounts;
mod chain;
mod events;
mod history;
mod keys;
mod log;
mod money;
mod orders;
mod payments;
mod stock;

use anyhow::Result;

use super::snapshot::{Check, Snapshot};
use super::{Report, graph};

/// Every question that needs nothing but the schemas as they always are.
pub const ALL: &[&[Check]] =
    &[orders::CHECKS, payments::CHECKS, money::CHECKS, events::CHECKS, accounts::CHECKS];

/// What every event has to come to: as long as one of these finds something, events are under way.
const EFFECTS: [&str; 3] =
    ["transition_not_told", "payment_event_not_applied", "user_not_welcomed"];

/// The questions about the audit log that need no key.
pub fn of_log() -> impl Iterator<Item = &'static str> {
    log::names()
}

/// The questions whose answers become fewer by themselves while events are under way.
pub(super) fn effects() -> impl Iterator<Item = &'static Check> {
    events::CHECKS.iter().filter(|check| EFFECTS.contains(&check.name))
}

const COUNTED: &[(&str, &str)] = &[
    ("orders", "{order}.orders"),
    ("order transitions", "{order}.order_history"),
    ("attempts", "{order}.payment_attempts"),
    ("payments", "{payment}.payments"),
    ("ledger entries", "{payment}.ledger_entries"),
    ("notifications", "{notify}.notifications"),
    ("sessions", "{auth}.sessions"),
    ("users", "{user}.users"),
];

pub(super) async fn run(snapshot: &mut Snapshot, report: &mut Report) -> Result<()> {
    for (kind, table) in COUNTED {
        let count = snapshot.count(&format!("SELECT COUNT(*) FROM {table}")).await?;
        report.counts.insert(kind, count);
    }
    for check in ALL.iter().copied().flatten() {
        snapshot.ask(check, report).await?;
    }
    history::check(snapshot, report).await?;
    keys::check_unique_keys(snapshot, report).await?;
    chain::check(snapshot, report).await?;
    log::check(snapshot, report).await?;
    stock::check(snapshot, report).await?;
    tell_of_the_unfinished(snapshot, report).await
}

/// What is under way is no violation, yet whoever reads the report wants to know.
async fn tell_of_the_unfinished(snapshot: &mut Snapshot, report: &mut Report) -> Result<()> {
    let open = "SELECT COUNT(*) FROM {order}.payment_attempts WHERE outcome IS NULL";
    let refunds = "SELECT COUNT(*) FROM {order}.refunds WHERE done_at IS NULL";
    let leased = "SELECT COUNT(*) FROM {order}.idempotency_claims WHERE answer IS NULL";
    for (what, sql) in [
        ("attempts are not settled", open),
        ("refunds are under way", refunds),
        ("keyed calls have no answer yet", leased),
    ] {
        let count = snapshot.count(sql).await?;
        if count > 0 {
            report.notes.push(format!("{count} {what}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn effects_of_events_are_asked_for_by_name() {
        assert_eq!(effects().count(), EFFECTS.len());
    }

    #[test]
    fn names_of_checks_are_unique() {
        let names: Vec<_> = ALL.iter().copied().flatten().map(|check| check.name).collect();
        let distinct: BTreeSet<_> = names.iter().collect();
        assert_eq!(names.len(), distinct.len());
    }
}
