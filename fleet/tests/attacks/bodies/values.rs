//! Text that is none, that means something to somebody, and that is as long as it may be.

use anyhow::{Context, Result, ensure};
use fleet::harness::api::{new_email, new_key};
use reqwest::Method;
use serde_json::{Value, json};

use super::{CANARY, targets};
use crate::support::problem::{refused, refused_silently};
use crate::support::stage::{PASSWORD, Stage};

/// Text in JSON, byte for byte, that is no Unicode text.
const BROKEN: [&[u8]; 12] = [
    b"\\ud800",
    b"\\udc00",
    b"\\ud800\\ud800",
    b"\\udfff\\ud800",
    b"\\ud83d",
    b"\xff",
    b"\xc0\xaf",
    b"\xed\xa0\x80",
    b"\xf5\x80\x80\x80",
    b"\xe2\x82",
    b"\x80",
    b"\\u00",
];

pub(super) async fn a074_text_that_is_none(stage: &Stage) -> Result<()> {
    for target in targets(stage).await? {
        let members = target.body.as_object().into_iter().flatten();
        let Some((name, _)) = members.into_iter().find(|(_, value)| value.is_string()) else {
            continue;
        };
        let around = |text: &[u8]| {
            let mut body = target.body.clone();
            body[name] = json!("HERE");
            let body = body.to_string();
            let (before, after) = body.split_once("HERE").unwrap_or_default();
            [before.as_bytes(), text, after.as_bytes()].concat()
        };
        for text in BROKEN {
            let reply = target.send(around(text)).await?;
            refused_silently(&reply, 400, "JSON_INVALID", &[CANARY])
                .with_context(|| format!("{} {text:?}", target.path))?;
        }
        // A control character has to be escaped; escaped, it is text, which the field refuses or,
        // in a password, takes as it is.
        for text in [b"\0".as_slice(), b"\n", b"\x1f"] {
            refused(&target.send(around(text)).await?, 400, "JSON_INVALID")?;
        }
        let escaped = target.send(around(b"\\u0000")).await?;
        // Who lost a password is answered in the same way, whatever stands for an address.
        let known: &[u16] = if target.path.ends_with("/password-recovery") {
            &[202]
        } else {
            &[401, 403, 404, 422]
        };
        ensure!(known.contains(&escaped.status), "{}: {}", target.path, escaped.body);
    }
    Ok(())
}

/// Text that some interpreter might run.
const MEANINGFUL: [&str; 14] = [
    "__proto__",
    "constructor",
    "{\"$where\": \"sleep(100)\"}",
    "{{7*7}}",
    "${7*7}",
    "#{7*7}",
    "${jndi:ldap://127.0.0.1/a}",
    "<script>alert(1)</script>",
    "'; DROP TABLE users; --",
    "$(id)",
    "`id`",
    "%s%s%n",
    "=1+1",
    "../../etc/passwd",
];

pub(super) async fn a076_text_that_means_something(stage: &Stage) -> Result<()> {
    let user = stage.user().await?;
    let admin = stage.admin().await?;
    for text in MEANINGFUL {
        // Where a name takes it, it comes back as it is; where it does not, it is refused.
        let request = user.api.request(Method::PATCH, "/api/v1/users/me");
        let reply = user.api.send(request.json(&json!({"display_name": text}))).await?;
        if reply.status == 200 {
            let me = user.api.get("/api/v1/users/me").await?.require(200)?;
            ensure!(me["display_name"] == text, "{text} became {}", me["display_name"]);
        } else {
            refused(&reply, 422, reply.code()).context(text)?;
        }
        let price = json!({"amount": 100, "currency": "CNY"});
        let body = json!({"name": text, "unit_price": price, "stock": 1});
        let product = admin.put("/api/v1/products/ODD-TEXT", &body).await?;
        let product = product.require_any(&[200, 201])?;
        ensure!(product["name"] == text, "{text} became {}", product["name"]);
        let read = user.api.get("/api/v1/products/ODD-TEXT").await?;
        let kind = read.header("content-type").map(str::to_owned);
        ensure!(kind.as_deref() == Some("application/json"), "{kind:?}");
        ensure!(read.require(200)?["name"] == text, "{text}");
        let items = json!([{"sku": text, "quantity": 1}]);
        let body = json!({"items": items, "payment_method": "pm_ok"});
        let reply = user.api.post_once("/api/v1/orders", &new_key(), &body).await?;
        refused(&reply, 422, "VALIDATION_FAILED").context(text)?;
        let body = json!({"items": [{"sku": "TEA-001", "quantity": 1}], "payment_method": text});
        let reply = user.api.post_once("/api/v1/orders", &new_key(), &body).await?;
        ensure!(reply.status == 422, "{text}: {}", reply.body);
        let body = json!({"email": text, "password": text});
        let reply = stage.visitor()?.post("/api/v1/auth/login", &body).await?;
        ensure!([401, 422].contains(&reply.status), "{text}: {}", reply.body);
    }
    Ok(())
}

