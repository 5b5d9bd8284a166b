//! Which action leads to which failpoint.

/// A way to a failpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// An order is placed with this payment method.
    Place(&'static str),
    /// A declined order is paid again.
    Pay,
    /// A declined order is cancelled.
    Cancel,
    /// A declined order is overdue.
    Expire,
    /// A paid order is refunded.
    Refund,
    /// The process is asked to end.
    End,
}

/// A failpoint with its way.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The failpoint.
    pub point: &'static str,
    /// The service that dies.
    pub service: &'static str,
    /// What leads there.
    pub way: Way,
}

const fn row(point: &'static str, service: &'static str, way: Way) -> Row {
    Row { point, service, way }
}

const ORDER: &str = "order-service";
const PAYMENT: &str = "payment-service";
const NOTIFY: &str = "notify-service";

/// Every failpoint that the kill matrix reaches.
pub const ROWS: &[Row] = &[
    row("order.place.before_insert", ORDER, Way::Place("pm_ok")),
    row("order.place.before_commit", ORDER, Way::Place("pm_ok")),
    row("order.place.committed", ORDER, Way::Place("pm_ok")),
    row("order.pay.before_call", ORDER, Way::Pay),
    row("order.pay.in_call", ORDER, Way::Place("pm_slow_2s")),
    row("order.pay.answered", ORDER, Way::Pay),
    row("order.settled", ORDER, Way::Place("pm_ok")),
    row("order.answer.stored", ORDER, Way::Place("pm_ok")),
    row("order.cancel.before_commit", ORDER, Way::Cancel),
    row("order.cancel.committed", ORDER, Way::Cancel),
    row("order.expire.before_commit", ORDER, Way::Expire),
    row("order.refund.committed", ORDER, Way::Refund),
    row("order.refund.answered", ORDER, Way::Refund),
    row("payment.intent.committed", PAYMENT, Way::Place("pm_ok")),
    row("payment.capture.answered", PAYMENT, Way::Place("pm_ok")),
    row("payment.settled", PAYMENT, Way::Place("pm_ok")),
    row("payment.callback.before_commit", PAYMENT, Way::Place("pm_pending_then_ok")),
    row("payment.callback.committed", PAYMENT, Way::Place("pm_pending_then_ok")),
    row("payment.refund.committed", PAYMENT, Way::Refund),
    row("payment.refund.answered", PAYMENT, Way::Refund),
    row("notify.before_commit", NOTIFY, Way::Place("pm_ok")),
    row("consumer.received", NOTIFY, Way::Place("pm_ok")),
    row("consumer.committed", NOTIFY, Way::Place("pm_ok")),
    row("consumer.received", ORDER, Way::Place("pm_pending_then_ok")),
    row("consumer.committed", ORDER, Way::Place("pm_pending_then_ok")),
    row("outbox.claimed", ORDER, Way::Place("pm_ok")),
    row("outbox.published", ORDER, Way::Place("pm_ok")),
    row("outbox.confirmed", ORDER, Way::Place("pm_ok")),
    row("outbox.claimed", PAYMENT, Way::Place("pm_ok")),
    row("outbox.published", PAYMENT, Way::Place("pm_ok")),
    row("outbox.confirmed", PAYMENT, Way::Place("pm_ok")),
    row("run.draining", ORDER, Way::End),
    row("run.draining", PAYMENT, Way::End),
    row("run.draining", NOTIFY, Way::End),
];

/// Failpoints that no row leads to, with the reason.
pub const ELSEWHERE: &[(&str, &str)] = &[(
    "notify.replay.before_commit",
    "an administrator replays; notify-service's own tests kill there",
)];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// Names in the source, wherever a failpoint is marked outside of tests of the macro itself.
    fn marked(folder: &Path, names: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                marked(&path, names);
            } else if path.extension().is_some_and(|end| end == "rs")
                && !path.ends_with("chassis/src/failpoint.rs")
            {
                let text = std::fs::read_to_string(&path).unwrap();
                let parts = text.split("failpoint!(\"").skip(1);
                names.extend(parts.filter_map(|part| part.split('"').next()).map(str::to_owned));
            }
        }
    }

    #[test]
    fn every_failpoint_of_the_workspace_has_a_way_or_a_reason() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut names = BTreeSet::new();
        for member in
            ["chassis", "gateway-service", ORDER, PAYMENT, NOTIFY, "auth-service", "user-service"]
        {
            marked(&root.join(member).join("src"), &mut names);
        }
        let known: BTreeSet<&str> =
            ROWS.iter().map(|row| row.point).chain(ELSEWHERE.iter().map(|one| one.0)).collect();
        let missing: Vec<_> = names.iter().filter(|name| !known.contains(name.as_str())).collect();
        assert!(!names.is_empty() && missing.is_empty(), "no way leads to {missing:?}");
    }

    #[test]
    fn the_schedules_arm_only_points_that_a_way_leads_to() {
        use super::super::super::catalogue::{ALL, Means};
        for fault in ALL {
            let Means::Crash(service, points) = fault.means else { continue };
            for point in points {
                let leads = |row: &&Row| row.point == *point && row.service == service;
                assert!(ROWS.iter().any(|row| leads(&row)), "{}: {point}", fault.id);
            }
        }
    }
}
