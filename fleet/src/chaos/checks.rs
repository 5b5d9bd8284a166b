//! What the clients' own records tell, without a look at any database.
//!
//! Each check names the calls that contradict each other, or the fleet's promise.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::history::{Call, Op, Outcome, text};

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Which check found it.
    pub check: String,
    /// What it is about: an order, a key, a process.
    pub subject: String,
    /// What was seen.
    pub detail: String,
}

impl Violation {
    /// A violation.
    pub fn new(
        check: impl Into<String>,
        subject: impl Into<String>,
        detail: impl Into<String>,
    ) -> Self {
        Self { check: check.into(), subject: subject.into(), detail: detail.into() }
    }
}

/// What the checks have to know of the run.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// No reply may take longer.
    pub longest_ms: u64,
    /// When a gateway could not answer because it was frozen or dead, in milliseconds of the Unix
    /// epoch.
    pub gateway_outages: Vec<(usize, i64, i64)>,
}

/// Examines the whole history.
pub fn examine(calls: &[Call], terms: &Terms) -> Vec<Violation> {
    let mut found = Vec::new();
    for call in calls {
        found.extend(replies_are_in_order(call, terms));
    }
    for about in by_key(calls).values() {
        found.extend(a_key_has_one_answer(about));
        found.extend(an_answer_stays_given(about));
    }
    for about in by_order(calls).values() {
        found.extend(versions_never_fall(about));
        found.extend(a_version_has_one_state(about));
    }
    found.extend(acknowledged_orders_are_found(calls));
    found
}

/// No 500, no refusal of a good token, no reply that was held back, no 503 without advice.
fn replies_are_in_order(call: &Call, terms: &Terms) -> Option<Violation> {
    let key = call.key.clone().unwrap_or_default();
    let violation = |check: &str| Some(Violation::new(check, key.clone(), call.describe()));
    if call.status == 500 {
        return violation("no call is answered 500");
    }
    if matches!(call.status, 401 | 403) {
        return violation("a good token is never refused");
    }
    if call.elapsed_ms > terms.longest_ms && !is_excused(call, terms) {
        return violation("no call is held beyond its deadline");
    }
    if matches!(call.status, 429 | 503 | 504) && !call.retry_after {
        return violation("who is put off learns when to come again");
    }
    None
}

fn is_excused(call: &Call, terms: &Terms) -> bool {
    let (from, to) = (call.started_at.timestamp_millis(), call.ended_at.timestamp_millis());
    let covers = |&(gateway, start, end): &(usize, i64, i64)| {
        gateway == call.gateway && start <= to && from <= end
    };
    terms.gateway_outages.iter().any(covers)
}

type Calls<'a> = Vec<&'a Call>;

/// Calls under the same key: of one user, to one route, about one order, with one body.
fn by_key(calls: &[Call]) -> BTreeMap<(&str, &str, &str, &str, &str), Calls<'_>> {
    let mut groups: BTreeMap<_, Calls<'_>> = BTreeMap::new();
    for call in calls {
        let (Some(key), Some(body)) = (&call.key, &call.body_sha256) else { continue };
        // The order of a placement is what its reply names, which is what has to agree.
        let order = call.order_id.as_deref().filter(|_| call.op != Op::Place);
        let order = order.unwrap_or_default();
        let group = (call.user_id.as_str(), call.route, order, key.as_str(), body.as_str());
        groups.entry(group).or_default().push(call);
    }
    for group in groups.values_mut() {
        group.sort_by_key(|call| call.started_at);
    }
    groups
}

/// I7: every answer under a key is the same, byte for byte.
fn a_key_has_one_answer(calls: &[&Call]) -> Option<Violation> {
    let answered = || calls.iter().filter(|call| call.outcome == Outcome::Ok);
    let replies: BTreeSet<_> = answered().filter_map(|call| call.reply_sha256.as_ref()).collect();
    if replies.len() < 2 {
        return None;
    }
    let orders: BTreeSet<_> = answered().filter_map(|call| call.order_id.as_deref()).collect();
    let key = calls.first()?.key.clone()?;
    let detail = format!("{} different answers, orders {orders:?}", replies.len());
    Some(Violation::new("a key has one answer", key, detail))
}

