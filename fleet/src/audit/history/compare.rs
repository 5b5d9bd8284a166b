//! What a client was told must be so.

use std::collections::{BTreeSet, HashMap};

use anyhow::Result;
use uuid::Uuid;

use super::stored::{Key, Stored};
use super::{Call, Op, Outcome};
use crate::audit::snapshot::Snapshot;
use crate::audit::{Invariant, Report};

const REPLIES: (Invariant, &str) = (Invariant::new(7), "replies_to_one_key_differ");
const BODIES: (Invariant, &str) = (Invariant::new(7), "key_accepted_for_two_requests");
const LOST: (Invariant, &str) = (Invariant::new(8), "acknowledged_write_is_lost");
const NEVER: (Invariant, &str) = (Invariant::new(8), "answer_tells_what_never_was");
const REFUSED: (Invariant, &str) = (Invariant::new(9), "refused_call_has_an_effect");
const TWICE: (Invariant, &str) = (Invariant::new(10), "keyed_call_has_two_effects");
const FOREIGN: (Invariant, &str) = (Invariant::new(19), "reply_about_another_users_order");

/// Compares every call with what is stored.
pub(in crate::audit) async fn check(
    snapshot: &mut Snapshot,
    calls: &[Call],
    report: &mut Report,
) -> Result<()> {
    report.counts.insert("client calls", calls.len() as u64);
    let stored = Stored::load(snapshot, calls).await?;
    judge(calls, &stored, report);
    Ok(())
}

fn judge(calls: &[Call], stored: &Stored, report: &mut Report) {
    for (invariant, name) in [REPLIES, BODIES, LOST, NEVER, REFUSED, TWICE, FOREIGN] {
        report.checked(invariant, name);
    }
    for call in calls.iter().filter(|call| call.outcome == Outcome::Ok) {
        judge_answer(call, stored, report);
    }
    let mut keyed: HashMap<Key, Vec<&Call>> = HashMap::new();
    for call in calls {
        if let (Some(operation), Some(key)) = (call.op.operation(), &call.key) {
            keyed.entry((call.user_id, operation, key.clone())).or_default().push(call);
        }
    }
    for (key, calls) in &keyed {
        judge_key(key, calls, stored, report);
    }
}

/// An answer names an order of the caller's, in a state that it was in.
fn judge_answer(call: &Call, stored: &Stored, report: &mut Report) {
    let Some(order) = call.order_id else { return };
    let Some(owner) = stored.owners.get(&order) else {
        let detail = format!("{} {} answered {}", call.method, call.route, call.status);
        return report.add(LOST, order, format!("{detail}; the order does not exist"));
    };
    if call.op == Op::Place && *owner != call.user_id {
        report.add(FOREIGN, order, format!("belongs to {owner}, told to {}", call.user_id));
    }
    if let Some(status) = &call.order_status
        && !stored.was(order, status, call.order_version)
    {
        let version = call.order_version.map(|v| format!(" with version {v}")).unwrap_or_default();
        report.add(NEVER, order, format!("was told to be {status}{version} and never was"));
    }
    let reached = match call.op {
        Op::Cancel => "CANCELLED",
        Op::Refund => "REFUNDING",
        Op::Place => "CREATED",
        Op::Pay | Op::Read => return,
    };
    if !stored.was(order, reached, None) {
        report.add(LOST, order, format!("{:?} was acknowledged, never {reached}", call.op));
    }
}

fn judge_key(key: &Key, calls: &[&Call], stored: &Stored, report: &mut Report) {
    let subject = format!("{} {} {}", key.0, key.1, key.2);
    let accepted: Vec<&&Call> = calls.iter().filter(|c| c.outcome == Outcome::Ok).collect();
    let claimed = stored.order_of(key);
    if calls.iter().all(|call| call.is_refused())
        && let Some(order) = claimed
    {
        report.add(REFUSED, subject.clone(), format!("every call was refused, order {order}"));
    }
    if let Some(call) = accepted.first()
        && claimed.is_none()
    {
        let order = call.order_id.map_or_else(|| "no order".to_owned(), |order| order.to_string());
        report.add(LOST, subject.clone(), format!("was answered with {order}, no key is stored"));
    }
    let replies = distinct(accepted.iter().filter_map(|call| call.reply_sha256.as_deref()));
    if replies > 1 {
        report.add(REPLIES, subject.clone(), format!("{replies} different replies"));
    }
    let bodies = distinct(accepted.iter().filter_map(|call| call.body_sha256.as_deref()));
    if bodies > 1 {
        report.add(BODIES, subject.clone(), format!("{bodies} different requests were accepted"));
    }
    let told = accepted.iter().filter_map(|call| call.order_id);
    let orders: BTreeSet<Uuid> = told.chain(claimed).collect();
    if orders.len() > 1 {
        let list: Vec<String> = orders.iter().map(Uuid::to_string).collect();
        report.add(TWICE, subject, format!("orders {}", list.join(", ")));
    }
}

