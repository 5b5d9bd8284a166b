//! Links by e-mail: A141 to A147, and A150. They are beyond the numbers of the catalogue, which has
//! no e-mail.

mod epochs;

use anyhow::{Result, ensure};
use chassis::opaque::OpaqueToken;
use fleet::harness::api::new_email;
use fleet::harness::{Api, Mail, Reply};
use futures::future::try_join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::problem::{refused, refused_silently};
use crate::support::run::{Row, row};
use crate::support::stage::{PASSWORD, Stage, User};

use self::epochs::a150_a_link_from_before_another_password;

const OTHER: &str = "another good long one";

/// The rows of this section.
pub(crate) fn rows() -> Vec<Row> {
    vec![
        row!(a141_lost_passwords_of_accounts_that_are_there_and_that_are_not),
        row!(a142_mail_for_somebody_else),
        row!(a143_guessed_links),
        row!(a144_a_link_used_twice_or_for_something_else),
        row!(a145_a_link_that_is_over),
        row!(a146_links_to_another_host),
        row!(a147_links_in_the_database_the_inbox_and_the_address_line),
        row!(a150_a_link_from_before_another_password),
    ]
}

async fn lose_password(api: &Api, email: &str) -> Result<Reply> {
    api.post("/api/v1/auth/password-recovery", &json!({"email": email})).await
}

async fn recover(api: &Api, token: &str, new: &str) -> Result<Reply> {
    let body = json!({"token": token, "new_password": new});
    api.post("/api/v1/auth/password-recovery/complete", &body).await
}

async fn verify(api: &Api, token: &str) -> Result<Reply> {
    api.post("/api/v1/auth/email-verification", &json!({"token": token})).await
}

/// The first message to a user, which proves the address.
async fn first_mail(stage: &Stage, user: &User) -> Result<Mail> {
    let mailbox = stage.fleet.lock().await.mailbox();
    mailbox.mail_to(&user.email, 0).await
}

/// Asks for another password and waits for the link.
async fn link(stage: &Stage, user: &User) -> Result<Mail> {
    let mailbox = stage.fleet.lock().await.mailbox();
    mailbox.mail_to(&user.email, 0).await?;
    let before = mailbox.mails_to(&user.email)?.len();
    lose_password(&stage.visitor()?, &user.email).await?.require(202)?;
    mailbox.mail_to(&user.email, before).await
}

/// What an answer says, apart from what differs between any two.
fn said(reply: &Reply) -> (u16, Value, Vec<String>) {
    let differs = ["x-request-id", "date", "ratelimit"];
    let headers = reply.headers.keys().map(|name| name.as_str().to_owned());
    (reply.status, reply.body.clone(), headers.filter(|name| !differs.contains(&&**name)).collect())
}

async fn a141_lost_passwords_of_accounts_that_are_there_and_that_are_not(
    stage: &Stage,
) -> Result<()> {
    let (known, disabled) = (stage.user().await?, stage.user().await?);
    let status = format!("/api/v1/users/{}/status", disabled.id);
    stage.admin().await?.put(&status, &json!({"status": "DISABLED"})).await?.require(200)?;
    let mailbox = stage.fleet.lock().await.mailbox();
    mailbox.mail_to(&disabled.email, 0).await?;
    let mut answers = Vec::new();
    for email in [&known.email, &disabled.email, &new_email(), "no address", ""] {
        let reply = lose_password(&stage.visitor()?, email).await?;
        ensure!(reply.status == 202, "{email:?}: {}", reply.body);
        answers.push(said(&reply));
    }
    ensure!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    // Asked for last, and answered: those before are answered too.
    let last = stage.user().await?;
    link(stage, &last).await?;
    mailbox.mail_to(&known.email, 1).await?;
    ensure!(mailbox.mails_to(&disabled.email)?.len() == 1, "mail to a disabled account");
    Ok(())
}