/// I7, I8: what was answered under a key is never refused afterwards.
fn an_answer_stays_given(calls: &[&Call]) -> Option<Violation> {
    let answered = calls.iter().filter(|call| call.outcome == Outcome::Ok);
    let answered = answered.map(|call| call.ended_at).min()?;
    let later = calls.iter().find(|call| {
        call.started_at > answered && call.outcome == Outcome::Refused && !call.is_put_off()
    })?;
    let detail = format!("answered at {}, then {}", text(&answered), later.describe());
    Some(Violation::new("an answer stays given", later.key.clone()?, detail))
}

fn by_order(calls: &[Call]) -> BTreeMap<&str, Calls<'_>> {
    let mut groups: BTreeMap<_, Calls<'_>> = BTreeMap::new();
    for call in calls {
        if let (Some(order), Outcome::Ok) = (&call.order_id, call.outcome) {
            groups.entry(order.as_str()).or_default().push(call);
        }
    }
    groups
}

/// I15: who read a version never reads an older one afterwards. Stored answers are old on purpose,
/// hence reads alone are compared with each other, and with answers before them.
fn versions_never_fall(calls: &[&Call]) -> Option<Violation> {
    let mut seen: Vec<&&Call> = calls.iter().filter(|call| call.order_version.is_some()).collect();
    seen.sort_by_key(|call| call.ended_at);
    let reads = calls.iter().filter(|call| call.op == Op::Read);
    for read in reads {
        let before = seen.iter().take_while(|call| call.ended_at < read.started_at);
        let Some(highest) = before.max_by_key(|call| call.order_version) else { continue };
        if read.order_version < highest.order_version {
            let detail = format!("{} after {}", read.describe(), highest.describe());
            let order = read.order_id.clone().unwrap_or_default();
            return Some(Violation::new("versions never fall", order, detail));
        }
    }
    None
}

/// I6: a version of an order is one state, whoever reads it.
fn a_version_has_one_state(calls: &[&Call]) -> Option<Violation> {
    let mut states: BTreeMap<u64, &str> = BTreeMap::new();
    for call in calls {
        let (Some(version), Some(status)) = (call.order_version, &call.order_status) else {
            continue;
        };
        let known = *states.entry(version).or_insert(status);
        if known != status {
            let order = call.order_id.clone().unwrap_or_default();
            let detail = format!("version {version} is {known} and {status}");
            return Some(Violation::new("a version has one state", order, detail));
        }
    }
    None
}

