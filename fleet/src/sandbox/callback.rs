//! Plans whom a decision is told, and in what words.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use super::charge::Charge;
use super::entry::Delivery;
use super::method::{Scenario, Verdict};
use super::script::CallbackFate;
use crate::random;

/// How long `payment.pending` lags behind what it should have preceded.
const REORDERED_BY: TimeDelta = TimeDelta::milliseconds(200);

/// The deliveries that follow a decision.
pub(super) fn plan(
    charge: &Charge,
    verdict: &Verdict,
    fate: CallbackFate,
    now: DateTime<Utc>,
) -> Vec<Delivery> {
    let usual = Scenario::of(&charge.method).callbacks;
    if usual.copies == 0 || fate.is_lost {
        return Vec::new();
    }
    let copies = fate.copies.map_or(usual.copies, |copies| copies.max(usual.copies));
    let due_at = now + delta(usual.delay) + delta(fate.delay);
    let off = i64::from(usual.wrong_amount || fate.wrong_amount);
    let (kind, reason) = match verdict {
        Verdict::Captured => ("payment.succeeded", None),
        Verdict::Declined(reason) => ("payment.failed", Some(reason.as_str())),
    };
    let (event, body) = event(charge, kind, (charge.amount + off, reason));
    let mut deliveries: Vec<Delivery> = (1..=copies)
        .map(|copy| Delivery {
            key: format!("{event}/{copy}"),
            body: body.clone(),
            due_at,
            after: None,
        })
        .collect();
    if usual.reordered || fate.reordered {
        deliveries.push(straggler(charge, &event, due_at));
    }
    deliveries
}

/// The news that the charge is pending, after that of its decision.
fn straggler(charge: &Charge, event_before: &str, due_at: DateTime<Utc>) -> Delivery {
    let (event, body) = event(charge, "payment.pending", (charge.amount, None));
    Delivery {
        key: format!("{event}/1"),
        body,
        due_at: due_at + REORDERED_BY,
        after: Some(format!("{event_before}/1")),
    }
}

fn event(charge: &Charge, kind: &str, says: (i64, Option<&str>)) -> (String, String) {
    let (amount, reason) = says;
    let event = format!("evt_{}", random::token());
    let mut body = json!({
        "id": event,
        "type": kind,
        "reference": charge.reference,
        "provider_reference": charge.provider_reference,
        "amount": amount,
        "currency": charge.currency,
    });
    if let Some(reason) = reason {
        body["reason"] = reason.into();
    }
    (event, body.to_string())
}

fn delta(duration: std::time::Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::zero())
}
