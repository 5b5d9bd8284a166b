//! Accounts, passwords, sessions and tokens.

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chassis::testing::tokens::TestIssuer;
use fleet::harness::Api;
use fleet::harness::api::new_email;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Stage;
use crate::support::text;

const PASSWORD: &str = "correct horse battery";

pub(super) async fn produce(stage: &mut Stage) -> Result<()> {
    registration(stage).await?;
    profile(stage).await?;
    sessions(stage).await?;
    tokens(stage).await?;
    administration(stage).await
}

async fn registration(stage: &mut Stage) -> Result<()> {
    let Stage { visitor, seen, .. } = stage;
    let email = new_email();
    visitor.register(&email, PASSWORD, "Ada").await?.require(201)?;
    seen.expect(&visitor.register(&email, PASSWORD, "Eve").await?, "ACCOUNT_EXISTS")?;
    seen.expect(&visitor.register(&new_email(), "password1", "Eve").await?, "PASSWORD_WEAK")?;
    let body = json!({"email": email, "password": "not the password"});
    seen.expect(&visitor.post("/api/v1/auth/login", &body).await?, "CREDENTIALS_INVALID")
}

async fn profile(stage: &mut Stage) -> Result<()> {
    let Stage { customer, seen, .. } = stage;
    let body = json!({"current_password": "not the password", "new_password": PASSWORD});
    let refused = customer.put("/api/v1/users/me/password", &body).await?;
    seen.expect(&refused, "CURRENT_PASSWORD_WRONG")?;
    throttled(stage).await?;
    links(stage).await?;
    let Stage { customer, seen, .. } = stage;
    for (tag, code) in [("v99", "IF_MATCH_INVALID"), ("\"v99\"", "VERSION_MISMATCH")] {
        let request = customer.request(Method::PATCH, "/api/v1/users/me");
        let request = request.header("if-match", tag).json(&json!({"display_name": "Eve"}));
        seen.expect(&customer.send(request).await?, code)?;
    }
    Ok(())
}

/// A token that nobody was sent, and mail until there is a pause.
async fn links(stage: &mut Stage) -> Result<()> {
    let Stage { visitor, seen, .. } = stage;
    let body = json!({"token": "A".repeat(43)});
    let unknown = visitor.post("/api/v1/auth/email-verification", &body).await?;
    seen.expect(&unknown, "USER_TOKEN_INVALID")?;
    let (body, mut replies) = (json!({"email": new_email()}), Vec::new());
    for _ in 0..6 {
        replies.push(visitor.post("/api/v1/auth/password-recovery", &body).await?);
    }
    let throttled = replies.iter().find(|reply| reply.code() == "MAIL_THROTTLED");
    seen.expect(throttled.context("6 requests for mail and no pause")?, "MAIL_THROTTLED")
}

/// Wrong passwords until there is a pause.
async fn throttled(stage: &mut Stage) -> Result<()> {
    let Stage { visitor, seen, .. } = stage;
    let email = new_email();
    visitor.register(&email, PASSWORD, "Ada").await?.require(201)?;
    let user = visitor.login(&email, PASSWORD).await?;
    let change = json!({"current_password": "not the password", "new_password": PASSWORD});
    let login = json!({"email": new_email(), "password": "not the password"});
    let mut replies = Vec::new();
    for _ in 0..20 {
        replies.push(user.put("/api/v1/users/me/password", &change).await?);
        replies.push(visitor.post("/api/v1/auth/login", &login).await?);
    }
    for code in ["PASSWORD_THROTTLED", "LOGIN_THROTTLED"] {
        let reply = replies.iter().find(|reply| reply.code() == code);
        seen.expect(reply.with_context(|| format!("20 guesses and no {code}"))?, code)?;
    }
    Ok(())
}