async fn a142_mail_for_somebody_else(stage: &Stage) -> Result<()> {
    let user = stage.user().await?;
    let mailbox = stage.fleet.lock().await.mailbox();
    mailbox.mail_to(&user.email, 0).await?;
    for email in [user.email.clone(), new_email()] {
        let mut replies = Vec::new();
        for _ in 0..6 {
            // Each time from somewhere else: it counts whom it is for.
            replies.push(lose_password(&stage.visitor()?, &email).await?);
        }
        for reply in &replies[..3] {
            ensure!(reply.status == 202, "{}", reply.body);
        }
        for reply in &replies[3..] {
            refused(reply, 429, "MAIL_THROTTLED")?;
        }
    }
    let mail = mailbox.mail_to(&user.email, 1).await?;
    ensure!(mailbox.mails_to(&user.email)?.len() <= 4, "more mail than was let through");
    // What the owner was sent stays good, whoever asks for more.
    recover(&stage.visitor()?, mail.token()?, OTHER).await?.require(204)?;
    let mut asked = Vec::new();
    let user = stage.user().await?;
    for _ in 0..6 {
        let path = "/api/v1/users/me/email-verification";
        asked.push(user.api.send(user.api.request(Method::POST, path)).await?);
    }
    refused(&asked[5], 429, "MAIL_THROTTLED")
}

async fn a143_guessed_links(stage: &Stage) -> Result<()> {
    let user = stage.user().await?;
    let mail = link(stage, &user).await?;
    let token = mail.token()?;
    let random = OpaqueToken::generate()?;
    let mut guesses: Vec<String> = [
        "",
        "null",
        "undefined",
        "' OR '1'='1",
        "%00",
        "../../etc/passwd",
        &token[1..],
        &format!("{token}="),
        &format!(" {token}"),
        &token.to_lowercase(),
        random.expose(),
        &"A".repeat(43),
        &"é".repeat(22),
    ]
    .map(str::to_owned)
    .into();
    guesses.push("A".repeat(100_000));
    for guess in &guesses {
        // A guess may be the token itself, if that has no capitals.
        if guess == token {
            continue;
        }
        let visitor = stage.visitor()?;
        let reply = recover(&visitor, guess, OTHER).await?;
        refused_silently(&reply, 422, "USER_TOKEN_INVALID", &[guess.as_str(), OTHER])?;
        let reply = verify(&visitor, guess).await?;
        refused_silently(&reply, 422, "USER_TOKEN_INVALID", &[guess.as_str()])?;
    }
    for odd in [json!({"token": [token]}), json!({"token": null}), json!({"token": {"$gt": ""}})] {
        let reply = stage.visitor()?.post("/api/v1/auth/email-verification", &odd).await?;
        refused(&reply, 422, "VALIDATION_FAILED")?;
    }
    let visitor = stage.visitor()?;
    let mut codes = Vec::new();
    for _ in 0..40 {
        let guess = OpaqueToken::generate()?;
        codes.push(verify(&visitor, guess.expose()).await?.code().to_owned());
    }
    ensure!(codes.iter().any(|code| code == "RATE_LIMITED"), "40 guesses from one address");
    recover(&stage.visitor()?, token, OTHER).await?.require(204).map(|_| ())
}

async fn a144_a_link_used_twice_or_for_something_else(stage: &Stage) -> Result<()> {
    let (user, other) = (stage.user().await?, stage.user().await?);
    let proof = first_mail(stage, &user).await?;
    let mail = link(stage, &user).await?;
    let (proof, token) = (proof.token()?, mail.token()?);
    let visitor = stage.visitor()?;
    refused(&recover(&visitor, proof, OTHER).await?, 422, "USER_TOKEN_INVALID")?;
    refused(&verify(&visitor, token).await?, 422, "USER_TOKEN_INVALID")?;
    // Whose session it is used in does not matter: it is its own account's.
    verify(&other.api, proof).await?.require(204)?;
    refused(&verify(&visitor, proof).await?, 422, "USER_TOKEN_INVALID")?;
    let me = other.api.get("/api/v1/users/me").await?.require(200)?;
    ensure!(me["email_verified_at"].is_null(), "{me}");
    let wanted: Vec<String> = (0..10).map(|n| format!("a good long password {n}")).collect();
    let calls = wanted.iter().enumerate().map(|(n, new)| {
        let api = Api::new(stage.gateway(n));
        async move { recover(&api?, token, new).await }
    });
    let answers = try_join_all(calls).await?;
    let done = answers.iter().filter(|answer| answer.status == 204).count();
    ensure!(done == 1, "{done} of 10 uses at once were done");
    let refusals = answers.iter().filter(|answer| answer.status != 204);
    for answer in refusals {
        refused(answer, 422, "USER_TOKEN_INVALID")?;
    }
    let old = json!({"email": user.email, "password": PASSWORD});
    let reply = stage.visitor()?.post("/api/v1/auth/login", &old).await?;
    refused(&reply, 401, "CREDENTIALS_INVALID")
}

