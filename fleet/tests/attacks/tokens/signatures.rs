//! Tokens whose signature proves nothing.

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chassis::testing::forger::{Forger, make_malleable, merged};
use fleet::seed;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Forged, all_refused, is_accepted};
use crate::support::own_id;
use crate::support::stage::Stage;

/// What an Ed25519 key in DER begins with (RFC 8410).
const DER_PREFIX: &[u8] = &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

pub(super) async fn a003_no_signature(stage: &Stage) -> Result<()> {
    let user = stage.user().await?;
    let forger = stage.forger(user.id);
    let mut tokens = Vec::new();
    for alg in ["none", "None", "nOnE", "NONE", "", "EdDSA", "HS256"] {
        tokens.push(("no signature", forger.unsigned(alg)));
        tokens.push(("a signature that is not looked at", format!("{}AAAA", forger.unsigned(alg))));
        tokens.push(("a real signature", forger.with_header(json!({"alg": alg}))));
    }
    // The last one of these is the good token.
    tokens.retain(|(attack, token)| *attack != "a real signature" || !is_eddsa(token));
    for alg in [Value::Null, json!("null"), json!(["EdDSA"]), json!({"alg": "EdDSA"}), json!(0)] {
        let header = merged(forger.header(), json!({"alg": alg}));
        let claims = forger.claims().to_string();
        tokens.push(("alg is odd", forger.issuer.sign_json(&header.to_string(), &claims)));
    }
    all_refused(stage, "TOKEN_INVALID", &tokens).await?;
    is_accepted(stage, &forger.good()).await
}

fn is_eddsa(token: &str) -> bool {
    let header = token.split('.').next().and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    let header = header.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    header.is_some_and(|header| header["alg"] == "EdDSA")
}

pub(super) async fn a004_confusion_of_algorithms(stage: &Stage) -> Result<()> {
    let user = stage.user().await?;
    let forger = stage.forger(user.id);
    let keys = stage.visitor()?.get("/.well-known/jwks.json").await?.require(200)?;
    let own = keys["keys"].as_array().context("no keys")?;
    let mut tokens = secrets_of(&forger, &forger.public_key(), &jwk_of(&forger)?);
    for key in own {
        let public = URL_SAFE_NO_PAD.decode(key["x"].as_str().context("a key without x")?)?;
        tokens.extend(secrets_of(&forger, &public, &key.to_string()));
    }
    tokens.push(("HS256 with the key set", forger.with_secret(keys.to_string().as_bytes())));
    tokens.push(("HS256 with nothing", forger.with_secret(b"")));
    for alg in ["HS384", "HS512", "RS256", "PS256", "ES256", "ES256K", "Ed448", "EdDSA ", "eddsa"] {
        tokens.push(("another algorithm", forger.with_header(json!({"alg": alg}))));
    }
    all_refused(stage, "TOKEN_INVALID", &tokens).await?;
    is_accepted(stage, &forger.good()).await
}

fn jwk_of(forger: &Forger<'_>) -> Result<String> {
    Ok(serde_json::to_string(&forger.issuer.key_set().keys[0])?)
}

/// The forms in which a public key may be taken for a secret.
fn secrets_of(forger: &Forger<'_>, public: &[u8], jwk: &str) -> Vec<Forged> {
    let der = [DER_PREFIX, public].concat();
    let base64 = STANDARD.encode(&der);
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{base64}\n-----END PUBLIC KEY-----");
    vec![
        ("HS256 with the key's bytes", forger.with_secret(public)),
        (
            "HS256 with the key's text",
            forger.with_secret(URL_SAFE_NO_PAD.encode(public).as_bytes()),
        ),
        ("HS256 with the key in DER", forger.with_secret(&der)),
        ("HS256 with the key in base64", forger.with_secret(base64.as_bytes())),
        ("HS256 with the key in PEM", forger.with_secret(pem.as_bytes())),
        (
            "HS256 with the key in PEM, line ended",
            forger.with_secret(format!("{pem}\n").as_bytes()),
        ),
        ("HS256 with the JWK", forger.with_secret(jwk.as_bytes())),
    ]
}

