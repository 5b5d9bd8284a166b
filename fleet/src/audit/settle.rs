//! Waiting until a fleet is quiet: everything that will still happen by itself has happened.

use std::time::Duration;

use anyhow::Result;
use tokio::sync::Mutex;

use super::provider::{self, Provider};
use super::snapshot::Snapshot;
use super::{Report, Sources, checks, queues};
use crate::wait;

/// What is still under way, by what one would call it.
///
/// A payment that the provider has not decided is not among it: it may never be decided.
const UNDER_WAY: &[(&str, &str)] = &[
    (
        "events to be published",
        "SELECT (SELECT COUNT(*) FROM {order}.outbox) + (SELECT COUNT(*) FROM {payment}.outbox) \
         + (SELECT COUNT(*) FROM {user}.outbox) + (SELECT COUNT(*) FROM {auth}.outbox)",
    ),
    ("refunds", "SELECT COUNT(*) FROM {order}.refunds WHERE done_at IS NULL"),
    (
        "refunds at the provider",
        "SELECT COUNT(*) FROM {payment}.refunds WHERE status <> 'SUCCEEDED'",
    ),
    (
        "attempts whose payment is settled or was never received",
        "SELECT COUNT(*) FROM {order}.payment_attempts a \
         LEFT JOIN {payment}.payments p ON p.id = a.id \
         WHERE a.outcome IS NULL AND (p.id IS NULL OR p.status NOT IN ('INITIATED', 'PENDING'))",
    ),
    (
        "payments that were begun",
        "SELECT COUNT(*) FROM {payment}.payments WHERE status = 'INITIATED'",
    ),
];

const DECIDED: &str = "SELECT COUNT(*) FROM {payment}.payments p \
    JOIN {payment}.provider_charges c ON c.reference = p.id \
    WHERE p.status = 'PENDING' AND c.captured IS NOT NULL";
const PENDING: &str = "SELECT id FROM {payment}.payments WHERE status = 'PENDING'";

/// Waits; that the time was too short is told by a note, not by an error.
pub(super) async fn until_quiet(
    sources: &Sources,
    limit: Duration,
    report: &mut Report,
) -> Result<()> {
    let impatient = Sources { grace: Duration::ZERO, ..sources.clone() };
    let present = Mutex::new(Snapshot::connect(&impatient).await?);
    let last = Mutex::new(Vec::new());
    let quiet = wait::until("being quiet", limit, || async {
        let found = under_way(&mut *present.lock().await, sources).await?;
        let is_quiet = found.is_empty();
        *last.lock().await = found;
        Ok(is_quiet.then_some(()))
    })
    .await;
    let left = last.into_inner();
    match quiet {
        Ok(()) => {}
        Err(_) if !left.is_empty() => {
            let (seconds, left) = (limit.as_secs(), left.join(", "));
            report.notes.push(format!("not quiet after {seconds} s: {left}"));
        }
        Err(error) => return Err(error),
    }
    present.into_inner().close().await
}

async fn under_way(present: &mut Snapshot, sources: &Sources) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for (what, sql) in UNDER_WAY {
        let count = present.count(sql).await?;
        if count > 0 {
            found.push(format!("{count} {what}"));
        }
    }
    let decided = decided(present, &sources.provider).await?;
    if decided > 0 {
        found.push(format!("{decided} payments that the provider has decided"));
    }
    // The effects of events last: these questions are larger than the others. The broker itself
    // tells of its queues with a delay, so it is asked only what its consumers cannot tell.
    if found.is_empty() {
        for check in checks::effects() {
            let count = present.count(&format!("SELECT COUNT(*) FROM ({}) v", check.sql)).await?;
            if count > 0 {
                found.push(format!("{count} of {}", check.name));
            }
        }
    }
    let backlog = if found.is_empty() { queues::backlog(sources).await? } else { None };
    if let Some(messages) = backlog.filter(|messages| *messages > 0) {
        found.push(format!("{messages} messages in queues"));
    }
    Ok(found)
}

async fn decided(present: &mut Snapshot, provider: &Provider) -> Result<u64> {
    if *provider == Provider::Simulated {
        return present.count(DECIDED).await;
    }
    let pending: Vec<(uuid::Uuid,)> = present.rows(PENDING).await?;
    if pending.is_empty() {
        return Ok(0);
    }
    let charges = provider::read_foreign(provider).await?.unwrap_or_default();
    let is_pending = |charge: &&provider::Charge| {
        charge.standing != provider::Standing::Pending
            && pending.iter().any(|(id,)| *id == charge.reference)
    };
    Ok(charges.iter().filter(is_pending).count() as u64)
}
