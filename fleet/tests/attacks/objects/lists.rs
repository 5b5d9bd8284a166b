//! Lists: whose they are, where they go on, and how much of them is shown.

use anyhow::{Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use uuid::Uuid;

use crate::support::problem::refused;
use crate::support::stage::Stage;
use crate::support::{order, text};

pub(super) async fn a056_filters_for_others(stage: &Stage) -> Result<()> {
    let (owner, stranger) = (stage.user().await?, stage.user().await?);
    order(&owner.api, "pm_ok").await?;
    let victim = owner.id;
    for path in ["/api/v1/orders", "/api/v1/notifications", "/api/v1/users/me"] {
        for query in [
            format!("user_id={victim}"),
            format!("userId={victim}"),
            format!("user={victim}"),
            format!("owner={victim}"),
            format!("user_id[]={victim}"),
            format!("user_id%5B%5D={victim}"),
            format!("%75ser_id={victim}"),
            format!("USER_ID={victim}"),
            format!("sub={victim}"),
            format!("filter[user_id]={victim}"),
            format!("user_id={victim}&user_id={victim}"),
            "user_id=".to_owned(),
            "user_id".to_owned(),
            "where=1%3D1".to_owned(),
            "all=true".to_owned(),
            "order_by=user_id".to_owned(),
            "fields=*".to_owned(),
            "page_size=1;user_id=2".to_owned(),
            "page_size=1&page_size=100".to_owned(),
            "page_size=1&page%5Fsize=2".to_owned(),
            "page_size[]=1".to_owned(),
            "page_size[0]=1".to_owned(),
            "status[$ne]=PAID".to_owned(),
        ] {
            let reply = stranger.api.get(&format!("{path}?{query}")).await?;
            let is_value = query.starts_with("page_size=1;") && path != "/api/v1/users/me";
            let expected =
                if is_value { (422, "VALIDATION_FAILED") } else { (400, "QUERY_INVALID") };
            refused(&reply, expected.0, expected.1)?;
        }
    }
    let orders = stranger.api.get("/api/v1/orders?page_size=100").await?.require(200)?;
    ensure!(orders["items"] == json!([]), "{orders}");
    Ok(())
}

pub(super) async fn a062_page_tokens_of_others(stage: &Stage) -> Result<()> {
    let (owner, stranger) = (stage.user().await?, stage.user().await?);
    let mut placed = Vec::new();
    for _ in 0..3 {
        placed.push(text(&order(&owner.api, "pm_ok").await?, "id")?);
        order(&stranger.api, "pm_ok").await?;
    }
    let first = owner.api.get("/api/v1/orders?page_size=1").await?.require(200)?;
    let token = text(&first, "next_page_token")?;
    let list = "/api/v1/orders?page_size=1";
    refused(
        &stranger.api.get(&format!("{list}&page_token={token}")).await?,
        400,
        "CURSOR_INVALID",
    )?;
    let bytes = URL_SAFE_NO_PAD.decode(&token)?;
    let mut forged = Vec::new();
    for at in 0..bytes.len() {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1;
        forged.push(URL_SAFE_NO_PAD.encode(&bytes));
        forged.push(URL_SAFE_NO_PAD.encode(&bytes[..at]));
    }
    forged.retain(|forged| !forged.is_empty());
    let own: Uuid = placed[0].parse()?;
    forged.extend([
        URL_SAFE_NO_PAD.encode([bytes.as_slice(), b"\0"].concat()),
        format!("{token}="),
        format!("{token}A"),
        format!("%20{token}"),
        token.to_uppercase(),
        token[1..].to_owned(),
        URL_SAFE_NO_PAD.encode(own.as_bytes()),
        own.to_string(),
        "0".to_owned(),
        "-1".to_owned(),
        "null".to_owned(),
        "%00".to_owned(),
        "'%20OR%201=1".to_owned(),
        "%F0%9F%90%89".to_owned(),
        "a".repeat(1_025),
        "a".repeat(5_000),
        URL_SAFE_NO_PAD.encode([0; 32]),
        URL_SAFE_NO_PAD.encode(format!("{{\"offset\":0,\"user\":\"{}\"}}", stranger.id)),
    ]);
    for forged in &forged {
        let reply = owner.api.get(&format!("{list}&page_token={forged}")).await?;
        refused(&reply, 400, "CURSOR_INVALID")?;
    }
    // The token belongs to one list with one filter.
    for other in [
        "/api/v1/orders?status=PAID&page_size=1",
        "/api/v1/notifications?page_size=1",
        "/api/v1/products?page_size=1",
    ] {
        let reply = owner.api.get(&format!("{other}&page_token={token}")).await?;
        refused(&reply, 400, "CURSOR_INVALID")?;
    }
    let admin = stage.admin().await?;
    let reply = admin.get(&format!("/api/v1/users?page_token={token}")).await?;
    refused(&reply, 400, "CURSOR_INVALID")?;
    let second = owner.api.get(&format!("{list}&page_token={token}")).await?.require(200)?;
    ensure!(second["items"][0]["id"] == json!(placed[1]), "{second}");
    Ok(())
}

pub(super) async fn a063_page_sizes(stage: &Stage) -> Result<()> {
    let user = stage.user().await?;
    let admin = stage.admin().await?;
    for (api, path) in [
        (&user.api, "/api/v1/orders"),
        (&user.api, "/api/v1/notifications"),
        (&user.api, "/api/v1/products"),
        (&admin, "/api/v1/users"),
        (&admin, "/api/v1/admin/dead-letters"),
        (&admin, "/api/v1/admin/dead-mails"),
        (&admin, "/api/v1/admin/stuck-orders"),
    ] {
        for size in [
            "0",
            "-1",
            "101",
            "1000000000",
            "2147483648",
            "9223372036854775808",
            "abc",
            "",
            "1.0",
            "1e1",
            "0x10",
            "%201",
            "1%20",
            "1%00",
            "NaN",
            "null",
            "true",
            "%EF%BC%91",
        ] {
            let reply = api.get(&format!("{path}?page_size={size}")).await?;
            refused(&reply, 422, "VALIDATION_FAILED")?;
            let violation = &reply.body["violations"][0];
            ensure!(violation["field"] == "page_size", "{path} {size}: {violation}");
        }
        for name in ["limit", "per_page", "size", "offset", "page", "PAGE_SIZE"] {
            let reply = api.get(&format!("{path}?{name}=10")).await?;
            refused(&reply, 400, "QUERY_INVALID")?;
        }
        for size in ["1", "100", "007"] {
            api.get(&format!("{path}?page_size={size}")).await?.require(200)?;
        }
    }
    Ok(())
}
