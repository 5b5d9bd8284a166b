//! Access tokens at the edge: what is refused, under which code, and at whose expense.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use chassis::testing::forger::{Forger, make_malleable, merged};
use chassis::testing::tokens::TestIssuer;
use chrono::TimeDelta;
use serde_json::json;
use tokio::net::TcpListener;

use crate::harness::{Ask, Gateway, key_set};
use crate::samples::{CUSTOMER, ID};

/// What an Ed25519 key in DER begins with (RFC 8410).
const DER_PREFIX: &[u8] = &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Where all these tokens are tried.
const PATH: &str = "/api/v1/users/me";

fn algorithms_and_signatures(forger: &Forger<'_>) -> Vec<(&'static str, String)> {
    let public = forger.public_key();
    let der = [DER_PREFIX, &public].concat();
    let pem = STANDARD.encode(&der);
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{pem}\n-----END PUBLIC KEY-----\n");
    let jwk = serde_json::to_string(&forger.issuer.key_set().keys[0]).unwrap();
    let other = forger.with_claims(json!({"sub": ID, "roles": ["admin"]}));
    let other_claims = other.split('.').nth(1).unwrap();
    let good = forger.good();
    let own_claims = good.split('.').nth(1).unwrap();
    vec![
        ("alg none", forger.unsigned("none")),
        ("alg None", forger.unsigned("None")),
        ("alg nOnE", forger.unsigned("nOnE")),
        ("no signature", forger.unsigned("EdDSA")),
        ("alg none with a signature", forger.with_header(json!({"alg": "none"}))),
        ("HS256 with the key's bytes", forger.with_secret(&public)),
        ("HS256 with the key in DER", forger.with_secret(&der)),
        ("HS256 with the key in PEM", forger.with_secret(pem.as_bytes())),
        ("HS256 with the JWK", forger.with_secret(jwk.as_bytes())),
        ("one bit flipped", forger.with_signature(|signature| signature[5] ^= 1)),
        ("truncated", forger.with_signature(|signature| signature.truncate(63))),
        ("appended", forger.with_signature(|signature| signature.push(0))),
        ("zeros", forger.with_signature(|signature| signature.fill(0))),
        ("S is not canonical", forger.with_signature(|signature| make_malleable(signature))),
        ("other claims, old signature", good.replace(own_claims, other_claims)),
    ]
}

fn headers(forger: &Forger<'_>, hook: &str) -> Vec<(&'static str, String)> {
    let stranger = TestIssuer::new();
    let jwk = serde_json::to_value(&stranger.key_set().keys[0]).unwrap();
    let embedded = merged(forger.header(), json!({"jwk": jwk}));
    let claims = forger.claims().to_string();
    let mut tokens = vec![
        ("a key of its own", stranger.sign_json(&embedded.to_string(), &claims)),
        ("another issuer", stranger.token(CUSTOMER.parse().unwrap(), &["admin"])),
        ("crit", forger.with_header(json!({"crit": ["exp"]}))),
        ("b64", forger.with_header(json!({"crit": ["b64"], "b64": false}))),
        ("no kid", forger.with_header(json!({"kid": null}))),
        ("kid is a number", forger.with_header(json!({"kid": 1}))),
        ("typ JWT", forger.with_header(json!({"typ": "JWT"}))),
        ("no typ", forger.with_header(json!({"typ": null}))),
        ("refresh token by its typ", forger.with_header(json!({"typ": "rt+jwt"}))),
        ("refresh token", URL_SAFE_NO_PAD.encode([7; 32])),
    ];
    for member in ["jku", "x5u"] {
        let header = merged(forger.header(), json!({member: hook, "kid": "elsewhere"}));
        tokens.push((member, stranger.sign_json(&header.to_string(), &claims)));
    }
    let long = "k".repeat(10_000);
    for kid in ["../../dev/null", "' OR 1=1", "\0", "unheard-of", "", &long] {
        tokens.push(("kid", forger.with_header(json!({"kid": kid}))));
    }
    tokens
}

