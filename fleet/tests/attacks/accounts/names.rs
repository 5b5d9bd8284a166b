//! E-mail addresses, by which accounts are known, and display names.

use anyhow::{Context, Result, ensure};
use fleet::harness::api::new_email;
use fleet::harness::{Api, Reply};
use serde_json::{Value, json};

use super::{reasons, try_login};
use crate::support::problem::refused;
use crate::support::stage::{PASSWORD, Stage};
use crate::support::text;

/// What SQL that is run takes and keeps: a lock of the database server.
const LOCK: &str = "eh_attack_a037";

async fn register(stage: &Stage, email: &str, name: &str) -> Result<Reply> {
    stage.visitor()?.register(email, PASSWORD, name).await
}

fn refused_field(reply: &Reply, field: &str) -> Result<()> {
    refused(reply, 422, "VALIDATION_FAILED")?;
    ensure!(reasons(reply).iter().all(|(found, _)| found == field), "{}", reply.body);
    Ok(())
}

/// A local part that nobody has used.
fn local() -> String {
    new_email().replace("@example.com", "").replace("customer-", "c")
}

pub(super) async fn a032_an_address_that_is_taken(stage: &Stage) -> Result<()> {
    let local = local();
    let email = format!("{local}@example.com");
    register(stage, &email, "Li").await?.require(201)?;
    for spelling in [email.clone(), email.to_uppercase(), format!("{local}@Example.COM")] {
        refused(&register(stage, &spelling, "Li").await?, 409, "ACCOUNT_EXISTS")?;
    }
    // Only the owner's provider knows whether dots and tags matter, so they do.
    for other in [format!("{local}.x@example.com"), format!("{local}+tag@example.com")] {
        register(stage, &other, "Li").await?.require(201)?;
    }
    Ok(())
}

pub(super) async fn a033_names_that_look_like_others(stage: &Stage) -> Result<()> {
    let local = format!("admin{}", local());
    let email = |local: &str| format!("{local}@example.com");
    register(stage, &email(&local), "admin").await?.require(201)?;
    let wide: String = local.chars().map(wide).collect();
    for same in [local.to_uppercase(), wide.clone()] {
        refused(&register(stage, &email(&same), "Li").await?, 409, "ACCOUNT_EXISTS")?;
    }
    for deceptive in [
        local.replacen('a', "а", 1),
        local.replacen('i', "і", 1),
        format!("{local}\u{200D}"),
        format!("ad\u{200B}{local}"),
        format!("{local}\u{200F}"),
        format!("{local} "),
        format!(" {local}"),
        "сосо".to_owned(),
    ] {
        refused_field(&register(stage, &email(&deceptive), "Li").await?, "email")?;
    }
    // Display names need not be unique; they must not deceive.
    for deceptive in ["аdmin", "admіn", "admin\u{200D}", "admin\u{200F}", "admin ", "ro\u{3bf}t"]
    {
        refused_field(&register(stage, &new_email(), deceptive).await?, "display_name")?;
    }
    let user = register(stage, &new_email(), "ａｄｍｉｎ").await?.require(201)?;
    ensure!(user["display_name"] == "admin", "{user}");
    Ok(())
}

fn wide(c: char) -> char {
    let is_printable = c.is_ascii_graphic() && c != '.';
    char::from_u32(u32::from(c) + 0xFEE0).filter(|_| is_printable).unwrap_or(c)
}

pub(super) async fn a034_composed_and_decomposed_letters(stage: &Stage) -> Result<()> {
    let local = local();
    register(stage, &format!("\u{e9}va{local}@example.com"), "Éva").await?.require(201)?;
    let decomposed = format!("e\u{301}va{local}@example.com");
    refused(&register(stage, &decomposed, "Éva").await?, 409, "ACCOUNT_EXISTS")?;
    try_login(&stage.visitor()?, &decomposed, PASSWORD).await?.require(200)?;
    let user = register(stage, &new_email(), "Zoe\u{308}").await?.require(201)?;
    ensure!(user["display_name"] == "Zo\u{eb}", "{user}");
    Ok(())
}

