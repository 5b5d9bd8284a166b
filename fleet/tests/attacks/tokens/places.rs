//! Where a token stands, what kind of token it is, and what stands in its place.

use anyhow::{Context, Result, ensure};
use fleet::harness::Api;
use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use super::{PATH, all_refused, is_accepted};
use crate::support::contract::{Who, operations};
use crate::support::problem::{refused, refused_silently};
use crate::support::stage::{PASSWORD, Stage};
use crate::support::{order, own_id, raw, text};

pub(super) async fn a001_no_token(stage: &Stage) -> Result<()> {
    let visitor = stage.visitor()?;
    for operation in operations(&visitor).await? {
        let reply = visitor.send(operation.request(&visitor)).await?;
        if operation.who == Who::Anyone {
            ensure!(reply.code() != "TOKEN_MISSING", "{operation:?} is open");
            continue;
        }
        refused(&reply, 401, "TOKEN_MISSING")?;
        let challenge = reply.header("www-authenticate").unwrap_or_default();
        ensure!(challenge.starts_with("Bearer"), "{operation:?}: {challenge}");
    }
    Ok(())
}

pub(super) async fn a002_empty_and_odd_authorization(stage: &Stage) -> Result<()> {
    let user = stage.user().await?;
    let token = user.api.token().context("no token")?;
    let values = [
        "Bearer",
        "Bearer ",
        "Bearer  ",
        "Bearer null",
        "Bearer undefined",
        "Bearer [object Object]",
        "Bearer \"\"",
        "Bearer ,",
        "Bearer Bearer",
        "Bearer:",
        "",
        " ",
        "null",
    ];
    let with_token = [
        format!("Basic {token}"),
        format!("Token {token}"),
        format!("JWT {token}"),
        format!("DPoP {token}"),
        format!("BearerX {token}"),
        format!("Bearer,{token}"),
        format!("Bearer={token}"),
        format!("Bearer:{token}"),
        format!("Bearer {token} {token}"),
        format!("Bearer {token},{token}"),
        format!("Bearer {token}, Bearer {token}"),
        format!("Bearer \"{token}\""),
        format!("Bearer {token}; a=b"),
        format!("Bearer Bearer {token}"),
        token.to_owned(),
        format!("Bearer\u{a0}{token}"),
    ];
    let line = format!("GET {PATH}");
    let ask = async |headers: &[(&str, &[u8])]| {
        raw::ask(stage.gateway(0), &raw::request(&line, headers, b"")).await
    };
    for value in values.into_iter().map(str::to_owned).chain(with_token) {
        let reply = ask(&[("authorization", value.as_bytes())]).await?;
        refused_silently(&reply, 401, "TOKEN_INVALID", &[token]).with_context(|| value.clone())?;
    }
    let bearer = format!("Bearer {token}");
    let garbage = [b"Bearer ", token.as_bytes(), b"\xff"].concat();
    for headers in [
        vec![bearer.as_bytes(), bearer.as_bytes()],
        vec![bearer.as_bytes(), b"Basic QTpC"],
        vec![b"Bearer null".as_slice(), bearer.as_bytes()],
        vec![garbage.as_slice()],
    ] {
        let headers: Vec<_> = headers.into_iter().map(|value| ("authorization", value)).collect();
        let reply = ask(&headers).await?;
        refused_silently(&reply, 401, "TOKEN_INVALID", &[token])?;
    }
    ensure!(ask(&[("authorization", bearer.as_bytes())]).await?.status == 200, "the good one");
    is_accepted(stage, token).await
}

pub(super) async fn a015_refresh_and_access_tokens_swapped(stage: &Stage) -> Result<()> {
    let user = stage.user().await?;
    let forger = stage.forger(user.id);
    let visitor = stage.visitor()?;
    let body = json!({"email": user.email, "password": PASSWORD});
    let session = visitor.post("/api/v1/auth/login", &body).await?.require(200)?;
    let (access, refresh) = (text(&session, "access_token")?, text(&session, "refresh_token")?);
    let mut tokens = vec![("refresh token", refresh.clone())];
    for typ in ["rt+jwt", "JWT", "jwt", "refresh+jwt", "id_token", "at+jwt ", "dpop+jwt", ""] {
        tokens.push(("typ", forger.with_header(json!({"typ": typ}))));
    }
    tokens.push(("no typ", forger.with_header(json!({"typ": null}))));
    tokens.push(("typ is a list", forger.with_header(json!({"typ": ["at+jwt"]}))));
    all_refused(stage, "TOKEN_INVALID", &tokens).await?;
    let forged = [access.clone(), forger.good(), forger.with_header(json!({"typ": "rt+jwt"}))];
    for token in forged {
        let body = json!({"refresh_token": token});
        let reply = visitor.post("/api/v1/auth/refresh", &body).await?;
        refused_silently(&reply, 401, "REFRESH_INVALID", &[&token])?;
    }
    // Trying them did not spend the session.
    visitor.post("/api/v1/auth/refresh", &json!({"refresh_token": refresh})).await?.require(200)?;
    is_accepted(stage, &access).await
}

