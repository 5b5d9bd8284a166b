//! The key ring over keys in memory.

use chassis::clock::SystemClock;
use chassis::config::Secret;
use futures::future::join_all;

use super::*;
use crate::repository::MemoryKeyRepository;

async fn open(keys: &Arc<MemoryKeyRepository>, key: &str) -> Result<KeyRing, KeyError> {
    open_with(keys, &[key]).await
}

async fn open_with(keys: &Arc<MemoryKeyRepository>, sealing: &[&str]) -> Result<KeyRing, KeyError> {
    let sealing: Vec<_> = sealing.iter().map(|key| Secret::new(*key)).collect();
    let sealer = Arc::new(KeySealer::new(&sealing).unwrap());
    KeyRing::open(keys.clone(), sealer, Arc::new(SystemClock)).await
}

#[test]
fn the_thumbprint_is_that_of_the_standard() {
    let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    let public_key = URL_SAFE_NO_PAD.decode(x).unwrap();
    // The example of RFC 8037, appendix A.3.
    assert_eq!(thumbprint(&public_key), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}

#[tokio::test]
async fn replicas_that_start_at_once_sign_with_one_key() {
    let keys = Arc::new(MemoryKeyRepository::default());
    let rings = join_all((0..8).map(|_| open(&keys, "the one key"))).await;
    let kids: Vec<_> = rings.into_iter().map(|ring| ring.unwrap().current().kid).collect();
    assert!(kids.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(keys.list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_key_that_was_sealed_otherwise_is_refused_with_its_name() {
    let keys = Arc::new(MemoryKeyRepository::default());
    let kid = open(&keys, "the one key").await.unwrap().current().kid;
    let refused = open(&keys, "another key").await.err().unwrap().to_string();
    assert!(refused.contains(&*kid) && refused.contains("keys.sealing_keys"), "{refused}");
    assert!(!refused.contains("another key"));
}

#[tokio::test]
async fn a_sealing_key_is_replaced_in_two_steps_and_the_old_one_is_worthless_then() {
    let keys = Arc::new(MemoryKeyRepository::default());
    let kid = open(&keys, "the old key").await.unwrap().current().kid;
    let ready = open_with(&keys, &["the old key", "the new key"]).await.unwrap();
    ready.keys.insert_pending(&pending(&ready)).await.unwrap();
    let before = keys.list().await.unwrap();
    let replaced = open_with(&keys, &["the new key", "the old key"]).await.unwrap();
    assert_eq!(replaced.current().kid, kid);
    open_with(&keys, &["the old key", "the new key"]).await.unwrap();
    open_with(&keys, &["the new key", "the old key"]).await.unwrap();
    assert_eq!(open(&keys, "the new key").await.unwrap().current().kid, kid);
    assert!(open(&keys, "the old key").await.is_err());
    let after = keys.list().await.unwrap();
    assert_eq!(after.len(), 2);
    for (old, new) in before.iter().zip(&after) {
        let resealed = StoredKey { sealed_key: new.sealed_key.clone(), ..old.clone() };
        assert!(&resealed == new && old.sealed_key != new.sealed_key);
    }
    let resealed = keys.audit().iter().filter(|action| **action == "key.resealed").count();
    assert_eq!(resealed, 6, "two keys, there and back and there again");
}

#[tokio::test]
async fn a_key_that_waits_and_cannot_be_opened_is_refused_before_it_signs() {
    let keys = Arc::new(MemoryKeyRepository::default());
    let ring = open(&keys, "the one key").await.unwrap();
    let other = Arc::new(MemoryKeyRepository::default());
    let waits = pending(&open(&other, "another key").await.unwrap());
    ring.keys.insert_pending(&waits).await.unwrap();
    let refused = open(&keys, "the one key").await.err().unwrap();
    assert!(matches!(refused, KeyError::Unreadable { kid } if kid == waits.kid));
}

fn pending(ring: &KeyRing) -> StoredKey {
    let made = make_key(&ring.sealer, &SystemClock).unwrap();
    StoredKey { signs: false, signs_from: Some(made.created_at), ..made }
}

#[tokio::test]
async fn the_published_set_holds_public_parts_only() {
    let keys = Arc::new(MemoryKeyRepository::default());
    let ring = open(&keys, "the one key").await.unwrap();
    let set: serde_json::Value = serde_json::from_str(&ring.published().await.unwrap()).unwrap();
    let [key] = set["keys"].as_array().unwrap().as_slice() else { panic!("one key") };
    assert_eq!((key["kty"].as_str(), key["crv"].as_str()), (Some("OKP"), Some("Ed25519")));
    assert_eq!((key["alg"].as_str(), key["use"].as_str()), (Some("EdDSA"), Some("sig")));
    assert_eq!(key["kid"], *ring.current().kid);
    assert!(key.get("d").is_none());
}
