//! Tokens that bring their own keys, rules or form.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use chassis::testing::forger::merged;
use chassis::testing::tokens::TestIssuer;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{Forged, PATH, all_refused, is_accepted};
use crate::support::counted;
use crate::support::problem::refused_silently;
use crate::support::stage::{GATEWAYS, Stage};

pub(super) async fn a007_key_in_the_header(stage: &Stage) -> Result<()> {
    let user = stage.user().await?;
    let (forger, stranger) = (stage.forger(user.id), TestIssuer::new());
    let jwk = serde_json::to_value(&stranger.key_set().keys[0])?;
    let claims = forger.claims().to_string();
    let signed = |members: Value| {
        let header = merged(forger.header(), members);
        stranger.sign_json(&header.to_string(), &claims)
    };
    let mut named_as_ours = jwk.clone();
    named_as_ours["kid"] = json!(forger.issuer.key_id());
    let tokens = [
        ("jwk under our kid", signed(json!({"jwk": jwk}))),
        ("jwk that bears our kid", signed(json!({"jwk": named_as_ours}))),
        ("jwk under its own kid", signed(json!({"jwk": jwk, "kid": stranger.key_id()}))),
        ("jwk without kid", signed(json!({"jwk": jwk, "kid": null}))),
        ("jwks", signed(json!({"jwks": {"keys": [jwk]}, "kid": stranger.key_id()}))),
        ("x5c", signed(json!({"x5c": ["MIIB"], "kid": stranger.key_id()}))),
        ("another issuer", stranger.token(user.id, &["admin"])),
    ];
    all_refused(stage, "TOKEN_INVALID", &tokens).await?;
    is_accepted(stage, &forger.good()).await
}

pub(super) async fn a008_key_address_in_the_header(stage: &Stage) -> Result<()> {
    let user = stage.user().await?;
    let (forger, stranger) = (stage.forger(user.id), TestIssuer::new());
    let hook = TcpListener::bind("127.0.0.1:0").await?;
    let address = hook.local_addr()?;
    let mut tokens = Vec::new();
    for member in ["jku", "x5u", "iss"] {
        for url in [
            format!("http://{address}/jwks.json"),
            format!("http://localhost:{}/jwks.json", address.port()),
            format!("https://{address}/"),
            "file:///etc/passwd".to_owned(),
        ] {
            for kid in [stranger.key_id(), forger.issuer.key_id()] {
                let header = merged(forger.header(), json!({member: url, "kid": kid}));
                let claims = forger.claims().to_string();
                tokens.push((member, stranger.sign_json(&header.to_string(), &claims)));
            }
        }
    }
    all_refused(stage, "TOKEN_INVALID", &tokens).await?;
    let visited = tokio::time::timeout(Duration::from_millis(500), hook.accept()).await;
    ensure!(visited.is_err(), "the address in a token was asked");
    is_accepted(stage, &forger.good()).await
}

pub(super) async fn a009_odd_key_ids(stage: &Stage) -> Result<()> {
    let user = stage.user().await?;
    let forger = stage.forger(user.id);
    let before = key_fetches(stage).await?;
    let start = Instant::now();
    let mut tokens: Vec<Forged> = Vec::new();
    let (long, longer) = ("k".repeat(2_000), "k".repeat(10_000));
    let odd = [
        "../../dev/null",
        "/dev/null",
        "' OR 1=1",
        "'; DROP TABLE signing_keys; --",
        "a\0b",
        "\0",
        "unheard-of",
        "",
        " ",
        "\u{202e}",
        "${jndi:ldap://127.0.0.1/a}",
        "|id",
        long.as_str(),
        longer.as_str(),
    ];
    tokens.extend(odd.map(|kid| ("kid", forger.with_header(json!({"kid": kid})))));
    let kinds = [json!(1), json!(true), json!([forger.issuer.key_id()]), json!({}), Value::Null];
    for kid in kinds {
        let mut header = forger.header();
        header["kid"] = kid;
        let claims = forger.claims().to_string();
        tokens.push(("kid is no text", forger.issuer.sign_json(&header.to_string(), &claims)));
    }
    tokens.push(("no kid", forger.with_header(json!({"kid": null}))));
    tokens.extend((0..100).map(|n| {
        ("kid that nobody has seen", forger.with_header(json!({"kid": format!("new-{n}")})))
    }));
    let visitor = stage.visitor()?;
    for (attack, token) in &tokens {
        let reply = visitor.with_token(token).get(PATH).await?;
        refused_silently(&reply, 401, "TOKEN_INVALID", &[token]).context(*attack)?;
    }
    let fetched = key_fetches(stage).await? - before;
    // Each gateway asks once in `token.jwks_min_interval_s`, which is a second here.
    let allowed = GATEWAYS as u64 * (1 + start.elapsed().as_secs());
    ensure!(fetched <= allowed, "{} tokens caused {fetched} fetches", tokens.len());
    is_accepted(stage, &forger.good()).await
}

