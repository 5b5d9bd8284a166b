//! Functions of administrators, and requests that pretend to be other requests.

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::json;

use crate::support::contract::{Who, operations};
use crate::support::problem::refused;
use crate::support::stage::{PASSWORD, Stage};
use crate::support::{order, own_id, raw, read, text};

pub(super) async fn a057_operations_of_administrators(stage: &Stage) -> Result<()> {
    let user = stage.user().await?;
    let visitor = stage.visitor()?;
    let admin = stage.admin().await?;
    let paid = text(&order(&user.api, "pm_ok").await?, "id")?;
    let before = read(&user.api, &paid).await?;
    let all = operations(&visitor).await?;
    let restricted: Vec<_> = all.iter().filter(|one| one.who == Who::Admin).collect();
    ensure!(restricted.len() >= 13, "{restricted:?}");
    for operation in restricted {
        let reply = user.api.send(operation.request(&user.api)).await?;
        refused(&reply, 403, "PERMISSION_DENIED").with_context(|| format!("{operation:?}"))?;
        // Even about the user's own objects, and with a complete body.
        for id in [&paid, &user.id.to_string()] {
            let path = operation.path_of(id);
            let request = user.api.request(operation.method.clone(), &path);
            let body = match path.rsplit_once('/') {
                Some((_, "status")) => json!({"status": "ACTIVE"}),
                Some((_, "roles")) => json!({"roles": ["admin"]}),
                _ => {
                    json!({"name": "Free", "unit_price": {"amount": 1, "currency": "CNY"}, "stock": 1})
                }
            };
            let request = if operation.has_body { request.json(&body) } else { request };
            refused(&user.api.send(request).await?, 403, "PERMISSION_DENIED")?;
        }
        refused(&visitor.send(operation.request(&visitor)).await?, 401, "TOKEN_MISSING")?;
        let allowed = admin.send(operation.request(&admin)).await?;
        ensure!(![401, 403].contains(&allowed.status), "{operation:?}: {}", allowed.body);
    }
    ensure!(read(&user.api, &paid).await? == before, "the order has changed");
    let me = user.api.get("/api/v1/users/me").await?.require(200)?;
    ensure!(me["roles"] == json!(["customer"]), "{me}");
    Ok(())
}

pub(super) async fn a058_methods_in_disguise(stage: &Stage) -> Result<()> {
    let user = stage.user().await?;
    let placed = order(&user.api, "pm_declined").await?;
    let path = format!("/api/v1/orders/{}", text(&placed, "id")?);
    for verb in ["DELETE", "PATCH", "PUT", "POST", "delete", "TRACE"] {
        for header in ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "_method"] {
            let request = user.api.request(Method::GET, &path).header(header, verb);
            ensure!(user.api.send(request).await?.require(200)? == placed, "{header}: {verb}");
            let request = user.api.request(Method::PATCH, "/api/v1/users/me").header(header, verb);
            let changed = user.api.send(request.json(&json!({"locale": "en"}))).await?;
            ensure!(changed.require(200)?["locale"] == "en", "{header}: {verb}");
        }
        let reply = user.api.get(&format!("{path}?_method={verb}")).await?;
        refused(&reply, 400, "QUERY_INVALID")?;
        let body = json!({"locale": "zh-CN", "_method": verb});
        let request = user.api.request(Method::PATCH, "/api/v1/users/me").json(&body);
        refused(&user.api.send(request).await?, 422, "UNKNOWN_FIELD")?;
    }
    ensure!(read(&user.api, &text(&placed, "id")?).await? == placed, "the order has changed");
    Ok(())
}