async fn a145_a_link_that_is_over(stage: &Stage) -> Result<()> {
    let user = stage.user().await?;
    let proof = first_mail(stage, &user).await?;
    let mail = link(stage, &user).await?;
    sqlx::query("UPDATE one_time_tokens SET expires_at = UTC_TIMESTAMP(6) WHERE user_id = ?")
        .bind(user.id)
        .execute(&mut stage.database("user-service").await?)
        .await?;
    let visitor = stage.visitor()?;
    refused(&recover(&visitor, mail.token()?, OTHER).await?, 422, "USER_TOKEN_INVALID")?;
    refused(&verify(&visitor, proof.token()?).await?, 422, "USER_TOKEN_INVALID")?;
    // A password that is changed leaves no link to another one.
    let mail = link(stage, &user).await?;
    let change = json!({"current_password": PASSWORD, "new_password": OTHER});
    user.api.put("/api/v1/users/me/password", &change).await?.require(204)?;
    let late = recover(&stage.visitor()?, mail.token()?, PASSWORD).await?;
    refused(&late, 422, "USER_TOKEN_INVALID")
}

async fn a146_links_to_another_host(stage: &Stage) -> Result<()> {
    let user = stage.user().await?;
    let mailbox = stage.fleet.lock().await.mailbox();
    mailbox.mail_to(&user.email, 0).await?;
    let visitor = stage.visitor()?;
    let request = visitor.request(Method::POST, "/api/v1/auth/password-recovery");
    let request = request.json(&json!({"email": user.email}));
    for (name, value) in [
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "javascript"),
        ("x-original-host", "evil.example"),
        ("forwarded", "host=evil.example;proto=http"),
        ("origin", "https://evil.example"),
        ("referer", "https://evil.example/"),
    ] {
        let sent = request.try_clone().map(|request| request.header(name, value));
        let Some(sent) = sent else { anyhow::bail!("a request that cannot be repeated") };
        visitor.send(sent).await?;
    }
    let foreign = request.header("host", "evil.example");
    let reply = visitor.send(foreign).await?;
    ensure!(reply.code() == "HOST_INVALID", "{}", reply.body);
    mailbox.mail_to(&user.email, 1).await?;
    for mail in mailbox.mails_to(&user.email)? {
        let link = mail.link()?;
        ensure!(link.starts_with("http://127.0.0.1:8080/console/"), "{link}");
        ensure!(!mail.text.contains("evil"), "{}", mail.text);
    }
    Ok(())
}

async fn a147_links_in_the_database_the_inbox_and_the_address_line(stage: &Stage) -> Result<()> {
    let user = stage.user().await?;
    let proof = first_mail(stage, &user).await?;
    let mail = link(stage, &user).await?;
    let token = mail.token()?;
    for (path, query) in [
        ("/api/v1/auth/email-verification", proof.token()?),
        ("/api/v1/auth/password-recovery/complete", token),
    ] {
        let visitor = stage.visitor()?;
        let request = visitor.request(Method::POST, &format!("{path}?token={query}"));
        let reply = visitor.send(request.json(&json!({}))).await?;
        ensure!(reply.status == 400 || reply.status == 422, "{}: {}", reply.status, reply.body);
    }
    let inbox = user.api.get("/api/v1/notifications").await?.require(200)?.to_string();
    ensure!(!inbox.contains(token) && !inbox.contains(proof.token()?), "a link in the inbox");
    for (service, query) in [
        ("user-service", "SELECT COUNT(*) FROM outbox WHERE payload LIKE ?"),
        ("user-service", "SELECT COUNT(*) FROM one_time_tokens WHERE digest LIKE ?"),
        ("notify-service", "SELECT COUNT(*) FROM mails WHERE sealed LIKE ?"),
        ("notify-service", "SELECT COUNT(*) FROM dead_letters WHERE payload LIKE ?"),
        ("notify-service", "SELECT COUNT(*) FROM notifications WHERE body LIKE ?"),
    ] {
        for secret in [token, proof.token()?, &user.email] {
            let found: i64 = sqlx::query_scalar(query)
                .bind(format!("%{secret}%"))
                .fetch_one(&mut stage.database(service).await?)
                .await?;
            ensure!(found == 0, "{service}: {query} finds {secret}");
        }
    }
    Ok(())
}
