//! Signing keys: published, sealed, kept.

use auth_service::config::Config;
use auth_service::token::KeySealer;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chassis::auth::AuthError;
use chassis::clock::Clock as _;
use chassis::config::Secret;
use chrono::TimeDelta;
use futures::future::join_all;

use crate::harness::{Harness, Instance};

/// How every Ed25519 private key in DER names its algorithm (RFC 8410).
const ED25519: [u8; 5] = [0x06, 0x03, 0x2b, 0x65, 0x70];

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

async fn key_ids(instance: &Instance) -> Vec<String> {
    let keys = instance.jwks().await["keys"].as_array().unwrap().clone();
    keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn the_public_part_of_the_key_is_published_and_nothing_else() {
    let harness = Harness::start().await;
    let set = harness.instance.jwks().await;
    let [key] = set["keys"].as_array().unwrap().as_slice() else { panic!("one key: {set}") };
    let mut members: Vec<_> = key.as_object().unwrap().keys().map(String::as_str).collect();
    members.sort_unstable();
    assert_eq!(members, ["alg", "crv", "kid", "kty", "use", "x"]);
    assert_eq!(URL_SAFE_NO_PAD.decode(key["x"].as_str().unwrap()).unwrap().len(), 32);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn the_table_holds_no_private_key_that_opens_without_the_sealing_key() {
    let harness = Harness::start().await;
    let (kid, public, sealed): (String, Vec<u8>, Vec<u8>) =
        sqlx::query_as("SELECT kid, public_key, sealed_key FROM signing_keys")
            .fetch_one(&harness.pool)
            .await
            .unwrap();
    let own = KeySealer::new(&harness.config.keys.sealing_keys).unwrap();
    let opened = own.open(&kid, &sealed).unwrap();
    assert!(contains(&opened, &ED25519), "this is how a plain key would look");
    let seed = opened.windows(32).find(|window| {
        let pair = aws_lc_rs::signature::Ed25519KeyPair::from_seed_and_public_key(window, &public);
        pair.is_ok()
    });
    let seed = seed.unwrap();
    for secret in [&ED25519[..], seed, &seed[..8], &public[..8]] {
        assert!(!contains(&sealed, secret));
    }
    let other = Secret::new("another sealing key of 32 bytes or more");
    let other = KeySealer::new(&[other]).unwrap();
    assert!(other.open(&kid, &sealed).is_err());
    assert!(own.open("other", &sealed).is_err());
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_restart_keeps_keys_tokens_and_sessions() {
    let harness = Harness::start().await;
    let before = harness.login().await;
    let restarted = harness.replica().await;
    assert_eq!(restarted.jwks().await, harness.instance.jwks().await);
    assert_eq!(restarted.caller(&before).await.user_id, harness.alice);
    let after = restarted.refresh(&before.refresh_token).await.unwrap();
    harness.instance.caller(&after).await;
    restarted.logout(&before.access_token).await.unwrap();
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn instances_that_start_at_once_on_an_empty_table_sign_with_one_key() {
    let harness = Harness::start().await;
    sqlx::query("DELETE FROM signing_keys").execute(&harness.pool).await.unwrap();
    let instances = join_all((0..8).map(|_| harness.replica())).await;
    assert_eq!(harness.count("SELECT COUNT(*) FROM signing_keys").await, 1);
    let stored: String = sqlx::query_scalar("SELECT kid FROM signing_keys WHERE signs = 1")
        .fetch_one(&harness.pool)
        .await
        .unwrap();
    for (at, instance) in instances.iter().enumerate() {
        assert_eq!(key_ids(instance).await, [&*stored], "instance {at}");
        let pair = instance.login(crate::harness::EMAIL, crate::harness::PASSWORD).await.unwrap();
        let header = jsonwebtoken::decode_header(&pair.access_token).unwrap();
        assert_eq!(header.kid.as_deref(), Some(&*stored), "instance {at} signs by another key");
        instances[(at + 1) % instances.len()].caller(&pair).await;
    }
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn another_sealing_key_prevents_the_start_and_harms_nothing() {
    let harness = Harness::start().await;
    let secret = "another-sealing-key-0123456789abcdef";
    let mut config: Config = harness.config.clone();
    config.keys.sealing_keys = vec![Secret::new(secret)];
    let refusal = format!("{:#}", harness.try_replica(&config).await.err().unwrap());
    let [kid] = &key_ids(&harness.instance).await[..] else { panic!("one key") };
    assert!(refusal.contains(kid) && refusal.contains("keys.sealing_keys"), "{refusal}");
    assert!(!refusal.contains(secret));
    let restarted = harness.replica().await;
    restarted.caller(&harness.login().await).await;
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn the_sealing_key_is_replaced_while_replicas_run() {
    let harness = Harness::start().await;
    let before = harness.login().await;
    let (old, new) = (harness.config.keys.sealing_keys[0].clone(), Secret::new("n".repeat(32)));
    let with = |keys: Vec<Secret>| {
        let (harness, mut config): (&Harness, Config) = (&harness, harness.config.clone());
        config.keys.sealing_keys = keys;
        async move { harness.try_replica(&config).await }
    };
    let sealed = async || -> Vec<u8> {
        let only = sqlx::query_scalar("SELECT sealed_key FROM signing_keys");
        only.fetch_one(&harness.pool).await.unwrap()
    };
    let first = sealed().await;
    let ready = with(vec![old.clone(), new.clone()]).await.unwrap();
    assert_eq!(sealed().await, first, "what the first key has sealed stays");
    let starts = [(); 4].map(|()| with(vec![new.clone(), old.clone()]));
    let replaced: Vec<_> = join_all(starts).await.into_iter().map(Result::unwrap).collect();
    assert_ne!(sealed().await, first);
    let rows = "SELECT COUNT(*) FROM audit_log WHERE action = 'key.resealed' AND seq = 2";
    assert_eq!(harness.count(rows).await, 1);
    let last = with(vec![new]).await.unwrap();
    assert!(with(vec![old]).await.is_err(), "the old key is worthless");
    for instance in replaced.iter().chain([&ready, &last]) {
        instance.caller(&before).await;
        let pair = instance.login(crate::harness::EMAIL, crate::harness::PASSWORD).await.unwrap();
        harness.instance.caller(&pair).await;
    }
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_retired_key_is_published_as_long_as_its_tokens_live() {
    let harness = Harness::start().await;
    let old = harness.login().await;
    let until = harness.clock.now() + TimeDelta::minutes(16);
    sqlx::query("UPDATE signing_keys SET signs = NULL, published_until = ?")
        .bind(until.naive_utc())
        .execute(&harness.pool)
        .await
        .unwrap();
    let successor = harness.replica().await;
    assert_eq!(key_ids(&successor).await.len(), 2);
    let new = successor.login(crate::harness::EMAIL, crate::harness::PASSWORD).await.unwrap();
    successor.caller(&old).await;
    successor.caller(&new).await;
    harness.clock.advance(TimeDelta::minutes(16));
    let left = key_ids(&successor).await;
    assert_eq!(left.len(), 1);
    let late = harness.replica().await;
    assert_eq!(key_ids(&late).await, left);
    let refusal = late.verifier.verify(&old.access_token).await;
    assert!(matches!(refusal, Err(AuthError::Invalid(_))), "{refusal:?}");
    harness.finish().await;
}