/// Ways to write a path so that a careless reader finds another one behind it.
const TRICKS: [&str; 50] = [
    "//api/v1/users",
    "///api/v1/users",
    "/api//v1/users",
    "/api/v1//users",
    "/api/v1/users/",
    "/api/v1/users//",
    "/./api/v1/users",
    "/api/./v1/users",
    "/api/v1/./users",
    "/api/v1/users;/me",
    "/api/v1/x/../users",
    "/livez/../api/v1/users",
    "/docs/../api/v1/users",
    "/api/v1/users/x/..",
    "/api/v1/orders/../users",
    "/api/v1/orders/..;/users",
    "/api/v1/orders/..;/admin/services",
    "/api/v1/products/..;/..;/v1/users",
    "/API/v1/users",
    "/api/V1/users",
    "/api/v1/Users",
    "/api/v1/ADMIN/services",
    "/api%2fv1%2fusers",
    "/api/v1%2fusers",
    "/%61pi%2fv1/users",
    "/api/v1/users%2f",
    "/api/v1/users%00",
    "/api/v1/users%20",
    "/api/v1/users%0a",
    "/api/v1/users.",
    "/api/v1/users.json",
    "/api/v1/users.html",
    "/api/v1/users;a=b",
    "/api/v1/users;jsessionid=1",
    "/api;/v1/users",
    "/;/api/v1/users",
    "/api/v1/admin;/services",
    "/api/v1/admin/services;.css",
    "/api\\v1\\users",
    "/api/v1\\users",
    "/api/v1/users\\..\\users",
    "/%2e/api/v1/users",
    "/api/%2e%2e/api/v1/users",
    "/docs/%2e%2e/api/v1/users",
    "/docs/..%2fapi%2fv1%2fusers",
    "/api/%252e%252e/v1/users",
    "/api/v1/%2575sers",
    "/api/v1/users~",
    "/.well-known/../api/v1/users",
    "/api/v1/admin",
];

pub(super) async fn a059_paths_in_disguise(stage: &Stage) -> Result<()> {
    let user = stage.user().await?;
    let admin = stage.admin().await?;
    let callers = [None, user.api.token(), admin.token()];
    for path in TRICKS {
        for token in callers {
            let bearer = format!("Bearer {}", token.unwrap_or_default());
            let headers = [("authorization", bearer.as_bytes())];
            let headers = if token.is_some() { &headers[..] } else { &[] };
            let line = format!("GET {path}");
            let reply = raw::ask(stage.gateway(0), &raw::request(&line, headers, b"")).await;
            let reply = reply.with_context(|| path.to_owned())?;
            ensure!(reply.status == 404, "{path}: {} {}", reply.status, reply.body);
            refused(&reply, 404, "ROUTE_NOT_FOUND")?;
        }
    }
    // Escapes of characters that need none make another way to write the same path, to which the
    // same rules apply.
    for path in ["/api/v1/%75sers", "/%61pi/v1/users", "/api/v1/user%73"] {
        let line = format!("GET {path}");
        let reply = raw::ask(stage.gateway(0), &raw::request(&line, &[], b"")).await?;
        ensure!([401, 404].contains(&reply.status), "{path}: {} {}", reply.status, reply.body);
    }
    Ok(())
}

pub(super) async fn a060_administrators_and_themselves(stage: &Stage) -> Result<()> {
    let admin = stage.admin().await?;
    let first = own_id(&admin).await?;
    let set = async |api: &fleet::harness::Api, id: &str, what: &str, value: serde_json::Value| {
        api.put(&format!("/api/v1/users/{id}/{what}"), &json!({what: value})).await
    };
    let own_status = set(&admin, &first, "status", json!("DISABLED")).await?;
    refused(&own_status, 409, "OWN_ACCOUNT")?;
    let own_roles = set(&admin, &first, "roles", json!(["customer"])).await?;
    refused(&own_roles, 409, "LAST_ADMIN")?;
    // With a second one, the first is not the last any more, and still not shut out by itself.
    let second = stage.user().await?;
    let id = second.id.to_string();
    set(&admin, &id, "roles", json!(["admin", "customer"])).await?.require(200)?;
    let promoted = stage.visitor()?.login(&second.email, PASSWORD).await?;
    let own_status = set(&promoted, &id, "status", json!("DISABLED")).await?;
    refused(&own_status, 409, "OWN_ACCOUNT")?;
    let me = promoted.get("/api/v1/users/me").await?.require(200)?;
    ensure!(me["status"] == "ACTIVE", "{me}");
    set(&admin, &id, "status", json!("DISABLED")).await?.require(200)?;
    // A disabled administrator does not count.
    let own_roles = set(&admin, &first, "roles", json!(["customer"])).await?;
    refused(&own_roles, 409, "LAST_ADMIN")?;
    admin.get("/api/v1/users").await?.require(200)?;
    Ok(())
}
