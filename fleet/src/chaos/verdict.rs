//! The verdict on a fleet at rest: the clients' own records, and the audit of what is stored.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use super::arena::Arena;
use super::checks::{self, Terms, Violation};
use super::history::{Call, History};
use super::setup;
use super::standing::Standing;
use crate::audit::{self, Sources};
use crate::seed;

/// How much longer than its limit a reply may take: the way back, and a busy machine.
const TOLERANCE: (u64, u64) = (11, 10);

/// Unpaid orders have to be over within this time: three times as long as they may stay unpaid here.
const END: Duration = Duration::from_mins(1);

/// What the audit finds when a queue was deleted with events in it. They are gone by the will of
/// whoever deleted it; what order-service makes of that is judged by all the other checks.
const LOST_WITH_QUEUE: &str = "payment_event_not_applied";

/// What both judges say.
#[derive(Debug)]
pub struct Verdict {
    /// Everything that is wrong.
    pub violations: Vec<Violation>,
    /// What the audit looked at.
    pub audit: String,
    /// The history as it was judged.
    pub calls: Vec<Call>,
}

/// Judges a fleet at rest, once its unpaid orders have expired.
pub async fn reach(arena: &Arena, history: &History) -> Result<Verdict> {
    let ended = Standing::end(&arena.fleet, arena.provider.as_ref(), END).await?;
    let calls = history.calls()?;
    let terms = Terms {
        longest_ms: setup::REQUEST_LIMIT_MS * TOLERANCE.0 / TOLERANCE.1,
        gateway_outages: arena.outages.clone(),
    };
    let mut violations = checks::examine(&calls, &terms);
    if let Err(left) = ended {
        let limit = format!("{} s", END.as_secs());
        violations.push(Violation::new("unpaid orders expire", limit, left.to_string()));
    }
    let report = audit::run(&sources(arena, history.path().to_path_buf())).await?;
    let is_lost = |check: &str| arena.queues_deleted > 0 && check == LOST_WITH_QUEUE;
    let kept = report.violations.iter().filter(|one| !is_lost(one.check));
    violations.extend(kept.map(|one| {
        let check = format!("{}: {}", one.invariant, one.check);
        Violation::new(check, one.subject.clone(), one.detail.clone())
    }));
    let counts: Vec<String> =
        report.counts.iter().map(|(what, count)| format!("{count} {what}")).collect();
    Ok(Verdict { violations, audit: counts.join(", "), calls })
}

fn sources(arena: &Arena, history: PathBuf) -> Sources {
    let fleet = &arena.fleet;
    Sources {
        provider: fleet.provider_ledger(),
        management: fleet.addresses().amqp_management.clone(),
        namespace: fleet.namespace().to_owned(),
        history: Some(history),
        audit_keys: fleet.audit_sources().audit_keys,
        stock: [(seed::DEMO_SKU.to_owned(), setup::STOCK)].into(),
        planted: u64::try_from(arena.poisoned).unwrap_or(u64::MAX),
        // The fleet is at rest: nothing is excused by its age.
        grace: Duration::ZERO,
        ..Sources::of(fleet.addresses().mysql.clone(), format!("{}_hub_", fleet.namespace()))
    }
}