fn distinct<'a>(values: impl Iterator<Item = &'a str>) -> usize {
    values.collect::<BTreeSet<_>>().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: Uuid = Uuid::from_u128(1);
    const ORDER: Uuid = Uuid::from_u128(2);

    fn call(op: Op, outcome: Outcome) -> Call {
        Call {
            op,
            user_id: USER,
            order_id: Some(ORDER),
            key: Some("k".to_owned()),
            method: "POST".to_owned(),
            route: "/api/v1/orders".to_owned(),
            body_sha256: Some("aa".to_owned()),
            outcome,
            status: 201,
            code: None,
            reply_sha256: Some("bb".to_owned()),
            order_status: Some("PAID".to_owned()),
            order_version: Some(2),
        }
    }

    fn stored() -> Stored {
        let mut stored = Stored::default();
        stored.owners.insert(ORDER, USER);
        let states = [(1, "CREATED".to_owned()), (2, "PAID".to_owned())];
        stored.states.insert(ORDER, states.to_vec());
        stored.claims.insert((USER, "create_order".to_owned(), "k".to_owned()), ORDER);
        stored
    }

    fn found(calls: &[Call], stored: &Stored) -> Vec<&'static str> {
        let mut report = Report::default();
        judge(calls, stored, &mut report);
        report.violations.iter().map(|violation| violation.check).collect()
    }

    #[test]
    fn a_call_with_its_retry_is_no_violation() {
        let unknown = Call { order_id: None, ..call(Op::Place, Outcome::Unknown) };
        let calls = [unknown, call(Op::Place, Outcome::Ok), call(Op::Place, Outcome::Ok)];
        assert!(found(&calls, &stored()).is_empty());
    }

    #[test]
    fn another_reply_or_request_under_a_key_is_named() {
        let mut second = call(Op::Place, Outcome::Ok);
        second.reply_sha256 = Some("cc".to_owned());
        assert_eq!(found(&[call(Op::Place, Outcome::Ok), second], &stored()), [REPLIES.1]);
        let mut second = call(Op::Place, Outcome::Ok);
        second.body_sha256 = Some("dd".to_owned());
        assert_eq!(found(&[call(Op::Place, Outcome::Ok), second], &stored()), [BODIES.1]);
    }

    #[test]
    fn lost_and_invented_answers_are_named() {
        let names = found(&[call(Op::Place, Outcome::Ok)], &Stored::default());
        assert_eq!(names, [LOST.1, LOST.1]);
        let mut shipped = call(Op::Read, Outcome::Ok);
        shipped.order_status = Some("SHIPPED".to_owned());
        assert_eq!(found(&[shipped], &stored()), [NEVER.1]);
        let mut cancelled = call(Op::Cancel, Outcome::Ok);
        cancelled.key = None;
        assert_eq!(found(&[cancelled], &stored()), [LOST.1]);
    }

    #[test]
    fn effects_of_refused_calls_and_second_effects_are_named() {
        let refused = Call { order_id: None, ..call(Op::Place, Outcome::Refused) };
        assert_eq!(found(std::slice::from_ref(&refused), &stored()), [REFUSED.1]);
        let code = Some("IDEMPOTENCY_IN_PROGRESS".to_owned());
        assert!(found(&[refused.clone(), Call { code, ..refused }], &stored()).is_empty());
        let mut stored = stored();
        let other = Uuid::from_u128(3);
        stored.owners.insert(other, USER);
        stored.states.insert(other, stored.states[&ORDER].clone());
        let second = Call { order_id: Some(other), ..call(Op::Place, Outcome::Ok) };
        assert_eq!(found(&[call(Op::Place, Outcome::Ok), second], &stored), [TWICE.1]);
    }

    #[test]
    fn an_order_of_another_user_is_named() {
        let mut stored = stored();
        stored.owners.insert(ORDER, Uuid::from_u128(9));
        assert_eq!(found(&[call(Op::Place, Outcome::Ok)], &stored), [FOREIGN.1]);
    }
}
