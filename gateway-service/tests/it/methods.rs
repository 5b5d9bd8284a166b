//! Methods that a path has, has not, or has by implication.

use std::collections::{BTreeMap, BTreeSet};

use crate::harness::{Ask, Gateway};
use crate::table::table;

/// The methods of every path, HEAD where there is GET.
fn methods() -> BTreeMap<String, BTreeSet<String>> {
    let mut methods = BTreeMap::<_, BTreeSet<_>>::new();
    for row in table() {
        let known = methods.entry(row.path()).or_default();
        known.insert(row.method.to_owned());
        if row.method == "GET" {
            known.insert("HEAD".to_owned());
        }
    }
    methods
}

#[tokio::test]
async fn a_wrong_method_is_refused_with_the_right_ones() {
    let gateway = Gateway::start().await;
    let all =
        ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "FOO"];
    for (path, known) in methods() {
        for method in all.iter().filter(|method| !known.contains(**method)) {
            // Neither a token nor a body changes that.
            let ask = Ask::new(method, &path).token(&gateway.admin()).json("{}");
            let reply = gateway.ask(ask).await;
            let allowed = reply.header("allow").unwrap_or_default();
            let allowed: BTreeSet<_> =
                allowed.split(',').map(|one| one.trim().to_owned()).collect();
            assert_eq!((reply.status, &allowed), (405, &known), "{method} {path}");
            if *method != "HEAD" {
                assert_eq!(reply.code(), "METHOD_NOT_ALLOWED", "{method} {path}");
            }
        }
    }
    assert!(!gateway.fleet.has_calls());
}

#[tokio::test]
async fn a_head_is_a_get_without_its_body() {
    let gateway = Gateway::start().await;
    for row in table().iter().filter(|row| row.method == "GET") {
        let token = gateway.admin();
        let got = gateway.ask(Ask::get(&row.path()).token(&token)).await;
        let head = gateway.ask(Ask::new("HEAD", &row.path()).token(&token)).await;
        assert_eq!((head.status, head.body.len()), (got.status, 0), "{row:?}");
        for name in ["content-type", "cache-control", "content-length", "location"] {
            assert_eq!(head.header(name), got.header(name), "{row:?} {name}");
        }
    }
    let refused = gateway.ask(Ask::new("HEAD", "/api/v1/users/me")).await;
    assert_eq!((refused.status, refused.body.len()), (401, 0));
    assert!(refused.header("www-authenticate").is_some());
}

#[tokio::test]
async fn no_header_or_parameter_stands_for_a_method() {
    let gateway = Gateway::start().await;
    let ask = Ask::get("/api/v1/users/me").token(&gateway.customer());
    let ask = ask.header("x-http-method-override", "PATCH").header("x-method-override", "PATCH");
    assert_eq!(gateway.ask(ask).await.status, 200);
    assert_eq!(gateway.fleet.take_rpcs(), ["GetUser"]);
    let ask = Ask::get("/api/v1/users/me?_method=PATCH").token(&gateway.customer());
    assert_eq!(gateway.code(ask).await, "QUERY_INVALID");
}
