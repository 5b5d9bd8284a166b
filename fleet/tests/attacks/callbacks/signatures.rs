//! Callbacks that nobody has signed who may.

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::Value;

use super::provider::{
    HEADER, KEY, Notice, hmac_of, now, rulings, send, send_with, signed_at, tag,
};
use crate::support::problem::{refused, refused_silently, without_trace};
use crate::support::stage::{Stage, User};
use crate::support::{order, read, text};

/// A payment that waits for its provider, and the callback that would settle it.
struct Waiting {
    user: User,
    order: Value,
    notice: Notice,
}

impl Waiting {
    async fn new(stage: &Stage) -> Result<Self> {
        let user = stage.user().await?;
        let order = order(&user.api, "pm_never").await?;
        let notice = Notice::success_of(&order)?;
        Ok(Self { user, order, notice })
    }

    /// Checks that nothing has happened, and that the callback was a good one otherwise.
    async fn is_untouched(&self, stage: &Stage) -> Result<()> {
        let id = text(&self.order, "id")?;
        let found = read(&self.user.api, &id).await?;
        ensure!(found == self.order, "{} became {found}", self.order);
        ensure!(rulings(stage, &self.notice.id).await?.is_empty(), "an unsigned callback is kept");
        send(stage, &self.notice.body()).await?.require(200)?;
        ensure!(
            rulings(stage, &self.notice.id).await? == [("APPLIED".to_owned(), 1)],
            "not applied"
        );
        Ok(())
    }
}

pub(super) async fn a104_no_signature(stage: &Stage) -> Result<()> {
    let waiting = Waiting::new(stage).await?;
    let body = waiting.notice.body();
    let (time, good) = (now(), tag(KEY, &now().to_string(), body.as_bytes()));
    refused(&send_with(stage, &body, &[]).await?, 401, "SIGNATURE_MISSING")?;
    for header in [
        String::new(),
        " ".to_owned(),
        ",".to_owned(),
        "=".to_owned(),
        format!("t={time}"),
        format!("v1={good}"),
        format!("t={time},v0={good}"),
        format!("t={time},v2={good}"),
        format!("t={time},V1={good}"),
        format!("T={time},v1={good}"),
        format!("t={time};v1={good}"),
        format!("t={time} v1={good}"),
        format!("t:{time},v1:{good}"),
        good.clone(),
        format!("sha256={good}"),
        format!("t={time},t={time},v1={good}"),
        format!("{{\"t\":{time},\"v1\":\"{good}\"}}"),
    ] {
        let reply = send_with(stage, &body, &[&header]).await?;
        refused_silently(&reply, 401, "SIGNATURE_MISSING", &[&good]).context(header)?;
    }
    for value in ["", "zz", "0", &good[..62], &good[1..], &format!("{good}00"), &"0".repeat(64)] {
        let reply = send_with(stage, &body, &[&format!("t={time},v1={value}")]).await?;
        refused(&reply, 401, "SIGNATURE_INVALID").with_context(|| value.to_owned())?;
    }
    // Two headers are one header with two times.
    let header = signed_at(now(), &body);
    let reply = send_with(stage, &body, &[&header, &header]).await?;
    refused(&reply, 401, "SIGNATURE_MISSING")?;
    for name in ["X-Signature", "Stripe-Signature", "X-Hub-Signature-256", "Signature"] {
        let visitor = stage.visitor()?;
        let request = visitor.request(Method::POST, "/api/v1/payments/callback").body(body.clone());
        let reply = visitor.send(request.header(name, &header)).await?;
        refused(&reply, 401, "SIGNATURE_MISSING").context(name)?;
    }
    waiting.is_untouched(stage).await
}

pub(super) async fn a105_other_keys_and_bodies(stage: &Stage) -> Result<()> {
    let waiting = Waiting::new(stage).await?;
    let body = waiting.notice.body();
    let time = now().to_string();
    let keys: [&[u8]; 6] =
        [b"", b"whsec_", b"0123456789abcdef0123456789abcdef", b"secret", &KEY[..42], &[0; 32]];
    for key in keys {
        let header = format!("t={time},v1={}", tag(key, &time, body.as_bytes()));
        refused(&send_with(stage, &body, &[&header]).await?, 401, "SIGNATURE_INVALID")?;
    }
    let value: Value = serde_json::from_str(&body)?;
    let other = Notice { amount: 1, ..waiting.notice.clone() }.body();
    for signed in [
        String::new(),
        "{}".to_owned(),
        other,
        format!("{body} "),
        format!("{body}\n"),
        body.to_uppercase(),
        serde_json::to_string_pretty(&value)?,
        body.replace(':', ": "),
    ] {
        // Signed is one body and sent another, which says the same or not.
        let header = signed_at(now(), &signed);
        refused(&send_with(stage, &body, &[&header]).await?, 401, "SIGNATURE_INVALID")?;
        let header = signed_at(now(), &body);
        refused(&send_with(stage, &signed, &[&header]).await?, 401, "SIGNATURE_INVALID")?;
    }
    // The time belongs to what is signed, and so does the full stop.
    for message in
        [body.clone(), format!("{time}{body}"), format!("{time}:{body}"), format!(".{body}")]
    {
        let whole = hmac_of(KEY, message.as_bytes());
        let header = format!("t={time},v1={whole}");
        refused(&send_with(stage, &body, &[&header]).await?, 401, "SIGNATURE_INVALID")?;
    }
    waiting.is_untouched(stage).await
}