pub(super) async fn a035_odd_names(stage: &Stage) -> Result<()> {
    for odd in [
        &"n".repeat(65),
        &"n".repeat(256),
        &"名".repeat(10_000),
        "",
        " ",
        "   ",
        "a\u{7}b",
        "a\0b",
        "a\nb",
        "a\u{202E}b",
        "a\u{FEFF}b",
    ] {
        refused_field(&register(stage, &new_email(), odd).await?, "display_name")?;
    }
    // Text that means something elsewhere is text here.
    for text in ["../", "<script>", "%00", "..\\..", "${7*7}"] {
        let user = register(stage, &new_email(), text).await?.require(201)?;
        ensure!(user["display_name"] == text, "{user}");
    }
    // In an address it is none.
    for odd in [
        format!("{}@example.com", "n".repeat(256)),
        String::new(),
        "   ".to_owned(),
        "a\u{7}b@example.com".to_owned(),
        "../@example.com".to_owned(),
        "<script>@example.com".to_owned(),
        "a\0b@example.com".to_owned(),
    ] {
        refused_field(&register(stage, &odd, "Li").await?, "email")?;
    }
    Ok(())
}

pub(super) async fn a036_odd_addresses(stage: &Stage) -> Result<()> {
    for odd in [
        "alice@example.com\r\nBcc: eve@example.com",
        "alice\r\nBcc: eve@example.com",
        "a@b@example.com",
        &format!("{}@example.com", "a".repeat(10_240)),
        "\"al ice\"@example.com",
        "\"a\"@example.com",
        "alice@exаmple.com",
        "alice@xn--",
        "alice@例え.jp",
        "аlice@example.com",
        "alice@[127.0.0.1]",
        "alice@127.0.0.1",
        "alice@localhost",
        "alice",
        "@example.com",
        "alice@",
        "alice@example..com",
        ".alice@example.com",
        "alice@-example.com",
        "alice@example.com ",
        "<alice@example.com>",
        "Alice <alice@example.com>",
        "alice(comment)@example.com",
        "alice@example.com,bob@example.com",
    ] {
        refused_field(&register(stage, odd, "Li").await?, "email")
            .with_context(|| format!("{odd:.60}"))?;
    }
    Ok(())
}

pub(super) async fn a037_sql_in_every_text(stage: &Stage) -> Result<()> {
    let user = stage.user().await?;
    let take = format!("' OR GET_LOCK('{LOCK}', 0)-- ");
    for sql in
        ["' OR '1'='1", "admin'--", "\\' UNION SELECT 1,2,3-- ", "'; DROP TABLE users;--", &take]
    {
        let visitor = stage.visitor()?;
        let login = try_login(&visitor, sql, sql).await?;
        refused(&login, 401, "CREDENTIALS_INVALID")?;
        let injected = try_login(&visitor, &format!("{}{sql}", user.email), PASSWORD).await?;
        refused(&injected, 401, "CREDENTIALS_INVALID")?;
        let address = visitor.register(sql, PASSWORD, "Li").await?;
        refused_field(&address, "email")?;
        let locale = json!({"email": new_email(), "password": PASSWORD, "display_name": "Li", "locale": sql});
        let locale = visitor.post("/api/v1/users", &locale).await?;
        refused_field(&locale, "locale")?;
        // Names and passwords are text, whatever it says.
        let (email, password) = (new_email(), format!("{sql} and more than that"));
        let name = sql.trim();
        let made = visitor.register(&email, &password, name).await?.require(201)?;
        ensure!(text(&made, "display_name")? == name, "the name is another one");
        try_login(&visitor, &email, &password).await?.require(200)?;
        let refreshed =
            visitor.post("/api/v1/auth/refresh", &json!({"refresh_token": sql})).await?;
        refused(&refreshed, 401, "REFRESH_INVALID")?;
    }
    let holder: Option<i64> = sqlx::query_scalar("SELECT CAST(IS_USED_LOCK(?) AS SIGNED)")
        .bind(LOCK)
        .fetch_one(&mut stage.database("user-service").await?)
        .await?;
    ensure!(holder.is_none(), "connection {holder:?} has run what a user said");
    user.api.get("/api/v1/users/me").await?.require(200).map(|_| ())
}

pub(super) async fn a038_logins_of_another_shape(stage: &Stage) -> Result<()> {
    let visitor = stage.visitor()?;
    let ask = async |api: &Api, body: Value| api.post("/api/v1/auth/login", &body).await;
    for odd in [
        json!([]),
        json!(["li@example.com", PASSWORD]),
        json!(1),
        json!("li@example.com"),
        json!(null),
        json!({"email": {"$gt": ""}, "password": {"$gt": ""}}),
        json!({"email": "li@example.com", "password": {"$ne": null}}),
        json!({"email": ["li@example.com"], "password": PASSWORD}),
        json!({"email": 1, "password": true}),
        json!({"email": "li@example.com"}),
        json!({}),
    ] {
        let reply = ask(&visitor, odd.clone()).await?;
        refused(&reply, 422, "VALIDATION_FAILED").with_context(|| odd.to_string())?;
    }
    Ok(())
}