pub(super) async fn a016_tokens_of_services(stage: &Stage) -> Result<()> {
    let user = stage.user().await?;
    let forger = stage.forger(user.id);
    let mut tokens = Vec::new();
    for service in fleet::services::Service::ALL {
        let spiffe = format!("spiffe://enterprisehub/{}", service.name);
        tokens.extend([
            ("for a service", forger.with_claims(json!({"aud": service.name}))),
            ("for a service by its identity", forger.with_claims(json!({"aud": spiffe}))),
            ("by a service", forger.with_claims(json!({"iss": service.name}))),
            ("of a service", forger.with_claims(json!({"sub": service.name}))),
            ("of a service by its identity", forger.with_claims(json!({"sub": spiffe}))),
            ("also for a service", forger.with_claims(json!({"aud": [service.name, spiffe]}))),
        ]);
    }
    for typ in ["svc+jwt", "service+jwt", "JWT-SVID"] {
        tokens.push(("typ of a service's token", forger.with_header(json!({"typ": typ}))));
    }
    all_refused(stage, "TOKEN_INVALID", &tokens).await?;
    // What a service says of itself is no role that opens anything.
    let claimed = forger.with_claims(json!({"roles": ["service", "internal", "root"]}));
    let reply = stage.visitor()?.with_token(claimed).get("/api/v1/users").await?;
    refused(&reply, 403, "PERMISSION_DENIED")
}

pub(super) async fn a023_tokens_where_none_is_offered(stage: &Stage) -> Result<()> {
    let user = stage.user().await?;
    let token = user.api.token().context("no token")?;
    let visitor = stage.visitor()?;
    for name in ["access_token", "token", "jwt", "bearer", "Authorization", "authorization"] {
        let path = format!("{PATH}?{name}={token}");
        refused_silently(&visitor.get(&path).await?, 401, "TOKEN_MISSING", &[token])?;
        let bearer = format!("{PATH}?{name}=Bearer%20{token}");
        refused_silently(&visitor.get(&bearer).await?, 401, "TOKEN_MISSING", &[token])?;
        let cookie = format!("{name}={token}; session={token}");
        let request = visitor.request(Method::GET, PATH).header("cookie", cookie);
        refused_silently(&visitor.send(request).await?, 401, "TOKEN_MISSING", &[token])?;
        let request = visitor.request(Method::POST, "/api/v1/orders").json(&json!({name: token}));
        refused_silently(&visitor.send(request).await?, 401, "TOKEN_MISSING", &[token])?;
    }
    for header in [
        "x-access-token",
        "x-auth-token",
        "proxy-authorization",
        "x-authorization",
        "x-jwt",
        "authorization-token",
        "x-forwarded-authorization",
        "sec-websocket-protocol",
    ] {
        let value = format!("Bearer {token}");
        let request = visitor.request(Method::GET, PATH).header(header, value);
        refused_silently(&visitor.send(request).await?, 401, "TOKEN_MISSING", &[token])?;
    }
    is_accepted(stage, token).await
}

/// Headers by which proxies tell applications who asks.
const IDENTITY_HEADERS: [&str; 14] = [
    "X-User-Id",
    "X-User",
    "X-User-Role",
    "X-User-Roles",
    "X-Role",
    "X-Roles",
    "X-Forwarded-User",
    "X-Remote-User",
    "X-Authenticated-User",
    "X-Auth-Request-User",
    "X-Consumer-Id",
    "X-Admin",
    "eh-user-id",
    "eh-user-roles",
];

pub(super) async fn a025_identity_in_headers(stage: &Stage) -> Result<()> {
    let (user, victim) = (stage.user().await?, stage.user().await?);
    let bought = text(&order(&victim.api, "pm_ok").await?, "id")?;
    let admin = own_id(&stage.admin().await?).await?;
    let victim = victim.id.to_string();
    let with = async |api: &Api, path: &str, value: &str| {
        let request = api.request(Method::GET, path);
        let request = IDENTITY_HEADERS.iter().fold(request, |all, name| all.header(*name, value));
        api.send(request).await
    };
    for value in [victim.as_str(), admin.as_str(), "admin", "customer,admin", "true", "root"] {
        let me = with(&user.api, PATH, value).await?.require(200)?;
        ensure!(me["id"] == json!(user.id) && me["roles"] == json!(["customer"]), "{me}");
        let foreign = with(&user.api, &format!("/api/v1/orders/{bought}"), value).await?;
        refused(&foreign, 404, "ORDER_NOT_FOUND")?;
        let orders = with(&user.api, "/api/v1/orders", value).await?.require(200)?;
        ensure!(orders["items"] == json!([]), "{orders}");
        refused(&with(&user.api, "/api/v1/users", value).await?, 403, "PERMISSION_DENIED")?;
        let anonymous = with(&stage.visitor()?, PATH, value).await?;
        refused(&anonymous, 401, "TOKEN_MISSING")?;
    }
    let nobody = Uuid::from_u128(1).to_string();
    let me = with(&user.api, PATH, &nobody).await?.require(200)?;
    ensure!(me["id"] == json!(user.id), "{me}");
    Ok(())
}