fn claims(forger: &Forger<'_>) -> Vec<(&'static str, String)> {
    let exp = |text: &str| {
        let claims = merged(forger.claims(), json!({"exp": "EXP"}));
        let claims = claims.to_string().replace("\"EXP\"", text);
        forger.issuer.sign_json(&forger.header().to_string(), &claims)
    };
    let twice = |text: String| text.replacen('{', &format!("{{\"sub\":\"{ID}\","), 1);
    vec![
        ("no exp", forger.with_claims(json!({"exp": null}))),
        ("exp is text", exp("\"1999999999\"")),
        ("exp is a float", exp("1999999999.5")),
        ("exp is 2^63", exp("9223372036854775808")),
        ("exp is infinite", exp("1e400")),
        ("exp is negative", exp("-5")),
        ("other iss", forger.with_claims(json!({"iss": "https://enterprisehub.local.evil"}))),
        ("no iss", forger.with_claims(json!({"iss": null}))),
        ("other aud", forger.with_claims(json!({"aud": "elsewhere"}))),
        ("no aud", forger.with_claims(json!({"aud": null}))),
        ("aud without us", forger.with_claims(json!({"aud": ["one", "two"]}))),
        ("token for a service", forger.with_claims(json!({"aud": "order-service"}))),
        ("sub is no identity", forger.with_claims(json!({"sub": "root"}))),
        ("no session", forger.with_claims(json!({"sid": null}))),
        ("sub twice", forger.with_text(twice)),
    ]
}

fn shapes(forger: &Forger<'_>) -> Vec<(&'static str, String)> {
    let good = forger.good();
    let parts: Vec<_> = good.split('.').collect();
    let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap();
    let with = |encode: &dyn Fn(Vec<u8>) -> String| {
        let parts: Vec<_> = parts.iter().map(|part| encode(decoded(part))).collect();
        parts.join(".")
    };
    let json = json!({"protected": parts[0], "payload": parts[1], "signature": parts[2]});
    vec![
        ("empty", String::new()),
        ("null", "null".to_owned()),
        ("undefined", "undefined".to_owned()),
        ("two segments", format!("{}.{}", parts[0], parts[1])),
        ("four segments", format!("{good}.{}", parts[2])),
        ("five segments", format!("{}..{}.{}.{}", parts[0], parts[1], parts[1], parts[2])),
        ("padded", with(&|bytes| URL_SAFE.encode([bytes.as_slice(), b" "].concat()))),
        ("padded signature", format!("{good}==")),
        ("standard alphabet", with(&|_| STANDARD.encode([0xfb; 33]))),
        ("JSON serialisation", json.to_string()),
        ("nested", forger.with_text(|_| format!("\"{good}\""))),
        ("after a space", format!(" {good}")),
        ("before a space", format!("{good} x")),
        ("100 kB", "a".repeat(100_000)),
    ]
}

#[tokio::test]
async fn forged_tokens_are_refused_and_reach_no_service() {
    let gateway = Gateway::start().await;
    let forger = Forger { issuer: &gateway.issuer, user: CUSTOMER.parse().unwrap() };
    let hook = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/jwks.json", hook.local_addr().unwrap());
    let tokens = [
        algorithms_and_signatures(&forger),
        headers(&forger, &address),
        claims(&forger),
        shapes(&forger),
    ];
    for (attack, token) in tokens.concat() {
        let reply = gateway.ask(Ask::get(PATH).token(&token)).await;
        assert_eq!(reply.code(), "TOKEN_INVALID", "{attack}: {token}");
        let challenge = reply.header("www-authenticate").unwrap();
        assert!(challenge.contains("error=\"invalid_token\""), "{attack}: {challenge}");
    }
    let calls = gateway.fleet.take_rpcs();
    assert!(calls.iter().all(|rpc| rpc == "GetJwks") && calls.len() <= 1, "{calls:?}");
    let visited = tokio::time::timeout(std::time::Duration::ZERO, hook.accept()).await;
    assert!(visited.is_err(), "the address in a token was asked");
    let reply = gateway.ask(Ask::get(PATH).token(&forger.good())).await;
    assert_eq!(reply.status, 200, "the one that is not forged");
}

