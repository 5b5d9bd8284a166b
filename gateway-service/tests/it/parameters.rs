//! What stands in the path, the query and the headers.

use std::time::Duration;

use chassis::error::codes;
use proto::notify::v1 as notify;
use proto::order::v1 as order;

use crate::fleet::Answer;
use crate::harness::{Ask, Gateway};
use crate::samples::ID;
use crate::table::{Row, table};

#[tokio::test]
async fn parameters_are_known_and_come_once() {
    let gateway = Gateway::start().await;
    for (query, field, reason) in [
        ("user_id=B", "user_id", "UNKNOWN"),
        ("user_id[]=B", "user_id[]", "UNKNOWN"),
        ("page_size=1&page_size=2", "page_size", "DUPLICATE"),
        ("status=PAID&status=PAID", "status", "DUPLICATE"),
        ("page%5Fsize=1", "page%5Fsize", "UNKNOWN"),
        ("Page_Size=1", "Page_Size", "UNKNOWN"),
        ("page_size=1&", "", "UNKNOWN"),
        ("_method=DELETE", "_method", "UNKNOWN"),
        ("=1", "", "UNKNOWN"),
    ] {
        let ask = Ask::get(&format!("/api/v1/orders?{query}")).token(&gateway.customer());
        let fault = gateway.ask(ask).await.fault();
        let expected = ("QUERY_INVALID".to_owned(), field.to_owned(), reason.to_owned());
        assert_eq!(fault, expected, "{query}");
    }
    for row in table() {
        let path = format!("{}?surprise=1", row.path());
        let ask = row.ask_at(&path).token(&gateway.admin());
        let (code, field, _) = gateway.ask(ask).await.fault();
        assert_eq!((code.as_str(), field.as_str()), ("QUERY_INVALID", "surprise"), "{row:?}");
    }
    assert!(!gateway.fleet.has_calls());
}

#[tokio::test]
async fn values_of_parameters_are_checked() {
    let gateway = Gateway::start().await;
    for (path, field, reason) in [
        ("/api/v1/orders?page_size=0", "page_size", "OUT_OF_RANGE"),
        ("/api/v1/orders?page_size=-1", "page_size", "OUT_OF_RANGE"),
        ("/api/v1/orders?page_size=101", "page_size", "OUT_OF_RANGE"),
        ("/api/v1/users?page_size=1000000000", "page_size", "OUT_OF_RANGE"),
        ("/api/v1/users?page_size=99999999999999999999", "page_size", "OUT_OF_RANGE"),
        ("/api/v1/products?page_size=abc", "page_size", "OUT_OF_RANGE"),
        ("/api/v1/products?page_size=", "page_size", "OUT_OF_RANGE"),
        ("/api/v1/products?page_size", "page_size", "OUT_OF_RANGE"),
        ("/api/v1/orders?status=paid", "status", "UNKNOWN_VALUE"),
        ("/api/v1/orders?status=UNSPECIFIED", "status", "UNKNOWN_VALUE"),
        ("/api/v1/admin/dead-letters?status=CLOSED", "status", "UNKNOWN_VALUE"),
        ("/api/v1/notifications?unread_only=yes", "unread_only", "TYPE"),
    ] {
        let fault = gateway.ask(Ask::get(path).token(&gateway.admin())).await.fault();
        let expected = ("VALIDATION_FAILED".to_owned(), field.to_owned(), reason.to_owned());
        assert_eq!(fault, expected, "{path}");
    }
    assert!(!gateway.fleet.has_calls());
}

#[tokio::test]
async fn whatever_takes_a_value_may_refuse_it_as_documented() {
    let gateway = Gateway::start().await;
    let ask = Ask::new("DELETE", "/api/v1/auth/sessions?keep_current=yes");
    let fault = gateway.ask(ask.token(&gateway.customer())).await.fault();
    let expected = ("VALIDATION_FAILED".to_owned(), "keep_current".to_owned(), "TYPE".to_owned());
    assert_eq!(fault, expected);
    for path in ["/api/v1/products/%ff", "/docs/%ff", "/docs/errors/%ff"] {
        assert_eq!(gateway.code(Ask::get(path)).await, "ID_INVALID", "{path}");
    }
    assert!(!gateway.fleet.has_calls());
    for (rpc, path) in [
        ("GetProduct", "/api/v1/products/tea"),
        ("GetReconciliation", "/api/v1/admin/reconciliation?after=x"),
    ] {
        gateway.fleet.script(rpc, [Answer::code(codes::VALIDATION_FAILED)]);
        let ask = Ask::get(path).token(&gateway.admin());
        assert_eq!(gateway.code(ask).await, "VALIDATION_FAILED", "{path}");
    }
}