pub(super) async fn a077_text_at_its_limits(stage: &Stage) -> Result<()> {
    let user = stage.user().await?;
    let rename = async |name: &str| {
        let request = user.api.request(Method::PATCH, "/api/v1/users/me");
        user.api.send(request.json(&json!({"display_name": name}))).await
    };
    // Characters, not bytes: the fourth takes four bytes of each, at the limit of utf8mb4.
    for letter in ["a", "é", "茶", "🫖"] {
        let (most, more) = (letter.repeat(64), letter.repeat(65));
        let renamed = rename(&most).await?.require(200)?;
        ensure!(renamed["display_name"] == most, "{letter}: {renamed}");
        let me = user.api.get("/api/v1/users/me").await?.require(200)?;
        ensure!(me["display_name"] == most, "{letter}: cut or changed");
        refused(&rename(&more).await?, 422, "VALIDATION_FAILED").context(letter)?;
    }
    let admin = stage.admin().await?;
    let price = json!({"amount": 100, "currency": "CNY"});
    for (letter, status) in [("a", 201), ("茶", 200), ("🫖", 200)] {
        let put = async |name: String| {
            let body = json!({"name": name, "unit_price": price, "stock": 1});
            admin.put("/api/v1/products/LONG-NAME", &body).await
        };
        let product = put(letter.repeat(128)).await?.require(status)?;
        ensure!(product["name"] == letter.repeat(128), "{letter}: {product}");
        refused(&put(letter.repeat(129)).await?, 422, "VALIDATION_FAILED")?;
    }
    let sku = |length: usize| format!("/api/v1/products/{}", "S".repeat(length));
    let body = json!({"name": "Long", "unit_price": price, "stock": 1});
    admin.put(&sku(64), &body).await?.require_any(&[200, 201])?;
    refused(&admin.put(&sku(65), &body).await?, 422, "VALIDATION_FAILED")?;
    let email = |length: usize| {
        let unique = new_email();
        let local = &unique[..unique.find('@').unwrap_or(unique.len())];
        let domain = "d".repeat(60);
        let mut host = vec![domain; 4].join(".");
        host.truncate(length - local.len() - 1 - ".example".len());
        format!("{local}@{host}.example")
    };
    for (length, status) in [(254, 201), (255, 422)] {
        let reply = stage.visitor()?.register(&email(length), PASSWORD, "Long").await?;
        ensure!(reply.status == status, "{length}: {} {}", reply.status, reply.body);
    }
    for (length, status) in [(128, 201), (129, 422)] {
        // Long, and not a repetition that is easily guessed.
        let password: String = ('!'..='z').cycle().step_by(7).take(length).collect();
        let reply = stage.visitor()?.register(&new_email(), &password, "Long").await?;
        ensure!(reply.status == status, "{length}: {} {}", reply.status, reply.body);
    }
    let body =
        |sku: Value| json!({"items": [{"sku": sku, "quantity": 1}], "payment_method": "pm_ok"});
    for sku in ["S".repeat(65), String::new()] {
        let reply = user.api.post_once("/api/v1/orders", &new_key(), &body(json!(sku))).await?;
        refused(&reply, 422, "VALIDATION_FAILED")?;
    }
    Ok(())
}