pub(super) async fn a005_damaged_signatures(stage: &Stage) -> Result<()> {
    let user = stage.user().await?;
    let forger = stage.forger(user.id);
    let mut tokens = Vec::new();
    for bit in (0..512).step_by(37) {
        let flip = |signature: &mut Vec<u8>| signature[bit / 8] ^= 1 << (bit % 8);
        tokens.push(("one bit flipped", forger.with_signature(flip)));
    }
    for length in [0, 1, 31, 32, 63] {
        tokens.push(("truncated", forger.with_signature(|signature| signature.truncate(length))));
    }
    tokens.push(("appended", forger.with_signature(|signature| signature.push(0))));
    tokens.push(("twice", forger.with_signature(|signature| signature.extend(signature.clone()))));
    tokens.push(("halves swapped", forger.with_signature(|signature| signature.rotate_left(32))));
    tokens.push(("of another token", forger.with_signature(|_| {})));
    let other = forger.good();
    let (message, _) = other.rsplit_once('.').context("a token")?;
    let last = tokens.len() - 1;
    let signature = tokens[last].1.rsplit_once('.').context("a token")?.1.to_owned();
    tokens[last].1 = format!("{message}.{signature}");
    all_refused(stage, "TOKEN_INVALID", &tokens).await?;
    is_accepted(stage, &forger.good()).await
}

pub(super) async fn a006_changed_claims(stage: &Stage) -> Result<()> {
    let user = stage.user().await?;
    let admin = own_id(&stage.admin().await?).await?;
    // A token that the fleet itself has issued, not one of the forger's.
    let issued = user.api.token().context("no token")?.to_owned();
    let parts: Vec<&str> = issued.split('.').collect();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[1])?)?;
    let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[0])?)?;
    let changed = |members: Value| {
        let claims = URL_SAFE_NO_PAD.encode(merged(claims.clone(), members).to_string());
        format!("{}.{claims}.{}", parts[0], parts[2])
    };
    let exp = claims["exp"].as_i64().context("no exp")?;
    let rewritten = URL_SAFE_NO_PAD.encode(format!("{header} "));
    let tokens = [
        ("sub of the administrator", changed(json!({"sub": admin}))),
        ("sub of nobody", changed(json!({"sub": Uuid::from_u128(1)}))),
        ("roles", changed(json!({"roles": ["admin"]}))),
        ("sub and roles", changed(json!({"sub": admin, "roles": ["admin", "customer"]}))),
        ("longer life", changed(json!({"exp": exp + 86_400}))),
        ("another session", changed(json!({"sid": Uuid::from_u128(1)}))),
        ("header written anew", format!("{rewritten}.{}.{}", parts[1], parts[2])),
    ];
    all_refused(stage, "TOKEN_INVALID", &tokens).await?;
    is_accepted(stage, &issued).await?;
    let users = stage.visitor()?.login(seed::ADMIN_EMAIL, seed::ADMIN_PASSWORD).await?;
    users.get("/api/v1/users").await?.require(200)?;
    Ok(())
}

pub(super) async fn a024_degenerate_signatures(stage: &Stage) -> Result<()> {
    let user = stage.user().await?;
    let forger = stage.forger(user.id);
    let mut tokens = vec![
        ("all zeros", forger.with_signature(|signature| signature.fill(0))),
        ("all ones", forger.with_signature(|signature| signature.fill(0xff))),
        ("S is not canonical", forger.with_signature(|signature| make_malleable(signature))),
        ("S is zero", forger.with_signature(|signature| signature[32..].fill(0))),
        ("R is zero", forger.with_signature(|signature| signature[..32].fill(0))),
    ];
    for alg in ["ES256", "ES384", "ES512"] {
        let message = forger.unsigned(alg);
        let zeros = URL_SAFE_NO_PAD.encode([0; 64]);
        tokens.push(("r and s are zero", format!("{message}{zeros}")));
        // The same in DER: SEQUENCE { INTEGER 0, INTEGER 0 }.
        let der = URL_SAFE_NO_PAD.encode([0x30, 6, 2, 1, 0, 2, 1, 0]);
        tokens.push(("r and s are zero, in DER", format!("{message}{der}")));
    }
    for point in small_order_points() {
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(point)});
        let header = merged(forger.header(), json!({"jwk": jwk, "kid": "small"}));
        let message = [header, forger.claims()]
            .map(|part| URL_SAFE_NO_PAD.encode(part.to_string()))
            .join(".");
        // With a key of small order, R = A and S = 0 verify for about one message in eight.
        let signature = [point.as_slice(), &[0; 32]].concat();
        let signature = URL_SAFE_NO_PAD.encode(&signature);
        tokens.push(("a key of small order", format!("{message}.{signature}")));
        let own = forger.with_signature(|own| own[..32].copy_from_slice(&point));
        tokens.push(("R of small order", own));
    }
    all_refused(stage, "TOKEN_INVALID", &tokens).await?;
    is_accepted(stage, &forger.good()).await
}

/// Encodings of points of order 1, 2 and 4, the second of them not canonical.
fn small_order_points() -> [[u8; 32]; 4] {
    let mut identity = [0; 32];
    identity[0] = 1;
    let mut odd_identity = identity;
    odd_identity[31] = 0x80;
    let mut order_two = [0xff; 32];
    (order_two[0], order_two[31]) = (0xec, 0x7f);
    [identity, odd_identity, order_two, [0; 32]]
}
