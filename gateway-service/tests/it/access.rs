//! The route table: what each route does, who may use it, and that the documentation agrees.

use std::collections::BTreeSet;

use crate::contract::{self, operations};
use crate::harness::{Ask, Gateway};
use crate::table::{Row, Who, table};

#[tokio::test]
async fn the_documentation_and_the_table_name_the_same_operations() {
    let documented: BTreeSet<_> =
        operations().map(|(path, method, _)| (path.to_owned(), method)).collect();
    let row = |row: &Row| (row.template.to_owned(), row.method.to_owned());
    assert_eq!(documented, table().iter().map(row).collect());
}

#[tokio::test]
async fn every_route_does_its_work_for_whom_it_is_open_to() {
    let gateway = Gateway::start().await;
    for row in table() {
        let reply = gateway.ask(row.ask_allowed(&gateway)).await;
        assert_eq!(reply.status, row.status, "{row:?} {reply:?}");
        let expected: BTreeSet<_> = row.rpcs().map(str::to_owned).collect();
        let asked = gateway.fleet.take_rpcs();
        assert_eq!(asked.len(), expected.len(), "{row:?}");
        assert_eq!(BTreeSet::from_iter(asked), expected, "{row:?}");
        let quota = reply.header("ratelimit-policy").map_or("", |policy| quoted(policy));
        assert_eq!(quota, row.quota, "{row:?}");
        assert_eq!(reply.header("ratelimit").map_or("", quoted), row.quota, "{row:?}");
    }
}

/// The name in front of a quota's numbers.
fn quoted(policy: &str) -> &str {
    policy.split('"').nth(1).unwrap()
}

#[tokio::test]
async fn without_a_token_only_open_routes_answer() {
    let gateway = Gateway::start().await;
    for row in table() {
        let reply = gateway.ask(row.ask()).await;
        let documented = contract::operation(row.method, row.template).unwrap();
        assert_eq!(documented.get("security").is_some(), row.who != Who::Anyone, "{row:?}");
        if row.who == Who::Anyone {
            assert_eq!(reply.status, row.status, "{row:?}");
            continue;
        }
        assert_eq!(reply.code(), "TOKEN_MISSING", "{row:?}");
        assert_eq!(reply.header("www-authenticate"), Some("Bearer realm=\"enterprisehub\""));
        assert_eq!(reply.header("ratelimit").map_or("", quoted), row.quota, "it counts: {row:?}");
    }
    let open = table().iter().filter(|row| row.who == Who::Anyone && !row.rpc.is_empty()).count();
    assert_eq!(gateway.fleet.take_calls().len(), open, "nothing else was passed on");
}

#[tokio::test]
async fn only_administrators_use_the_routes_of_administrators() {
    let gateway = Gateway::start().await;
    for row in table() {
        let refusals = contract::operation(row.method, row.template).unwrap().to_string();
        assert_eq!(refusals.contains("PERMISSION_DENIED"), row.who == Who::Admin, "{row:?}");
        if row.who != Who::Admin {
            continue;
        }
        for roles in [&["customer"][..], &[], &["Admin"], &["administrator", "admin "]] {
            let token = gateway.token_of(chassis::id::new_id(), roles);
            let reply = gateway.ask(row.ask().token(&token)).await;
            assert_eq!(reply.code(), "PERMISSION_DENIED", "{row:?} {roles:?}");
        }
        // A role that a header claims is no role.
        let claimed = row.ask().token(&gateway.customer()).header("x-user-role", "admin");
        assert_eq!(gateway.code(claimed).await, "PERMISSION_DENIED", "{row:?}");
    }
    assert!(!gateway.fleet.has_calls());
}

#[tokio::test]
async fn open_routes_do_not_look_at_tokens() {
    let gateway = Gateway::start().await;
    for row in table().iter().filter(|row| row.who == Who::Anyone) {
        for ask in [row.ask().token("expired"), row.ask().header("authorization", "Basic eDp5")] {
            assert_eq!(gateway.ask(ask).await.status, row.status, "{row:?}");
        }
    }
    for call in gateway.fleet.take_calls() {
        assert_eq!(call.metadata("authorization"), None, "{}", call.rpc);
    }
}

#[tokio::test]
async fn a_user_reads_its_own_account_and_no_other() {
    let gateway = Gateway::start().await;
    let own = Ask::get("/api/v1/users/me").token(&gateway.customer());
    gateway.ask(own).await.json();
    let asked: proto::user::v1::GetUserRequest = gateway.fleet.take_call().decode();
    assert_eq!(asked.user_id, crate::samples::CUSTOMER);
    let path = format!("/api/v1/users/{}", crate::samples::CUSTOMER);
    let other = Ask::get(&path).token(&gateway.customer());
    assert_eq!(gateway.code(other).await, "PERMISSION_DENIED");
}
