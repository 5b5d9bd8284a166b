//! What travels from a request to the services, what comes back, and what is left at the edge.

use proto::auth::v1::LoginRequest;

use crate::harness::{Ask, Gateway, login};

#[tokio::test]
async fn a_request_id_is_kept_if_it_is_well_formed_and_replaced_if_not() {
    let gateway = Gateway::start().await;
    let ask = || Ask::get("/api/v1/products");
    for id in ["a", "req-1:2/3", &"r".repeat(128), "{\"a\":1}"] {
        let reply = gateway.ask(ask().header("x-request-id", id)).await;
        assert_eq!(reply.header("x-request-id"), Some(id));
        assert_eq!(gateway.fleet.take_call().metadata("x-request-id"), Some(id));
    }
    let long = "r".repeat(10_000);
    let mut replaced = Vec::new();
    for id in ["", "a b", "a\tb", "é", "x level=error msg=forged", &long] {
        replaced.push((id, gateway.ask(ask().header("x-request-id", id)).await));
    }
    replaced.push(("none", gateway.ask(ask()).await));
    let twice = ask().header("x-request-id", "one").header("x-request-id", "one");
    replaced.push(("two", gateway.ask(twice).await));
    let calls = gateway.fleet.take_calls();
    for ((sent, reply), call) in replaced.iter().zip(calls) {
        let id = reply.header("x-request-id").unwrap();
        assert!(id.len() == 36 && id.parse::<uuid::Uuid>().is_ok(), "{sent}: {id}");
        assert_eq!(call.metadata("x-request-id"), Some(id), "{sent}");
    }
}

#[tokio::test]
async fn refusals_have_a_request_id_too() {
    let gateway = Gateway::start().await;
    for (method, path) in [("GET", "/nowhere"), ("TRACE", "/livez"), ("GET", "/api/v1/orders")] {
        let reply = gateway.ask(Ask::new(method, path).header("x-request-id", "mine")).await;
        assert!(reply.status >= 400);
        assert_eq!(reply.header("x-request-id"), Some("mine"), "{path}");
    }
}

#[tokio::test]
async fn the_token_and_the_deadline_travel_on() {
    let gateway = Gateway::start().await;
    let token = gateway.customer();
    gateway.ask(Ask::get("/api/v1/users/me").token(&token)).await.json();
    let call = gateway.fleet.take_call();
    assert_eq!(call.metadata("authorization"), Some(format!("Bearer {token}").as_str()));
    assert!(call.metadata("grpc-timeout").is_some());
}

#[tokio::test]
async fn an_identity_that_a_header_asserts_stays_at_the_edge() {
    let gateway = Gateway::start().await;
    let asserted =
        ["x-user-id", "x-user-role", "x-user-roles", "x-user-email", "x-forwarded-user", "cookie"];
    let plain = Ask::get("/api/v1/users/me").token(&gateway.customer());
    let ask = asserted.iter().fold(plain, |ask, name| ask.header(name, "admin"));
    let account = gateway.ask(ask).await.json();
    assert_eq!(account["id"], crate::samples::CUSTOMER);
    let call = gateway.fleet.take_call();
    for name in asserted {
        assert_eq!(call.metadata(name), None, "{name}");
    }
}

#[tokio::test]
async fn a_session_remembers_where_its_client_came_from() {
    let gateway = Gateway::with(&[("TRUSTED_PROXIES", "10.0.0.0/8,::1")]).await;
    let seen = async |ask: Ask| {
        gateway.ask(ask).await.json();
        let asked: LoginRequest = gateway.fleet.take_call().decode();
        (asked.client_address, asked.user_agent)
    };
    let long = "agent ".repeat(100);
    let stranger = login().from("192.0.2.9").header("user-agent", &long);
    let stranger = seen(stranger.header("x-forwarded-for", "198.51.100.1")).await;
    assert_eq!(stranger, ("192.0.2.9".to_owned(), long[..256].to_owned()));
    for (peer, forwarded, expected) in [
        ("10.0.0.1", &["198.51.100.1"][..], "198.51.100.1"),
        ("10.0.0.1", &["6.6.6.6, 198.51.100.1", "10.1.1.1"], "198.51.100.1"),
        ("10.0.0.1", &["198.51.100.1, unknown"], "10.0.0.1"),
        ("10.0.0.1", &[], "10.0.0.1"),
        ("::1", &["2001:db8::1"], "2001:db8::1"),
        ("::ffff:10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
        ("2001:db8::5", &["198.51.100.1"], "2001:db8::5"),
    ] {
        let ask = forwarded
            .iter()
            .fold(login().from(peer), |ask, line| ask.header("x-forwarded-for", line));
        let ask = ask.header("forwarded", "for=6.6.6.6").header("x-real-ip", "6.6.6.6");
        assert_eq!(seen(ask).await, (expected.to_owned(), String::new()), "{peer} {forwarded:?}");
    }
}