#[tokio::test]
async fn what_a_list_is_asked_reaches_the_service() {
    let gateway = Gateway::start().await;
    let read = async |path: &str| {
        gateway.ask(Ask::get(path).token(&gateway.admin())).await.json();
        gateway.fleet.take_call()
    };
    let call = read("/api/v1/orders?page_size=100&page_token=a%20b%2B&status=REFUNDED").await;
    let status = order::OrderStatus::Refunded.into();
    let page_token = "a b+".to_owned();
    assert_eq!(
        call.decode::<order::ListOrdersRequest>(),
        order::ListOrdersRequest { page_size: 100, page_token, status }
    );
    let call = read("/api/v1/orders").await;
    assert_eq!(call.decode::<order::ListOrdersRequest>(), order::ListOrdersRequest::default());
    let call = read("/api/v1/notifications?unread_only=true").await;
    assert!(call.decode::<notify::ListNotificationsRequest>().unread_only);
    let call = read("/api/v1/admin/dead-letters?status=DISCARDED&page_size=1").await;
    let asked: notify::ListDeadLettersRequest = call.decode();
    assert_eq!((asked.status(), asked.page_size), (notify::DeadLetterStatus::Discarded, 1));
}

#[tokio::test]
async fn the_reason_of_a_discard_reaches_the_service_and_need_not_be_given() {
    let gateway = Gateway::start().await;
    let path = format!("/api/v1/admin/dead-letters/{ID}/discard");
    let discard = || Ask::post(&path).token(&gateway.admin());
    for (ask, reason) in [
        (discard().json(r#"{"reason":"a test event"}"#), "a test event"),
        (discard().json("{}"), ""),
        (discard(), ""),
    ] {
        gateway.ask(ask).await.json();
        let asked: notify::DiscardDeadLetterRequest = gateway.fleet.take_call().decode();
        assert_eq!((asked.dead_letter_id.as_str(), asked.reason.as_str()), (ID, reason));
    }
    for (body, code) in [(r#"{"why":"x"}"#, "UNKNOWN_FIELD"), ("[]", "VALIDATION_FAILED")] {
        assert_eq!(gateway.code(discard().json(body)).await, code);
    }
    // Nothing is of any type; something has to be JSON, and says so.
    gateway.ask(discard().header("content-type", "text/plain")).await.json();
    gateway.fleet.take_call();
    let untyped = discard().body("{}");
    let text = discard().body("{}").header("content-type", "text/plain");
    for ask in [untyped, text] {
        assert_eq!(gateway.code(ask).await, "MEDIA_TYPE_UNSUPPORTED");
    }
    assert!(!gateway.fleet.has_calls());
}

#[tokio::test]
async fn a_page_token_that_a_service_refuses_is_refused() {
    let gateway = Gateway::start().await;
    gateway.fleet.script("ListOrders", [Answer::code(codes::CURSOR_INVALID)]);
    let ask = Ask::get("/api/v1/orders?page_token=forged").token(&gateway.customer());
    assert_eq!(gateway.code(ask).await, "CURSOR_INVALID");
}

#[tokio::test]
async fn an_identity_is_a_uuid_in_its_usual_form() {
    let gateway = Gateway::start().await;
    let with_id = |row: &Row| row.template.contains("{id}");
    let rows: Vec<_> = table().into_iter().filter(with_id).collect();
    for (id, row) in [
        "0",
        "-1",
        "1e3",
        "1;DROP%20TABLE%20orders",
        "%2e%2e",
        "18446744073709551616",
        "%F0%9F%98%80",
        "%ff",
        "%00",
        "0190b6a0000070008000000000000001",
        "%7B0190b6a0-0000-7000-8000-000000000001%7D",
        "urn:uuid:0190b6a0-0000-7000-8000-000000000001",
        "0190b6a0-0000-7000-8000-00000000000g",
        "me.json",
    ]
    .iter()
    .flat_map(|id| rows.iter().map(move |row| (id, row)))
    {
        let path = row.template.replace("{id}", id);
        let ask = row.ask_at(&path).token(&gateway.admin());
        assert_eq!(gateway.code(ask).await, "ID_INVALID", "{path}");
    }
    assert!(!gateway.fleet.has_calls());
    let upper = "/api/v1/orders/0190B6A0-0000-7000-8000-00000000ABCD";
    gateway.ask(Ask::get(upper).token(&gateway.customer())).await.json();
    let asked: order::GetOrderRequest = gateway.fleet.take_call().decode();
    assert_eq!(asked.order_id, "0190b6a0-0000-7000-8000-00000000abcd");
}

const KEYED: [(&str, &str); 4] = [
    ("", r#"{"items":[{"sku":"A","quantity":1}],"payment_method":"pm_ok"}"#),
    ("/0190b6a0-0000-7000-8000-000000000001/pay", r#"{"payment_method":"pm_ok"}"#),
    ("/0190b6a0-0000-7000-8000-000000000001/cancel", ""),
    ("/0190b6a0-0000-7000-8000-000000000001/refund", ""),
];

fn keyed(gateway: &Gateway, (rest, body): (&str, &'static str)) -> Ask {
    let ask = Ask::post(&format!("/api/v1/orders{rest}")).token(&gateway.customer());
    if body.is_empty() { ask } else { ask.json(body) }
}

#[tokio::test]
async fn what_moves_money_needs_one_idempotency_key() {
    let gateway = Gateway::start().await;
    let ask = |operation| keyed(&gateway, operation);
    let key = "idempotency-key";
    for operation in KEYED {
        assert_eq!(gateway.code(ask(operation)).await, "IDEMPOTENCY_KEY_MISSING", "{operation:?}");
        for value in [&b""[..], b"a b", b"a\tb", "é".as_bytes(), b"\xff", &[b'k'; 256]] {
            let code = gateway.code(ask(operation).header(key, value)).await;
            assert_eq!(code, "IDEMPOTENCY_KEY_INVALID", "{operation:?} {value:?}");
        }
        let twice = ask(operation).header(key, "same").header(key, "same");
        assert_eq!(gateway.code(twice).await, "IDEMPOTENCY_KEY_INVALID", "{operation:?}");
    }
    assert!(!gateway.fleet.has_calls());
    let longest = "k".repeat(255);
    for value in ["';DROP-TABLE", "0190b6a0-0000-7000-8000-000000000001", &longest] {
        let order = gateway.ask(ask(KEYED[0]).header(key, value)).await;
        assert_eq!(order.status, 201, "{value}");
        let passed: order::CreateOrderRequest = gateway.fleet.take_call().decode();
        assert_eq!(passed.idempotency_key, value);
    }
}

#[tokio::test]
async fn what_became_of_an_earlier_request_with_the_key_is_passed_on() {
    let gateway = Gateway::start().await;
    let rpcs = ["CreateOrder", "PayOrder", "CancelOrder", "RefundOrder"];
    for (operation, rpc) in KEYED.into_iter().zip(rpcs) {
        let ask = || keyed(&gateway, operation).header("idempotency-key", "key-1");
        gateway.fleet.script(rpc, [Answer::code(codes::IDEMPOTENCY_KEY_REUSED)]);
        assert_eq!(gateway.code(ask()).await, "IDEMPOTENCY_KEY_REUSED", "{rpc}");
        let busy = Answer::later(codes::IDEMPOTENCY_IN_PROGRESS, Duration::from_millis(1_500));
        gateway.fleet.script(rpc, [busy]);
        let reply = gateway.ask(ask()).await;
        assert_eq!(reply.code(), "IDEMPOTENCY_IN_PROGRESS", "{rpc}");
        assert_eq!(reply.header("retry-after"), Some("2"), "rounded up");
    }
}