pub(super) async fn a106_odd_times(stage: &Stage) -> Result<()> {
    let waiting = Waiting::new(stage).await?;
    let body = waiting.notice.body();
    let now = now();
    // A second more than the tolerance, and what passes meanwhile on the side of the future.
    for time in [now - 301, now - 86_400, now + 330, now + 86_400, 0, 1, -now, i64::MIN, i64::MAX] {
        let reply = send_with(stage, &body, &[&signed_at(time, &body)]).await?;
        refused(&reply, 401, "TIMESTAMP_OUT_OF_RANGE").with_context(|| time.to_string())?;
    }
    for time in [
        "18446744073709551616",
        "99999999999999999999",
        "soon",
        "",
        "1e9",
        "0x6956",
        " ",
        "NaN",
        &format!("{now}.0"),
        &format!("{now}000"),
        "2026-01-01T00:00:00Z",
    ] {
        let header = format!("t={time},v1={}", tag(KEY, time, body.as_bytes()));
        let reply = send_with(stage, &body, &[&header]).await?;
        refused(&reply, 401, "TIMESTAMP_OUT_OF_RANGE").with_context(|| time.to_owned())?;
    }
    waiting.is_untouched(stage).await
}

pub(super) async fn a107_changed_times(stage: &Stage) -> Result<()> {
    let waiting = Waiting::new(stage).await?;
    let body = waiting.notice.body();
    let now = now();
    // Old ones brought up to date, new ones made older, and the same second written differently.
    for (signed, sent) in [
        ((now - 400).to_string(), now.to_string()),
        ((now + 400).to_string(), now.to_string()),
        (now.to_string(), (now - 1).to_string()),
        (now.to_string(), (now + 1).to_string()),
        (now.to_string(), format!("0{now}")),
        (now.to_string(), format!("+{now}")),
    ] {
        let header = format!("t={sent},v1={}", tag(KEY, &signed, body.as_bytes()));
        refused(&send_with(stage, &body, &[&header]).await?, 401, "SIGNATURE_INVALID")
            .with_context(|| format!("{signed} sent as {sent}"))?;
    }
    waiting.is_untouched(stage).await
}

pub(super) async fn a109_many_values(stage: &Stage) -> Result<()> {
    let waiting = Waiting::new(stage).await?;
    let body = waiting.notice.body();
    let good = signed_at(now(), &body);
    let other = tag(b"the key before that one, 32 bytes", &now().to_string(), body.as_bytes());
    for count in [17, 64, 65, 1_000] {
        for header in [
            format!("{good}{}", ",v1=00".repeat(count)),
            format!("t={}{},v1={}", now(), ",v1=00".repeat(count), &good[good.len() - 64..]),
        ] {
            let reply = send_with(stage, &body, &[&header]).await?;
            refused(&reply, 400, "SIGNATURE_MALFORMED").with_context(|| count.to_string())?;
        }
    }
    // While a key is replaced there are two signatures, of which one is known.
    let second = Waiting::new(stage).await?;
    let rotated = second.notice.body();
    let good = signed_at(now(), &rotated);
    let header = format!("{good},v1={other}");
    send_with(stage, &rotated, &[&header]).await?.require(200)?;
    ensure!(rulings(stage, &second.notice.id).await? == [("APPLIED".to_owned(), 1)], "not applied");
    waiting.is_untouched(stage).await
}

pub(super) async fn a113_tokens_instead_of_signatures(stage: &Stage) -> Result<()> {
    let waiting = Waiting::new(stage).await?;
    let body = waiting.notice.body();
    let admin = stage.admin().await?;
    for api in [&waiting.user.api, &admin] {
        let token = api.token().context("no token")?;
        let send = async |headers: &[(&str, &str)]| {
            let request = api.request(Method::POST, "/api/v1/payments/callback").body(body.clone());
            let request =
                headers.iter().fold(request, |all, (name, value)| all.header(*name, *value));
            api.send(request).await
        };
        let value = format!("t={},v1={token}", now());
        refused(&send(&[]).await?, 401, "SIGNATURE_MISSING")?;
        for signature in [token, &format!("Bearer {token}"), &format!("jwt={token}")] {
            let reply = send(&[(HEADER, signature)]).await?;
            refused_silently(&reply, 401, "SIGNATURE_MISSING", &[token])?;
        }
        let reply = send(&[(HEADER, &value)]).await?;
        refused_silently(&reply, 401, "SIGNATURE_INVALID", &[token])?;
    }
    // A signature is no token either.
    let reply = stage.visitor()?.with_token(signed_at(now(), &body)).get("/api/v1/orders").await?;
    refused(&reply, 401, "TOKEN_INVALID")?;
    waiting.is_untouched(stage).await
}

/// Whoever guesses digit by digit is told the same however many are right. That this takes the same
/// work is read in the sources: `fleet/tests/supply/secrets.rs`.
pub(super) async fn a115_what_a_refusal_tells(stage: &Stage) -> Result<()> {
    let waiting = Waiting::new(stage).await?;
    let body = waiting.notice.body();
    let time = now().to_string();
    let good = tag(KEY, &time, body.as_bytes());
    let mut answer = None;
    for right in 0..good.len() {
        let wrong: String = good[right..].chars().map(other_digit).collect();
        let header = format!("t={time},v1={}{wrong}", &good[..right]);
        let reply = send_with(stage, &body, &[&header]).await?;
        refused_silently(&reply, 401, "SIGNATURE_INVALID", &[&good])?;
        let told = without_trace(&reply);
        let first = answer.get_or_insert_with(|| told.clone());
        ensure!(*first == told, "{told} with {right} digits right, {first} with none");
    }
    waiting.is_untouched(stage).await
}

fn other_digit(digit: char) -> char {
    if digit == '0' { '1' } else { '0' }
}
