//! The broker's queues: empty when the fleet is quiet, without letters that nobody collects.

use std::time::Duration;

use anyhow::Result;

use super::snapshot::Snapshot;
use super::{Invariant, Report, Sources};
use crate::middleware::queues::{self, Queue};
use crate::wait;

/// The management API tells counts that are some seconds old.
const STALE: Duration = Duration::from_secs(15);
const MAIN: &str = "queue_not_empty";
const DEAD: &str = "dead_letters_are_not_the_planted_ones";
const OPEN: &str = "SELECT CONVERT(event_id USING utf8mb4), CONVERT(reason USING utf8mb4) \
    FROM {notify}.dead_letters WHERE status = 'OPEN' ORDER BY id";

/// Looks at the queues of the fleet's name space; returns how many dead letters nobody has
/// collected.
pub(super) async fn check(sources: &Sources, report: &mut Report) -> Result<u64> {
    let invariant = const { Invariant::new(16) };
    let Some(mut queues) = list(sources).await? else {
        report.could_not_see(invariant, "no management API of the broker was named");
        return Ok(0);
    };
    if sources.grace.is_zero() && queues.iter().any(Queue::is_busy) {
        // That the time was too short is told below, by queue.
        let emptied = wait::until("queues being empty", STALE, || async {
            let queues = list(sources).await?.unwrap_or_default();
            Ok((!queues.iter().any(Queue::is_busy)).then_some(queues))
        });
        queues = match emptied.await {
            Ok(queues) => queues,
            Err(_) => list(sources).await?.unwrap_or_default(),
        };
    }
    report.checked(invariant, MAIN);
    report.counts.insert("queues", queues.len() as u64);
    for Queue { name, messages, .. } in queues.iter().filter(|queue| queue.is_busy()) {
        if sources.grace.is_zero() {
            report.add((invariant, MAIN), name.clone(), format!("{messages} messages"));
        } else {
            report.notes.push(format!("queue {name} holds {messages} messages"));
        }
    }
    Ok(queues.iter().filter(|queue| queue.is_dead()).map(|queue| queue.messages).sum())
}

/// Compares the dead letters, collected or not, with those that somebody planted.
pub(super) async fn check_dead_letters(
    snapshot: &mut Snapshot,
    (uncollected, planted): (u64, u64),
    report: &mut Report,
) -> Result<()> {
    let invariant = const { Invariant::new(16) };
    report.checked(invariant, DEAD);
    let open: Vec<(String, String)> = snapshot.rows(OPEN).await?;
    let total = open.len() as u64 + uncollected;
    if total == planted {
        return Ok(());
    }
    if planted > 0 || uncollected > 0 {
        let detail = format!("{total} instead of {planted}, {uncollected} of them in a queue");
        report.add((invariant, DEAD), "dead letters", detail);
    }
    for (event, reason) in open.iter().filter(|_| planted == 0) {
        report.add((invariant, DEAD), event.clone(), reason.clone());
    }
    Ok(())
}

/// Messages in all queues; `None` when they cannot be seen.
pub(super) async fn backlog(sources: &Sources) -> Result<Option<u64>> {
    let queues = list(sources).await?;
    Ok(queues.map(|queues| queues.iter().filter(|q| q.is_busy()).map(|q| q.messages).sum()))
}

async fn list(sources: &Sources) -> Result<Option<Vec<Queue>>> {
    let Some(management) = &sources.management else { return Ok(None) };
    queues::list(management, &sources.namespace).await.map(Some)
}
