//! Histories: paths in the declared graphs, one version after the other, up to the present state.

use anyhow::Result;

use super::graph;
use crate::audit::snapshot::Snapshot;
use crate::audit::{Invariant, Report};

/// What the histories of orders and of payments have in common.
struct Subject {
    /// Stands before the names of checks.
    name: &'static str,
    rows: &'static str,
    history: &'static str,
    key: &'static str,
}

const SUBJECTS: [Subject; 2] = [
    Subject {
        name: "order",
        rows: "{order}.orders",
        history: "{order}.order_history",
        key: "order_id",
    },
    Subject {
        name: "payment",
        rows: "{payment}.payments",
        history: "{payment}.payment_history",
        key: "payment_id",
    },
];

const NAMES: [[&str; 4]; 2] = [
    [
        "order_step_is_not_declared",
        "order_history_has_a_gap",
        "order_and_its_history_differ",
        "order_history_without_order",
    ],
    [
        "payment_step_is_not_declared",
        "payment_history_has_a_gap",
        "payment_and_its_history_differ",
        "payment_history_without_payment",
    ],
];

pub(super) async fn check(snapshot: &mut Snapshot, report: &mut Report) -> Result<()> {
    for (subject, names) in SUBJECTS.iter().zip(NAMES) {
        for (name, sql) in names.into_iter().zip(subject.questions()) {
            ask(snapshot, report, name, &sql).await?;
        }
    }
    Ok(())
}

async fn ask(
    snapshot: &mut Snapshot,
    report: &mut Report,
    name: &'static str,
    sql: &str,
) -> Result<()> {
    let invariant = const { Invariant::new(6) };
    snapshot.ask_dynamic((invariant, name), sql, report).await
}

impl Subject {
    fn questions(&self) -> [String; 4] {
        [self.undeclared(), self.gaps(), self.differences(), self.orphans()]
    }

    fn undeclared(&self) -> String {
        let Self { history, key, .. } = self;
        let steps = if self.name == "order" {
            format!("cause, to_status) NOT IN ({})", graph::order_steps())
        } else {
            format!("to_status) NOT IN ({})", graph::payment_moves())
        };
        format!(
            "SELECT {{uuid:{key}}} AS subject, CONCAT('version ', version, ' went from ', \
             COALESCE(from_status, 'nothing'), ' to ', to_status, ' by ', cause) AS detail \
             FROM {history} WHERE (COALESCE(from_status, '-'), {steps}"
        )
    }

    /// Each row follows the one before: its version is one more, and it begins where that ended.
    fn gaps(&self) -> String {
        let Self { history, key, .. } = self;
        format!(
            "SELECT {{uuid:h.{key}}} AS subject, CONCAT('version ', h.version, ' begins at ', \
             COALESCE(h.from_status, 'nothing'), '; the version before it ', \
             COALESCE(CONCAT('ended at ', b.to_status), 'is missing')) AS detail \
             FROM {history} h LEFT JOIN {history} b \
             ON b.{key} = h.{key} AND b.version + 1 = h.version \
             WHERE h.version < 1 OR NOT h.from_status <=> b.to_status \
             OR (h.version = 1) <> (h.from_status IS NULL)"
        )
    }

    fn differences(&self) -> String {
        let Self { name, rows, history, key } = self;
        format!(
            "SELECT {{uuid:r.id}} AS subject, CONCAT('{name} is ', r.status, ' with version ', \
             r.version, '; its history ', COALESCE(CONCAT('has ', h.to_status, ' for it and \
             ends at version ', l.version), 'does not have it')) AS detail \
             FROM {rows} r LEFT JOIN {history} h ON h.{key} = r.id AND h.version = r.version \
             LEFT JOIN (SELECT {key}, MAX(version) AS version FROM {history} GROUP BY {key}) l \
             ON l.{key} = r.id \
             WHERE h.{key} IS NULL OR h.to_status <> r.status OR l.version <> r.version"
        )
    }

    fn orphans(&self) -> String {
        let Self { name, rows, history, key } = self;
        format!(
            "SELECT {{uuid:h.{key}}} AS subject, CONCAT('has version ', h.version, ' and no \
             {name}') AS detail FROM {history} h LEFT JOIN {rows} r ON r.id = h.{key} \
             WHERE r.id IS NULL"
        )
    }
}
