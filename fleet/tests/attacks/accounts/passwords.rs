//! What may be a password, and what is kept of it.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use fleet::harness::api::new_email;
use serde_json::json;
use uuid::Uuid;

use super::{reasons, try_login};
use crate::support::problem::refused;
use crate::support::stage::Stage;

pub(super) async fn a029_passwords_too_long_and_too_short(stage: &Stage) -> Result<()> {
    let visitor = stage.visitor()?;
    let huge = "x".repeat(1_048_576);
    refused(&visitor.register(&new_email(), &huge, "Li").await?, 413, "BODY_TOO_LARGE")?;
    refused(&try_login(&visitor, &new_email(), &huge).await?, 413, "BODY_TOO_LARGE")?;
    for bad in [&"x".repeat(129), "seven77", "", &"密".repeat(129), &"密".repeat(7)] {
        let reply = visitor.register(&new_email(), bad, "Li").await?;
        refused(&reply, 422, "VALIDATION_FAILED")?;
        ensure!(reasons(&reply)[0].0 == "password", "{}", reply.body);
    }
    // What can be no password is a wrong one.
    refused(
        &try_login(&visitor, &new_email(), &"x".repeat(100_000)).await?,
        401,
        "CREDENTIALS_INVALID",
    )
}

pub(super) async fn a030_passwords_of_any_characters(stage: &Stage) -> Result<()> {
    let long = format!("{}one", "0123456789abcdef".repeat(5));
    let other = format!("{}two", "0123456789abcdef".repeat(5));
    let full: String = "密码很长的八个字".repeat(8);
    for (password, wrong) in [
        ("before\0after-NUL", "before"),
        ("🔑👍🏽 emoji 🎉🎉", "👍🏽 emoji 🎉🎉"),
        ("  spaces at both ends  ", "spaces at both ends"),
        ("correct horse\tbattery\n", "correct horse\tbattery"),
        // One byte over what bcrypt looks at, and the rest.
        (&long, &other),
        (&full, full.trim_end_matches('字')),
    ] {
        let (visitor, email) = (stage.visitor()?, new_email());
        visitor.register(&email, password, "Li Lei").await?.require(201)?;
        refused(&try_login(&visitor, &email, wrong).await?, 401, "CREDENTIALS_INVALID")?;
        try_login(&visitor, &email, password).await?.require(200)?;
    }
    Ok(())
}

pub(super) async fn a031_passwords_that_are_guessed_first(stage: &Stage) -> Result<()> {
    let visitor = stage.visitor()?;
    for (password, rule) in [
        ("password", "COMMON"),
        ("PASSWORD1", "COMMON"),
        ("12345678", "COMMON"),
        ("iloveyou1", "COMMON"),
        ("qwertyuiop", "COMMON"),
        ("football1", "COMMON"),
        ("trustno1", "COMMON"),
        ("Password123!", "COMMON"),
        ("Password2026!", "GUESSABLE"),
        ("EnterpriseHub2026!", "GUESSABLE"),
        ("aaaaaaaaaaaaaaaa", "GUESSABLE"),
        ("li.lei.2026@example.com", "PERSONAL"),
        ("LI.LEI.2026@EXAMPLE.COM", "PERSONAL"),
        ("li.lei.2026", "PERSONAL"),
        ("Han Meimei", "PERSONAL"),
    ] {
        let reply = visitor.register("li.lei.2026@example.com", password, "Han Meimei").await?;
        refused(&reply, 422, "PASSWORD_WEAK")?;
        ensure!(reasons(&reply) == [("password".to_owned(), rule.to_owned())], "{}", reply.body);
    }
    let user = stage.user().await?;
    let body =
        json!({"current_password": crate::support::stage::PASSWORD, "new_password": "password"});
    let reply = user.api.put("/api/v1/users/me/password", &body).await?;
    refused(&reply, 422, "PASSWORD_WEAK")?;
    ensure!(reasons(&reply)[0].0 == "new_password", "{}", reply.body);
    Ok(())
}

pub(super) async fn a041_hashes_and_the_address(stage: &Stage) -> Result<()> {
    let users = [stage.user().await?, stage.user().await?];
    let mut salts = BTreeSet::new();
    for user in &users {
        let hash: String = sqlx::query_scalar("SELECT password_hash FROM users WHERE id = ?")
            .bind(user.id)
            .fetch_one(&mut stage.database("user-service").await?)
            .await?;
        salts.insert(salt_of(&hash).with_context(|| "a hash of another form")?);
    }
    ensure!(salts.len() == users.len(), "one salt for two users");
    // There is no way to another address; who tries is told so, and keeps the one there is.
    let [user, _] = &users;
    let wanted = json!({"email": new_email()});
    let path = "/api/v1/users/me";
    let reply = user.api.send(user.api.request(reqwest::Method::PATCH, path).json(&wanted)).await?;
    refused(&reply, 422, "UNKNOWN_FIELD")?;
    let me = user.api.get(path).await?.require(200)?;
    ensure!(me["email"] == user.email && me["id"] == user.id.to_string(), "{me}");
    ensure!(user.id != Uuid::nil(), "no id");
    Ok(())
}

/// The salt of a hash that costs enough.
fn salt_of(hash: &str) -> Option<String> {
    let mut parts = hash.strip_prefix("$argon2id$v=19$")?.split('$');
    let number = |name: &str, text: &str| text.strip_prefix(name)?.parse::<u32>().ok();
    let costs: Vec<&str> = parts.next()?.split(',').collect();
    let [memory, passes, _] = costs[..] else { return None };
    let is_costly = number("m=", memory)? >= 19_456 && number("t=", passes)? >= 2;
    let salt = parts.next().filter(|salt| is_costly && salt.len() >= 21)?;
    Some(salt.to_owned())
}
