//! The two flows of the README.

use anyhow::Result;
use fleet::harness::Api;
use fleet::harness::api::{new_email, new_key};
use fleet::{Fleet, FleetOptions};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{TEA, order, read, stock, text, until_told};

const PASSWORD: &str = "correct horse battery";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

#[tokio::test]
#[ignore = "needs the middleware: cargo ehub test"]
async fn registering_logging_in_and_out() -> Result<()> {
    let fleet = Fleet::start(FleetOptions::default()).await?;
    let visitor = fleet.http()?;
    let email = new_email();
    let account = visitor.register(&email, PASSWORD, "Ada").await?.require(201)?;
    assert_eq!((&account["email"], &account["status"]), (&json!(email), &json!("ACTIVE")));
    assert_eq!(account["roles"], json!(["customer"]));

    let body = json!({"email": email.to_uppercase(), "password": PASSWORD});
    let tokens = visitor.post("/api/v1/auth/login", &body).await?.require(200)?;
    assert_eq!((&tokens["token_type"], &tokens["expires_in"]), (&json!("Bearer"), &json!(900)));
    let ada = visitor.with_token(text(&tokens, "access_token")?);
    assert_eq!(ada.get("/api/v1/users/me").await?.require(200)?["id"], account["id"]);

    let body = json!({"refresh_token": tokens["refresh_token"]});
    let renewed = visitor.post("/api/v1/auth/refresh", &body).await?.require(200)?;
    assert_eq!(renewed["session_id"], tokens["session_id"]);
    assert_ne!(renewed["refresh_token"], tokens["refresh_token"]);

    let ada = visitor.with_token(text(&renewed, "access_token")?);
    ada.post("/api/v1/auth/logout", &json!({})).await?.require(204)?;
    let body = json!({"refresh_token": renewed["refresh_token"]});
    let refused = visitor.post("/api/v1/auth/refresh", &body).await?;
    assert_eq!((refused.status, refused.code()), (401, "REFRESH_INVALID"));

    let ada = ada.login(&email, PASSWORD).await?;
    until_told(&fleet, &ada, "user.registered", &text(&account, "id")?).await?;
    fleet.finish().await
}

#[tokio::test]
#[ignore = "needs the middleware: cargo ehub test"]
async fn ordering_paying_and_being_told() -> Result<()> {
    let fleet = Fleet::start(FleetOptions::default()).await?;
    fleet.seed().await?;
    let customer = fleet.customer().await?;
    let before = stock(&customer, TEA).await?;

    let placed = traced_order(&customer).await?;
    let id = text(&placed, "id")?;
    assert_eq!((&placed["status"], &placed["version"]), (&json!("PAID"), &json!(2)));
    assert_eq!(placed["total"], json!({"amount": 25_600, "currency": "CNY"}));
    assert_eq!(read(&customer, &id).await?, placed);
    assert_eq!(stock(&customer, TEA).await?, before - 2);
    let list = customer.get("/api/v1/orders?status=PAID").await?.require(200)?;
    assert_eq!(list["items"], json!([placed]));

    let payment = format!("/api/v1/payments/{}", text(&placed, "payment_id")?);
    let payment = customer.get(&payment).await?.require(200)?;
    assert_eq!((&payment["status"], &payment["order_id"]), (&json!("SUCCEEDED"), &json!(id)));
    assert_eq!(payment["amount"], placed["total"]);
    assert_eq!(payment["attempts"].as_array().map(Vec::len), Some(1));

    let timeline = customer.get(&format!("/api/v1/orders/{id}/timeline")).await?.require(200)?;
    let entries = timeline["items"].as_array().cloned().unwrap_or_default();
    let transitions: Vec<_> =
        entries.iter().filter(|entry| entry["kind"] == "transition").collect();
    assert_eq!(transitions.len(), 2, "{timeline}");
    assert!(transitions.iter().all(|entry| entry["trace_id"] == TRACE), "{timeline}");
    assert_eq!((&transitions[0]["from"], &transitions[0]["to"]), (&json!(null), &json!("CREATED")));
    assert_eq!(
        (&transitions[1]["from"], &transitions[1]["to"]),
        (&json!("CREATED"), &json!("PAID"))
    );

    let told = until_told(&fleet, &customer, "order.paid", &id).await?;
    assert_eq!((told.len(), &told[0]["read_at"]), (1, &json!(null)));
    let path = format!("/api/v1/notifications/{}/read", text(&told[0], "id")?);
    let read = customer.post(&path, &json!({})).await?.require(200)?;
    assert!(read["read_at"].is_string(), "{read}");
    fleet.finish().await
}

/// Orders two pieces of tea as part of a trace that the client has begun.
async fn traced_order(customer: &Api) -> Result<Value> {
    let body = json!({"items": [{"sku": TEA, "quantity": 2}], "payment_method": "pm_ok"});
    let request = customer.request(Method::POST, "/api/v1/orders");
    let request = request.header("idempotency-key", new_key()).json(&body);
    let request = request.header("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01"));
    customer.send(request).await?.require(201)
}

#[tokio::test]
#[ignore = "needs the middleware: cargo ehub test"]
async fn each_user_sees_only_their_own_and_in_their_language() -> Result<()> {
    let fleet = Fleet::start(FleetOptions::default()).await?;
    fleet.seed().await?;
    let (ada, eve) = (fleet.customer().await?, fleet.customer().await?);
    ada.send(ada.request(Method::PATCH, "/api/v1/users/me").json(&json!({"locale": "zh-CN"})))
        .await?
        .require(200)?;
    fleet.until_published("user-service").await?;
    let placed = order(&ada, "pm_ok").await?;
    let (id, payment) = (text(&placed, "id")?, text(&placed, "payment_id")?);
    let told = until_told(&fleet, &ada, "order.paid", &id).await?;
    assert_eq!(told[0]["title"], "订单已支付");
    for (path, code) in [
        (format!("/api/v1/orders/{id}"), "ORDER_NOT_FOUND"),
        (format!("/api/v1/orders/{id}/timeline"), "ORDER_NOT_FOUND"),
        (format!("/api/v1/payments/{payment}"), "PAYMENT_NOT_FOUND"),
    ] {
        let refused = eve.get(&path).await?;
        assert_eq!((refused.status, refused.code()), (404, code), "{path}");
    }
    let orders = eve.get("/api/v1/orders").await?.require(200)?;
    assert_eq!(orders["items"], json!([]));
    let inbox = eve.get("/api/v1/notifications").await?.require(200)?.to_string();
    assert!(!inbox.contains(&id), "{inbox}");
    fleet.finish().await
}
