//! Really signed tokens that say what they must not say.

use anyhow::{Context, Result};
use chassis::testing::forger::merged;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Forged, PATH, all_refused, is_accepted};
use crate::support::stage::Stage;

/// `token.leeway_s`.
const LEEWAY_S: i64 = 60;
/// Between signing and verifying; the margin by which times are tried on the good side.
const SLACK_S: i64 = 20;

pub(super) async fn a011_expired_tokens(stage: &Stage) -> Result<()> {
    let user = stage.user().await?;
    let forger = stage.forger(user.id);
    let now = forger.claims()["iat"].as_i64().context("no iat")?;
    let ago = |seconds: i64| {
        forger.with_claims(json!({"iat": now - seconds - 900, "exp": now - seconds}))
    };
    let tokens = [LEEWAY_S + 1, 3_600, 86_400 * 365].map(|seconds| ("expired", ago(seconds)));
    all_refused(stage, "TOKEN_EXPIRED", &tokens).await?;
    let never = ("never valid", forger.with_claims(json!({"exp": 0})));
    let before = ("expired before it was issued", forger.with_claims(json!({"exp": now - 61})));
    all_refused(stage, "TOKEN_EXPIRED", &[never, before]).await?;
    // Signed now, so that it is as late as it says when it is verified.
    let now = forger.claims()["iat"].as_i64().context("no iat")?;
    let late = forger.with_claims(json!({"exp": now - LEEWAY_S + SLACK_S}));
    is_accepted(stage, &late).await
}

pub(super) async fn a012_tokens_before_their_time(stage: &Stage) -> Result<()> {
    let user = stage.user().await?;
    let forger = stage.forger(user.id);
    let now = forger.claims()["iat"].as_i64().context("no iat")?;
    let far = now + 7_200;
    let tokens = [
        ("nbf", forger.with_claims(json!({"nbf": now + 3_600, "exp": far}))),
        ("nbf beyond the leeway", forger.with_claims(json!({"nbf": now + LEEWAY_S + SLACK_S}))),
        ("iat", forger.with_claims(json!({"iat": now + 3_600, "exp": far}))),
        ("both", forger.with_claims(json!({"nbf": now + 3_600, "iat": now + 3_600, "exp": far}))),
    ];
    all_refused(stage, "TOKEN_NOT_YET_VALID", &tokens).await?;
    is_accepted(stage, &forger.with_claims(json!({"nbf": now, "iat": now + LEEWAY_S}))).await
}

pub(super) async fn a013_odd_expiry_times(stage: &Stage) -> Result<()> {
    let user = stage.user().await?;
    let forger = stage.forger(user.id);
    let exp = |text: &str| {
        let claims = merged(forger.claims(), json!({"exp": "EXP"})).to_string();
        let claims = claims.replace("\"EXP\"", text);
        forger.issuer.sign_json(&forger.header().to_string(), &claims)
    };
    let mut tokens = vec![("no exp", forger.with_claims(json!({"exp": null})))];
    for text in [
        "\"1999999999\"",
        "1999999999.5",
        "1999999999.0",
        "1.999999999e9",
        "9223372036854775808",
        "18446744073709551616",
        "1e400",
        "-1e400",
        "NaN",
        "Infinity",
        "null",
        "true",
        "[]",
        "{}",
        "[1999999999]",
        "\"\"",
        "0x77359400",
        "01999999999",
        "+1999999999",
    ] {
        tokens.push(("odd exp", exp(text)));
    }
    for text in ["-1", "-5", "-9223372036854775808"] {
        tokens.push(("negative exp", exp(text)));
    }
    all_refused(stage, "TOKEN_INVALID", &tokens).await?;
    is_accepted(stage, &exp("1999999999")).await
}

pub(super) async fn a014_other_issuers_and_audiences(stage: &Stage) -> Result<()> {
    let user = stage.user().await?;
    let forger = stage.forger(user.id);
    let claims = forger.claims();
    let (issuer, audience) = (claims["iss"].as_str(), claims["aud"].as_str());
    let (issuer, audience) = (issuer.context("no iss")?, audience.context("no aud")?);
    let upper = issuer.to_uppercase();
    let mut tokens: Vec<Forged> = Vec::new();
    for iss in [
        Value::Null,
        json!(""),
        json!(format!("{issuer}.evil.example")),
        json!(format!("{issuer}/")),
        json!(format!("{issuer} ")),
        json!(upper),
        json!([issuer]),
        json!(1),
    ] {
        tokens.push(("iss", forger.with_claims(json!({"iss": iss}))));
    }
    for aud in [
        Value::Null,
        json!(""),
        json!("elsewhere"),
        json!(audience.to_uppercase()),
        json!(format!("{audience} ")),
        json!(["one", "two"]),
        json!([]),
        json!(1),
        json!({}),
        json!({audience: true}),
        json!(format!("{audience},elsewhere")),
    ] {
        tokens.push(("aud", forger.with_claims(json!({"aud": aud}))));
    }
    for (member, value) in [
        ("sub", json!("root")),
        ("sub", Value::Null),
        ("sub", json!("")),
        ("sub", json!(0)),
        ("sid", Value::Null),
        ("jti", Value::Null),
        ("iat", Value::Null),
        ("roles", json!("admin")),
    ] {
        tokens.push((member, forger.with_claims(json!({member: value}))));
    }
    all_refused(stage, "TOKEN_INVALID", &tokens).await?;
    is_accepted(stage, &forger.good()).await
}

pub(super) async fn a017_members_given_twice(stage: &Stage) -> Result<()> {
    let user = stage.user().await?;
    let forger = stage.forger(user.id);
    let other = Uuid::from_u128(1).to_string();
    let claims = forger.claims().to_string();
    let header = forger.header().to_string();
    let first = |text: &str, member: &str| text.replacen('{', &format!("{{{member},"), 1);
    let last =
        |text: &str, member: &str| format!("{},{member}}}", text.strip_suffix('}').unwrap_or(text));
    let mut tokens = Vec::new();
    for member in [
        format!("\"sub\":\"{other}\""),
        format!("\"sub\":\"{}\"", user.id),
        format!("\"\\u0073ub\":\"{other}\""),
        "\"roles\":[\"admin\"]".to_owned(),
        "\"exp\":1999999999".to_owned(),
        "\"aud\":\"elsewhere\"".to_owned(),
    ] {
        for claims in [first(&claims, &member), last(&claims, &member)] {
            tokens.push(("in the claims", forger.issuer.sign_json(&header, &claims)));
        }
    }
    for member in ["\"alg\":\"none\"", "\"alg\":\"EdDSA\"", "\"kid\":\"other\"", "\"typ\":\"JWT\""]
    {
        for header in [first(&header, member), last(&header, member)] {
            tokens.push(("in the header", forger.issuer.sign_json(&header, &claims)));
        }
    }
    all_refused(stage, "TOKEN_INVALID", &tokens).await?;
    is_accepted(stage, &forger.good()).await?;
    let reply = stage.visitor()?.with_token(forger.good()).get(PATH).await?.require(200)?;
    anyhow::ensure!(reply["id"] == json!(user.id), "{reply}");
    Ok(())
}
