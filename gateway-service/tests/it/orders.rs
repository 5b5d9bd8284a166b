//! What the answers of the services become: orders above all, and what is like them.

use proto::money::v1::Money;
use proto::notify::v1 as notify;
use proto::order::v1::{self as order, OrderStatus};
use serde_json::{Value, json};

use crate::fleet::Answer;
use crate::harness::{Ask, Gateway};
use crate::samples::{self, ID};

const ORDER: &str = r#"{"items":[{"sku":"KEYBOARD-87","quantity":2}],"payment_method":"pm_ok"}"#;

/// Every state of an order, and whether nothing is under way in it.
const STATES: [(OrderStatus, &str, bool); 9] = [
    (OrderStatus::Created, "CREATED", false),
    (OrderStatus::Paid, "PAID", true),
    (OrderStatus::PaymentFailed, "PAYMENT_FAILED", true),
    (OrderStatus::Cancelled, "CANCELLED", true),
    (OrderStatus::Expired, "EXPIRED", true),
    (OrderStatus::Shipped, "SHIPPED", true),
    (OrderStatus::Completed, "COMPLETED", true),
    (OrderStatus::Refunding, "REFUNDING", false),
    (OrderStatus::Refunded, "REFUNDED", true),
];

fn place(gateway: &Gateway) -> Ask {
    let ask = Ask::post("/api/v1/orders").header("idempotency-key", "key-1");
    ask.json(ORDER).token(&gateway.customer())
}

#[tokio::test]
async fn a_new_order_is_created_or_still_under_way() {
    let gateway = Gateway::start().await;
    for (state, name, is_settled) in STATES {
        for replayed in [false, true] {
            let placed =
                order::CreateOrderResponse { order: Some(samples::order(state)), replayed };
            gateway.fleet.script("CreateOrder", [Answer::reply(&placed)]);
            let reply = gateway.ask(place(&gateway)).await;
            assert_eq!(reply.status, if is_settled { 201 } else { 202 }, "{name}");
            assert_eq!(reply.json()["status"], name);
            assert_eq!(reply.header("location"), Some(format!("/api/v1/orders/{ID}").as_str()));
            assert_eq!(reply.header("idempotent-replayed"), replayed.then_some("true"));
        }
    }
    let asked: order::CreateOrderRequest = gateway.fleet.take_calls()[0].decode();
    assert_eq!(
        asked,
        order::CreateOrderRequest {
            items: vec![order::OrderLine { sku: "KEYBOARD-87".to_owned(), quantity: 2 }],
            payment_method: "pm_ok".to_owned(),
            idempotency_key: "key-1".to_owned(),
        }
    );
}

