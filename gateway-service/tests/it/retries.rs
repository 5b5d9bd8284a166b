//! Which calls are made again when a service is unavailable.

use tonic::Code;

use crate::fleet::{Answer, Call};
use crate::harness::Gateway;
use crate::table::{Row, table};

/// Retries and failures of one test are no reason to hold back in the next.
const PATIENT: [(&str, &str); 2] =
    [("UPSTREAM__RETRY_BUDGET_RATIO", "1"), ("UPSTREAM__EJECT_AFTER_FAILURES", "1000")];

fn calling() -> Vec<Row> {
    table().into_iter().filter(|row| !row.rpc.is_empty()).collect()
}

/// The calls of one rpc since the last look.
fn calls_of(gateway: &Gateway, rpc: &str) -> Vec<Call> {
    let calls = gateway.fleet.take_calls().into_iter();
    calls.filter(|call| call.rpc == rpc).collect()
}

#[tokio::test]
async fn what_may_run_twice_is_tried_once_more_and_nothing_else() {
    let gateway = Gateway::with(&PATIENT).await;
    for row in calling() {
        gateway.fleet.script(row.rpc, [Answer::foreign(Code::Unavailable)]);
        let reply = gateway.ask(row.ask_allowed(&gateway)).await;
        assert_eq!(reply.code(), "SERVICE_UNAVAILABLE", "{row:?}");
        let attempts = if row.may_repeat() { 2 } else { 1 };
        assert_eq!(calls_of(&gateway, row.rpc).len(), attempts, "{row:?}");
    }
    let single: Vec<_> =
        calling().iter().filter(|row| !row.may_repeat()).map(|row| row.rpc).collect();
    for rpc in ["Login", "Register", "Refresh", "ChangePassword"] {
        assert!(single.contains(&rpc), "{rpc}");
    }
}

#[tokio::test]
async fn a_second_try_that_succeeds_is_the_answer() {
    let gateway = Gateway::with(&PATIENT).await;
    for row in calling().into_iter().filter(Row::may_repeat) {
        let usual = if row.rpc == "GetJwks" {
            crate::harness::key_set(&gateway.issuer)
        } else {
            Answer::Usual
        };
        gateway.fleet.script(row.rpc, [Answer::foreign(Code::Unavailable), usual]);
        let reply = gateway.ask(row.ask_allowed(&gateway)).await;
        assert_eq!(reply.status, row.status, "{row:?}");
        let calls = calls_of(&gateway, row.rpc);
        assert!(calls.len() == 2 && calls[1].repeats(&calls[0]), "{row:?}: the same, key included");
    }
}

#[tokio::test]
async fn an_error_that_is_an_answer_is_not_asked_for_again() {
    let gateway = Gateway::with(&PATIENT).await;
    for code in [Code::Internal, Code::DeadlineExceeded, Code::Aborted, Code::ResourceExhausted] {
        gateway.fleet.script("GetUser", [Answer::foreign(code)]);
        let ask = crate::harness::Ask::get("/api/v1/users/me").token(&gateway.customer());
        assert!(gateway.ask(ask).await.status >= 500, "{code:?}");
        assert_eq!(gateway.fleet.take_calls().len(), 1, "{code:?}");
    }
}

#[tokio::test]
async fn retries_end_when_their_budget_is_used_up() {
    let gateway = Gateway::with(&[("UPSTREAM__RETRY_BUDGET_RATIO", "0")]).await;
    gateway.fleet.script("ListProducts", [Answer::foreign(Code::Unavailable)]);
    for _ in 0..30 {
        gateway.code(crate::harness::Ask::get("/api/v1/products")).await;
    }
    assert_eq!(gateway.fleet.take_calls().len(), 30 + 10, "those that a budget starts with");
}
