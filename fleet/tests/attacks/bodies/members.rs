//! Members that are not offered, come twice, or are of another type.

use anyhow::{Context, Result, ensure};
use fleet::harness::Reply;
use fleet::harness::api::{new_email, new_key};
use reqwest::Method;
use serde_json::{Value, json};

use super::{CANARY, targets};
use crate::support::problem::{refused, refused_silently};
use crate::support::stage::{PASSWORD, Stage};
use crate::support::{TEA, order, read, text};

/// Checks that an answer names this member as the unknown one.
fn is_unknown(reply: &Reply, member: &str) -> Result<()> {
    refused(reply, 422, "UNKNOWN_FIELD").with_context(|| member.to_owned())?;
    let field = reply.body["violations"][0]["field"].as_str().unwrap_or_default();
    ensure!(field.ends_with(member), "{member}: {}", reply.body);
    Ok(())
}

/// The body with one member more.
fn with(body: &Value, member: &str, value: &Value) -> Value {
    let mut body = body.clone();
    body[member] = value.clone();
    body
}

pub(super) async fn a064_registering_with_more(stage: &Stage) -> Result<()> {
    let email = new_email();
    let good = json!({"email": email, "password": PASSWORD, "display_name": "Eve"});
    for (member, value) in [
        ("role", json!("admin")),
        ("roles", json!(["admin"])),
        ("is_admin", json!(true)),
        ("isAdmin", json!(true)),
        ("admin", json!(1)),
        ("balance", json!(1_000_000)),
        ("email_verified", json!(true)),
        ("id", json!("00000000-0000-7000-8000-000000000001")),
        ("user_id", json!(1)),
        ("created_at", json!("2020-01-01T00:00:00Z")),
        ("version", json!(7)),
        ("status", json!("ACTIVE")),
        ("password_hash", json!("x")),
        ("session_epoch", json!(0)),
        ("tenant", json!("other")),
        ("Email", json!("x@example.com")),
        ("__proto__", json!({"a": 1})),
        ("constructor", json!({"prototype": {"admin": true}})),
        ("", json!(1)),
    ] {
        let visitor = stage.visitor()?;
        is_unknown(&visitor.post("/api/v1/users", &with(&good, member, &value)).await?, member)?;
    }
    // None of them left an account behind, and the plain one has no more than anybody has.
    let account = stage.visitor()?.post("/api/v1/users", &good).await?.require(201)?;
    ensure!(account["roles"] == json!(["customer"]) && account["version"] != 7, "{account}");
    Ok(())
}

pub(super) async fn a065_profile_with_more(stage: &Stage) -> Result<()> {
    let user = stage.user().await?;
    let before = user.api.get("/api/v1/users/me").await?.require(200)?;
    for (member, value) in [
        ("role", json!("admin")),
        ("roles", json!(["admin"])),
        ("password_hash", json!("x")),
        ("password", json!(CANARY)),
        ("status", json!("ACTIVE")),
        ("tenant", json!("other")),
        ("id", json!("00000000-0000-7000-8000-000000000001")),
        ("email", json!("a@example.com")),
        ("email_verified", json!(true)),
        ("version", json!(1)),
        ("created_at", json!(0)),
        ("session_epoch", json!(9)),
        ("is_admin", json!(true)),
    ] {
        for body in [json!({member: value}), json!({"display_name": "Eve", member: value})] {
            let request = user.api.request(Method::PATCH, "/api/v1/users/me").json(&body);
            let reply = user.api.send(request).await?;
            is_unknown(&reply, member)?;
            ensure!(!reply.body.to_string().contains(CANARY), "{}", reply.body);
        }
    }
    let after = user.api.get("/api/v1/users/me").await?.require(200)?;
    ensure!(before == after, "{before} became {after}");
    Ok(())
}