/// How often auth-service was asked for its keys.
async fn key_fetches(stage: &Stage) -> Result<u64> {
    counted(stage, ("auth-service", 0), |line| {
        line.starts_with("rpc_server_duration_seconds_count") && line.contains("\"GetJwks\"")
    })
    .await
}

pub(super) async fn a010_critical_extensions(stage: &Stage) -> Result<()> {
    let user = stage.user().await?;
    let forger = stage.forger(user.id);
    let mut tokens = Vec::new();
    for crit in
        [json!(["exp"]), json!(["b64"]), json!(["https://x.example"]), json!([]), json!("x")]
    {
        tokens.push(("crit", forger.with_header(json!({"crit": crit}))));
        tokens.push(("crit and b64", forger.with_header(json!({"crit": crit, "b64": false}))));
    }
    let mut header = forger.header();
    header["crit"] = Value::Null;
    let claims = forger.claims().to_string();
    tokens.push(("crit is null", forger.issuer.sign_json(&header.to_string(), &claims)));
    // RFC 7797: the claims are signed as they stand, not encoded.
    let header = merged(forger.header(), json!({"b64": false, "crit": ["b64"]}));
    let encoded = forger.issuer.sign_json(&header.to_string(), "{}");
    let parts: Vec<_> = encoded.split('.').collect();
    tokens.push(("claims not encoded", format!("{}.{{}}.{}", parts[0], parts[2])));
    all_refused(stage, "TOKEN_INVALID", &tokens).await?;
    is_accepted(stage, &forger.good()).await
}

pub(super) async fn a021_other_serialisations(stage: &Stage) -> Result<()> {
    let user = stage.user().await?;
    let forger = stage.forger(user.id);
    let good = forger.good();
    let parts: Vec<_> = good.split('.').collect();
    let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap_or_default();
    let encoded = |encode: &dyn Fn(Vec<u8>) -> String| {
        parts.iter().map(|part| encode(decoded(part))).collect::<Vec<_>>().join(".")
    };
    let flat = json!({"protected": parts[0], "payload": parts[1], "signature": parts[2]});
    let general = json!({"payload": parts[1],
        "signatures": [{"protected": parts[0], "signature": parts[2]}]});
    let jwe = json!({"alg": "dir", "enc": "A128GCM", "kid": forger.issuer.key_id()});
    let jwe = URL_SAFE_NO_PAD.encode(jwe.to_string());
    let nested = merged(forger.header(), json!({"cty": "JWT"})).to_string();
    let with_odd = |part: usize, text: &str| {
        let mut parts = parts.clone();
        parts[part] = text;
        parts.join(".")
    };
    let tokens = [
        ("JSON serialisation", flat.to_string()),
        ("general JSON serialisation", general.to_string()),
        ("JSON serialisation, encoded", URL_SAFE_NO_PAD.encode(flat.to_string())),
        ("JWE", format!("{jwe}..{}.{}.{}", parts[1], parts[1], parts[2])),
        ("nested", forger.issuer.sign_json(&nested, &good)),
        ("nested, as text", forger.issuer.sign_json(&nested, &format!("\"{good}\""))),
        ("one segment", parts[0].to_owned()),
        ("two segments", format!("{}.{}", parts[0], parts[1])),
        ("four segments", format!("{good}.{}", parts[2])),
        ("five segments", format!("{good}.{}.{}", parts[1], parts[2])),
        ("dot at the end", format!("{good}.")),
        ("dot in front", format!(".{good}")),
        ("padded", encoded(&|bytes| URL_SAFE.encode([bytes.as_slice(), b" "].concat()))),
        ("padded signature", format!("{good}==")),
        ("standard alphabet", encoded(&|bytes| STANDARD.encode(bytes))),
        ("plus and slash", with_odd(2, &STANDARD.encode([0xfb; 64]))),
        ("no claims", with_odd(1, "")),
        ("claims are a list", forger.with_text(|_| "[]".to_owned())),
        ("claims are nothing", forger.with_text(|_| "null".to_owned())),
        ("header is a list", forger.issuer.sign_json("[]", &forger.claims().to_string())),
        ("percent", good.replace('.', "%2e")),
    ];
    all_refused(stage, "TOKEN_INVALID", &tokens).await?;
    is_accepted(stage, &good).await
}