#[tokio::test]
async fn the_times_of_a_token_are_judged_with_a_minute_of_leeway() {
    let gateway = Gateway::start().await;
    let forger = Forger { issuer: &gateway.issuer, user: CUSTOMER.parse().unwrap() };
    let (token, now) = (forger.good(), forger.claims()["iat"].as_i64().unwrap());
    let code = async |token: &str| {
        let reply = gateway.ask(Ask::get(PATH).token(token)).await;
        if reply.status == 200 { "accepted".to_owned() } else { reply.code() }
    };
    for (claims, expected) in [
        (json!({"nbf": now + 3_600}), "TOKEN_NOT_YET_VALID"),
        (json!({"iat": now + 3_600, "exp": now + 7_200}), "TOKEN_NOT_YET_VALID"),
        (json!({"nbf": now + 59}), "accepted"),
        (json!({"exp": now - 59}), "accepted"),
        (json!({"exp": now - 61}), "TOKEN_EXPIRED"),
    ] {
        assert_eq!(code(&forger.with_claims(claims.clone())).await, expected, "{claims}");
    }
    assert_eq!(code(&token).await, "accepted");
    gateway.clock.advance(TimeDelta::seconds(900 + 59));
    assert_eq!(code(&token).await, "accepted", "59 seconds late");
    gateway.clock.advance(TimeDelta::seconds(2));
    assert_eq!(code(&token).await, "TOKEN_EXPIRED", "61 seconds late, though it was known");
}

#[tokio::test]
async fn a_token_stands_in_one_authorization_header_and_nowhere_else() {
    let gateway = Gateway::start().await;
    let token = gateway.customer();
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let ask = Ask::get(PATH).header("authorization", format!("{scheme} {token}"));
        assert_eq!(gateway.ask(ask).await.status, 200, "{scheme}");
    }
    gateway.fleet.take_calls();
    let elsewhere = [
        Ask::get(&format!("{PATH}?access_token={token}")),
        Ask::get(PATH).header("cookie", format!("access_token={token}")),
        Ask::get(PATH).header("x-access-token", &token),
        Ask::get(PATH).header("proxy-authorization", format!("Bearer {token}")),
    ];
    for (number, ask) in elsewhere.into_iter().enumerate() {
        assert_eq!(gateway.code(ask).await, "TOKEN_MISSING", "{number}");
    }
    let odd = [
        Ask::get(PATH).token(&token).token(&token),
        Ask::get(PATH).header("authorization", format!("Basic {token}")),
        Ask::get(PATH).header("authorization", &token),
        Ask::get(PATH).header("authorization", "Bearer"),
        Ask::get(PATH).header("authorization", format!("Bearer,{token}")),
        Ask::get(PATH).header("authorization", b"Bearer \xff"),
    ];
    for (number, ask) in odd.into_iter().enumerate() {
        assert_eq!(gateway.code(ask).await, "TOKEN_INVALID", "{number}");
    }
    assert!(!gateway.fleet.has_calls());
}

#[tokio::test]
async fn a_retired_key_is_not_believed_any_more() {
    let gateway = Gateway::with(&[("TOKEN__JWKS_MIN_INTERVAL_S", "0")]).await;
    let old = Ask::get(PATH).token(&gateway.customer());
    assert_eq!(gateway.ask(old).await.status, 200);
    let successor = TestIssuer::with_clock(gateway.clock.clone());
    gateway.fleet.script("GetJwks", [key_set(&successor)]);
    let new = Ask::get(PATH).token(&successor.token(CUSTOMER.parse().unwrap(), &["customer"]));
    assert_eq!(gateway.ask(new).await.status, 200, "the new key is found by itself");
    let old = Ask::get(PATH).token(&gateway.customer());
    assert_eq!(gateway.code(old).await, "TOKEN_INVALID");
}