async fn sessions(stage: &mut Stage) -> Result<()> {
    let Stage { fleet, visitor, customer, seen, .. } = stage;
    let email = new_email();
    visitor.register(&email, PASSWORD, "Ada").await?.require(201)?;
    let body = json!({"email": email, "password": PASSWORD});
    let first = visitor.post("/api/v1/auth/login", &body).await?.require(200)?;
    let refresh = async |token: &Value| {
        visitor.post("/api/v1/auth/refresh", &json!({"refresh_token": token})).await
    };
    let second = refresh(&first["refresh_token"]).await?.require(200)?;
    refresh(&second["refresh_token"]).await?.require(200)?;
    seen.expect(&refresh(&first["refresh_token"]).await?, "REFRESH_REUSED")?;
    seen.expect(&refresh(&json!("not-a-token")).await?, "REFRESH_INVALID")?;
    let ended = visitor.with_token(text(&second, "access_token")?);
    let refused = fleet
        .eventually("the end of the session being known", || async {
            let reply = ended.get("/api/v1/users/me").await?;
            Ok((reply.status == 401).then_some(reply))
        })
        .await?;
    seen.expect(&refused, "TOKEN_REVOKED")?;
    let nobodys = format!("/api/v1/auth/sessions/{}", Uuid::from_u128(1));
    let request = customer.request(Method::DELETE, &nobodys);
    seen.expect(&customer.send(request).await?, "SESSION_NOT_FOUND")
}

/// Publishes a key of the test's own beside that of the fleet, as another replica of auth-service
/// would, and signs tokens that a client cannot get.
async fn tokens(stage: &mut Stage) -> Result<()> {
    let Stage { fleet, visitor, customer, seen, .. } = stage;
    let path = "/api/v1/users/me";
    seen.expect(&visitor.get(path).await?, "TOKEN_MISSING")?;
    seen.expect(&visitor.with_token("not.a.token").get(path).await?, "TOKEN_INVALID")?;
    let issuer = TestIssuer::new();
    publish(fleet, &issuer).await?;
    let me = customer.get(path).await?.require(200)?;
    let me: Uuid = text(&me, "id")?.parse()?;
    let signed = |adjust: fn(&mut chassis::auth::Claims)| {
        let mut claims = issuer.claims(me, &["customer"]);
        adjust(&mut claims);
        visitor.with_token(issuer.sign(&claims))
    };
    let good = signed(|_| {});
    fleet
        .eventually("the new key being known", || async {
            Ok((good.get(path).await?.status == 200).then_some(()))
        })
        .await?;
    let expired = signed(|claims| {
        claims.iat -= 2_000;
        claims.exp = claims.iat + 900;
    });
    seen.expect(&expired.get(path).await?, "TOKEN_EXPIRED")?;
    let early = signed(|claims| claims.nbf = Some(claims.iat + 600));
    seen.expect(&early.get(path).await?, "TOKEN_NOT_YET_VALID")
}

async fn publish(fleet: &fleet::Fleet, issuer: &TestIssuer) -> Result<()> {
    let keys = serde_json::to_value(issuer.key_set())?;
    let public = keys["keys"][0]["x"].as_str().context("a key without its public part")?;
    let mut connection = fleet.database("auth-service").await?;
    sqlx::query(
        "INSERT INTO signing_keys (kid, public_key, sealed_key, created_at, published_until) \
         VALUES (?, ?, '', UTC_TIMESTAMP(6), UTC_TIMESTAMP(6) + INTERVAL 1 DAY)",
    )
    .bind(issuer.key_id())
    .bind(URL_SAFE_NO_PAD.decode(public)?)
    .execute(&mut connection)
    .await?;
    Ok(())
}

async fn administration(stage: &mut Stage) -> Result<()> {
    let Stage { visitor, customer, admin, seen, .. } = stage;
    seen.expect(&customer.get("/api/v1/users").await?, "PERMISSION_DENIED")?;
    let nobody = format!("/api/v1/users/{}", Uuid::from_u128(1));
    seen.expect(&admin.get(&nobody).await?, "USER_NOT_FOUND")?;
    let me = admin.get("/api/v1/users/me").await?.require(200)?;
    let me = text(&me, "id")?;
    seen.expect(&set_status(admin, &me, "DISABLED").await?, "OWN_ACCOUNT")?;
    let resign = json!({"roles": ["customer"]});
    let refused = admin.put(&format!("/api/v1/users/{me}/roles"), &resign).await?;
    seen.expect(&refused, "LAST_ADMIN")?;

    let email = new_email();
    let account = visitor.register(&email, PASSWORD, "Eve").await?.require(201)?;
    set_status(admin, &text(&account, "id")?, "DISABLED").await?.require(200)?;
    let body = json!({"email": email, "password": PASSWORD});
    seen.expect(&visitor.post("/api/v1/auth/login", &body).await?, "ACCOUNT_DISABLED")
}

async fn set_status(admin: &Api, user: &str, status: &str) -> Result<fleet::harness::Reply> {
    admin.put(&format!("/api/v1/users/{user}/status"), &json!({"status": status})).await
}