pub(super) async fn a066_order_with_more(stage: &Stage) -> Result<()> {
    let (user, victim) = (stage.user().await?, stage.user().await?);
    let good = json!({"items": [{"sku": TEA, "quantity": 1}], "payment_method": "pm_declined"});
    for (member, value) in [
        ("status", json!("PAID")),
        ("user_id", json!(victim.id)),
        ("total", json!(1)),
        ("total", json!({"amount": 1, "currency": "CNY"})),
        ("paid_at", json!("2026-01-01T00:00:00Z")),
        ("version", json!(2)),
        ("id", json!(victim.id)),
        ("currency", json!("JPY")),
        ("payment_id", json!(victim.id)),
        ("created_at", json!(0)),
        ("expires_at", json!(0)),
        ("idempotency_key", json!("other")),
        ("discount", json!(100)),
        ("coupon", json!("FREE")),
        ("callback_url", json!("http://127.0.0.1:1/")),
    ] {
        let body = with(&good, member, &value);
        is_unknown(&user.api.post_once("/api/v1/orders", &new_key(), &body).await?, member)?;
    }
    for (member, value) in [
        ("price", json!(1)),
        ("unit_price", json!({"amount": 1, "currency": "CNY"})),
        ("name", json!("Free")),
        ("amount", json!(1)),
        ("discount", json!(100)),
        ("stock", json!(0)),
    ] {
        let mut body = good.clone();
        body["items"][0][member] = value;
        is_unknown(&user.api.post_once("/api/v1/orders", &new_key(), &body).await?, member)?;
    }
    let placed = order(&user.api, "pm_declined").await?;
    let id = text(&placed, "id")?;
    for (member, value) in [("amount", json!(1)), ("status", json!("PAID")), ("order_id", json!(1))]
    {
        let body = json!({"payment_method": "pm_ok", member: value});
        let path = format!("/api/v1/orders/{id}/pay");
        is_unknown(&user.api.post_once(&path, &new_key(), &body).await?, member)?;
    }
    ensure!(read(&user.api, &id).await? == placed, "the order has changed");
    let orders = user.api.get("/api/v1/orders").await?.require(200)?;
    ensure!(orders["items"].as_array().map(Vec::len) == Some(1), "{orders}");
    Ok(())
}

/// The pointer, as JSON and as violations write it, of every place in a document.
fn places(value: &Value, pointer: &str, field: &str) -> Vec<(String, String)> {
    let mut all = vec![(pointer.to_owned(), field.to_owned())];
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let dot = if field.is_empty() { "" } else { "." };
                all.extend(places(
                    value,
                    &format!("{pointer}/{name}"),
                    &format!("{field}{dot}{name}"),
                ));
            }
        }
        Value::Array(items) => {
            for (at, value) in items.iter().enumerate() {
                all.extend(places(value, &format!("{pointer}/{at}"), &format!("{field}[{at}]")));
            }
        }
        _ => {}
    }
    all
}

pub(super) async fn a073_members_given_twice(stage: &Stage) -> Result<()> {
    for target in targets(stage).await? {
        for (pointer, field) in places(&target.body, "", "") {
            let Some((parent, name)) = pointer.rsplit_once('/') else { continue };
            if name.parse::<usize>().is_ok() {
                continue;
            }
            let same = target.body.pointer(&pointer).cloned().unwrap_or_default();
            for (second, spelling) in [
                (same, name.to_owned()),
                (json!(CANARY), name.to_owned()),
                (Value::Null, format!("\\u{:04x}{}", name.as_bytes()[0], &name[1..])),
            ] {
                let mut body = target.body.clone();
                body.pointer_mut(parent).context("no parent")?["~TWICE"] = second;
                let body = body.to_string().replace("~TWICE", &spelling);
                let reply = target.send(body).await?;
                refused_silently(&reply, 422, "DUPLICATE_FIELD", &[CANARY])
                    .with_context(|| format!("{} {field}", target.path))?;
                let found = &reply.body["violations"][0]["field"];
                ensure!(*found == json!(field), "{found} instead of {field}");
            }
        }
    }
    Ok(())
}

/// Members that may be absent or null, behind the end of the path that takes them.
const OPTIONAL: [(&str, &str); 3] =
    [("/users/me", "locale"), ("/users/me", "display_name"), ("/discard", "reason")];

pub(super) async fn a075_values_of_other_types(stage: &Stage) -> Result<()> {
    let others = [
        json!("text"),
        json!(17),
        json!(-17),
        json!(1.5),
        json!(true),
        json!([]),
        json!({}),
        Value::Null,
        json!([CANARY]),
        json!({"$gt": CANARY}),
    ];
    for target in targets(stage).await? {
        for (pointer, field) in places(&target.body, "", "") {
            let good = target.body.pointer(&pointer).context("no place")?;
            for other in &others {
                let same = std::mem::discriminant(other) == std::mem::discriminant(good);
                let takes =
                    |(end, member): &(&str, &str)| target.path.ends_with(end) && *member == field;
                let optional = other.is_null() && OPTIONAL.iter().any(takes);
                if optional || (same && !other.is_f64()) || pointer.is_empty() {
                    continue;
                }
                let mut body = target.body.clone();
                *body.pointer_mut(&pointer).context("no place")? = other.clone();
                let reply = target.send(body.to_string()).await?;
                refused_silently(&reply, 422, "VALIDATION_FAILED", &[CANARY])
                    .with_context(|| format!("{} {field}: {other}", target.path))?;
                let found = &reply.body["violations"][0]["field"];
                ensure!(*found == json!(field), "{found} instead of {field} for {other}");
            }
        }
    }
    Ok(())
}