/// I8: an order whose placement was acknowledged is found by every later read.
fn acknowledged_orders_are_found(calls: &[Call]) -> Vec<Violation> {
    let mut acknowledged = BTreeMap::new();
    for call in calls.iter().filter(|c| c.op == Op::Place && c.outcome == Outcome::Ok) {
        let Some(order) = call.order_id.as_deref() else { continue };
        let first = acknowledged.entry(order).or_insert(call.ended_at);
        *first = (*first).min(call.ended_at);
    }
    let is_lost = |read: &&Call| {
        let order = read.order_id.as_deref().and_then(|order| acknowledged.get(order));
        read.status == 404 && order.is_some_and(|since| *since < read.started_at)
    };
    let reads = calls.iter().filter(|call| call.op == Op::Read);
    reads
        .filter(is_lost)
        .map(|read| {
            let order = read.order_id.clone().unwrap_or_default();
            Violation::new("an acknowledged order is found", order, read.describe())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::history::fixtures::call;
    use super::*;

    fn terms() -> Terms {
        Terms { longest_ms: 5_000, gateway_outages: Vec::new() }
    }

    fn found(calls: &[Call]) -> Vec<String> {
        examine(calls, &terms()).into_iter().map(|violation| violation.check).collect()
    }

    fn refused(status: u16, code: &str, times: (i64, i64)) -> Call {
        Call {
            outcome: Outcome::Refused,
            status,
            code: Some(code.to_owned()),
            reply_sha256: None,
            order_status: None,
            order_version: None,
            ..call(Op::Pay, times)
        }
    }

    fn read(version: u64, status: &str, times: (i64, i64)) -> Call {
        let order_status = Some(status.to_owned());
        Call { order_version: Some(version), order_status, ..call(Op::Read, times) }
    }

    #[test]
    fn an_honest_history_is_clean() {
        let lost = Call {
            outcome: Outcome::Unknown,
            status: 503,
            retry_after: true,
            reply_sha256: None,
            ..call(Op::Pay, (0, 1))
        };
        let calls = [
            lost,
            refused(409, "IDEMPOTENCY_IN_PROGRESS", (2, 3)),
            call(Op::Pay, (4, 5)),
            call(Op::Pay, (6, 7)),
            read(2, "PAID", (8, 9)),
            read(3, "REFUNDING", (10, 11)),
        ];
        assert_eq!(examine(&calls, &terms()), []);
    }

    #[test]
    fn two_answers_under_one_key_are_found() {
        let other = Call { reply_sha256: Some("other".to_owned()), ..call(Op::Pay, (2, 3)) };
        assert_eq!(found(&[call(Op::Pay, (0, 1)), other]), ["a key has one answer"]);
    }

    #[test]
    fn two_orders_under_one_key_are_found() {
        let other = Call {
            order_id: Some("o-2".to_owned()),
            reply_sha256: Some("other".to_owned()),
            ..call(Op::Place, (2, 3))
        };
        assert_eq!(found(&[call(Op::Place, (0, 1)), other]), ["a key has one answer"]);
    }

    #[test]
    fn an_answer_that_is_taken_back_is_found() {
        let calls = [call(Op::Pay, (0, 1)), refused(409, "ORDER_STATE_CONFLICT", (2, 3))];
        assert_eq!(found(&calls), ["an answer stays given"]);
    }

    #[test]
    fn a_version_that_falls_is_found() {
        let calls = [read(3, "REFUNDING", (0, 1)), read(2, "PAID", (2, 3))];
        assert_eq!(found(&calls), ["versions never fall"]);
    }

    #[test]
    fn reads_at_the_same_time_may_see_either_version() {
        assert!(found(&[read(3, "REFUNDING", (0, 3)), read(2, "PAID", (1, 2))]).is_empty());
    }

    #[test]
    fn two_states_of_one_version_are_found() {
        let calls = [read(2, "PAID", (0, 1)), read(2, "CANCELLED", (0, 1))];
        assert_eq!(found(&calls), ["a version has one state"]);
    }

    #[test]
    fn an_acknowledged_order_that_is_gone_is_found() {
        let gone = Call { op: Op::Read, key: None, ..refused(404, "ORDER_NOT_FOUND", (2, 3)) };
        assert_eq!(found(&[call(Op::Place, (0, 1)), gone]), ["an acknowledged order is found"]);
    }

    #[test]
    fn a_500_a_refused_token_and_a_held_call_are_found() {
        let failed = Call { outcome: Outcome::Unknown, status: 500, ..call(Op::Read, (0, 1)) };
        assert_eq!(found(&[failed]), ["no call is answered 500"]);
        assert_eq!(
            found(&[refused(401, "TOKEN_INVALID", (0, 1))]),
            ["a good token is never refused"]
        );
        assert_eq!(found(&[call(Op::Read, (0, 9))]), ["no call is held beyond its deadline"]);
        let silent = Call { outcome: Outcome::Unknown, status: 503, ..call(Op::Read, (0, 1)) };
        assert_eq!(found(&[silent]), ["who is put off learns when to come again"]);
    }

    #[test]
    fn a_gateway_that_was_frozen_is_excused() {
        let held = call(Op::Read, (0, 9));
        let at = held.started_at.timestamp_millis();
        let outage =
            |gateway| Terms { gateway_outages: vec![(gateway, at + 1_000, at + 2_000)], ..terms() };
        assert!(examine(std::slice::from_ref(&held), &outage(0)).is_empty());
        assert_eq!(examine(&[held], &outage(1)).len(), 1);
    }
}