#[tokio::test]
async fn a_change_of_an_order_is_done_or_still_under_way() {
    let gateway = Gateway::start().await;
    for (state, name, is_settled) in STATES {
        let order = Some(samples::order(state));
        let replayed = state == OrderStatus::Refunded;
        let paid = order::PayOrderResponse { order: order.clone(), replayed };
        gateway.fleet.script("PayOrder", [Answer::reply(&paid)]);
        let cancelled = order::CancelOrderResponse { order: order.clone(), replayed };
        gateway.fleet.script("CancelOrder", [Answer::reply(&cancelled)]);
        let refunded = order::RefundOrderResponse { order, replayed };
        gateway.fleet.script("RefundOrder", [Answer::reply(&refunded)]);
        for (verb, body) in
            [("pay", r#"{"payment_method":"pm_ok"}"#), ("cancel", ""), ("refund", "")]
        {
            let ask = Ask::post(&format!("/api/v1/orders/{ID}/{verb}")).token(&gateway.customer());
            let ask = ask.header("idempotency-key", "key-1");
            let reply = gateway.ask(if body.is_empty() { ask } else { ask.json(body) }).await;
            assert_eq!(reply.status, if is_settled { 200 } else { 202 }, "{verb} {name}");
            assert_eq!(reply.json()["status"], name);
            assert_eq!(reply.header("idempotent-replayed"), replayed.then_some("true"));
            assert_eq!(reply.header("location"), None);
        }
    }
}

#[tokio::test]
async fn a_repeated_answer_is_the_first_one_byte_for_byte() {
    let gateway = Gateway::start().await;
    for state in [OrderStatus::Created, OrderStatus::Paid] {
        let answer = |replayed| {
            let order = Some(samples::order(state));
            Answer::reply(&order::CreateOrderResponse { order, replayed })
        };
        gateway.fleet.script("CreateOrder", [answer(false), answer(true)]);
        let first = gateway.ask(place(&gateway)).await;
        let again = gateway.ask(place(&gateway)).await;
        assert_eq!((first.status, first.text()), (again.status, again.text()));
        assert_eq!(first.header("location"), again.header("location"));
        assert_eq!(again.header("idempotent-replayed"), Some("true"));
    }
}

#[tokio::test]
async fn an_order_reads_like_this() {
    let gateway = Gateway::start().await;
    let ask = Ask::get(&format!("/api/v1/orders/{ID}")).token(&gateway.customer());
    let money = json!({"amount": 19900, "currency": "CNY"});
    let expected = json!({
        "id": ID,
        "user_id": samples::CUSTOMER,
        "status": "PAID",
        "items": [{
            "sku": "KEYBOARD-87",
            "name": "Mechanical keyboard",
            "unit_price": money,
            "quantity": 1,
        }],
        "total": money,
        "version": 2,
        "created_at": "2026-01-02T03:04:05.006Z",
        "updated_at": "2026-01-02T03:04:05.006Z",
        "expires_at": "2026-01-02T03:04:05.006Z",
        "payment_id": ID,
        "failure_reason": null,
    });
    assert_eq!(gateway.ask(ask).await.json(), expected);
}

#[tokio::test]
async fn an_account_tells_nothing_that_only_the_service_needs() {
    let gateway = Gateway::start().await;
    let account = gateway.ask(Ask::get("/api/v1/users/me").token(&gateway.customer())).await.json();
    let expected = json!({
        "id": samples::CUSTOMER,
        "email": "li.lei@example.com",
        "display_name": "Li Lei",
        "locale": "zh-CN",
        "status": "ACTIVE",
        "roles": ["customer"],
        "email_verified_at": "2026-01-02T03:04:05.006Z",
        "created_at": "2026-01-02T03:04:05.006Z",
        "updated_at": "2026-01-02T03:04:05.006Z",
    });
    assert_eq!(account, expected);
}

#[tokio::test]
async fn a_page_names_the_next_one_or_none() {
    let gateway = Gateway::start().await;
    for (token, expected) in [("next", json!("next")), ("", Value::Null)] {
        let products = vec![samples::product(), samples::product()];
        let page = order::ListProductsResponse { products, next_page_token: token.to_owned() };
        gateway.fleet.script("ListProducts", [Answer::reply(&page)]);
        let page = gateway.ask(Ask::get("/api/v1/products")).await.json();
        assert_eq!(page["next_page_token"], expected);
        assert_eq!(page["items"].as_array().unwrap().len(), 2);
    }
}

#[tokio::test]
async fn a_product_is_new_or_replaced() {
    let gateway = Gateway::start().await;
    let body =
        r#"{"name":"Yen","unit_price":{"amount":9007199254740991,"currency":"JPY"},"stock":0}"#;
    for (created, status) in [(true, 201), (false, 200)] {
        let stored = order::PutProductResponse { product: Some(samples::product()), created };
        gateway.fleet.script("PutProduct", [Answer::reply(&stored)]);
        let ask = Ask::new("PUT", "/api/v1/products/Y.E-N_1").json(body).token(&gateway.admin());
        assert_eq!(gateway.ask(ask).await.status, status);
        let asked: order::PutProductRequest = gateway.fleet.take_call().decode();
        let unit_price = Some(Money { amount: 9_007_199_254_740_991, currency: "JPY".to_owned() });
        assert_eq!((asked.sku.as_str(), asked.unit_price), ("Y.E-N_1", unit_price));
    }
}

#[tokio::test]
async fn a_registration_says_where_the_account_is() {
    let gateway = Gateway::start().await;
    let body = r#"{"email":"a@b.example","password":"hunter2!","display_name":"A"}"#;
    let reply = gateway.ask(Ask::post("/api/v1/users").json(body)).await;
    assert_eq!((reply.status, reply.header("location")), (201, Some("/api/v1/users/me")));
    assert!(!reply.text().contains("hunter2"));
}

#[tokio::test]
async fn a_login_answers_with_tokens_that_no_cache_keeps() {
    let gateway = Gateway::start().await;
    let reply = gateway.ask(crate::harness::login()).await;
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    let expected = json!({
        "access_token": "header.claims.signature",
        "token_type": "Bearer",
        "expires_in": 900,
        "refresh_token": "refresh",
        "session_id": ID,
    });
    assert_eq!(reply.json(), expected);
}

#[tokio::test]
async fn a_dead_letter_shows_what_came_in_a_form_that_loses_nothing() {
    let gateway = Gateway::start().await;
    for (payload, shown, encoding) in
        [(&b"{\"a\":1}"[..], "{\"a\":1}", "utf-8"), (b"\xff\xfe", "//4=", "base64")]
    {
        let dead_letter = Some(samples::dead_letter());
        let reply = notify::GetDeadLetterResponse { dead_letter, payload: payload.to_vec() };
        gateway.fleet.script("GetDeadLetter", [Answer::reply(&reply)]);
        let path = format!("/api/v1/admin/dead-letters/{ID}");
        let letter = gateway.ask(Ask::get(&path).token(&gateway.admin())).await.json();
        assert_eq!(
            (&letter["payload"], &letter["payload_encoding"]),
            (&json!(shown), &json!(encoding))
        );
        assert_eq!((&letter["id"], &letter["event_id"]), (&json!(ID), &Value::Null));
    }
}
