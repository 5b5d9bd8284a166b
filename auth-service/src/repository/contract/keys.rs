//! What keeps signing keys.

use std::sync::Arc;

use chrono::TimeDelta;
use futures::future::join_all;

use super::now;
use crate::model::{KeyState, SessionError, StoredKey};
use crate::repository::KeyRepository;

fn key(kid: &str) -> StoredKey {
    StoredKey {
        kid: kid.to_owned(),
        public_key: vec![7; 32],
        sealed_key: vec![1, 2, 3],
        signs: true,
        created_at: now(),
        signs_from: None,
        published_until: None,
    }
}

pub(super) async fn key_suite(keys: Arc<dyn KeyRepository>) {
    assert_eq!(keys.list().await.unwrap(), []);
    let many: Vec<_> = (0..10).map(|n| key(&format!("kid-{n}"))).collect();
    let results = join_all(many.iter().map(|key| keys.insert_signing(key))).await;
    let won: Vec<_> = results.iter().map(|result| *result.as_ref().unwrap()).collect();
    assert_eq!(won.iter().filter(|won| **won).count(), 1);
    let winner = won.iter().position(|won| *won).unwrap();
    let signing = many[winner].clone();
    assert_eq!(keys.list().await.unwrap(), std::slice::from_ref(&signing));
    let signing = what_is_sealed_anew_is_what_was_read(&*keys, &signing).await;
    rotation_suite(&*keys, &signing).await;
    of_orders_given_at_once_one_key_is_left(&*keys).await;
}

/// Whoever withdraws all keys at the same moment as others either does so or is told, and never fails
/// for a reason that nobody understands.
async fn of_orders_given_at_once_one_key_is_left(keys: &dyn KeyRepository) {
    let at = now() + TimeDelta::hours(1);
    let made = |n: u32| StoredKey { created_at: at, ..key(&format!("order-{n}")) };
    let made: Vec<_> = (0..6).map(made).collect();
    let outcomes = join_all(made.iter().map(|key| keys.replace_all(key, at))).await;
    for outcome in &outcomes {
        let is_clear = matches!(
            outcome,
            Ok(()) | Err(SessionError::KeysChanged | SessionError::Unavailable { .. })
        );
        assert!(is_clear, "{outcome:?}");
    }
    assert!(outcomes.iter().any(Result::is_ok));
    let left = keys.list().await.unwrap();
    let left: Vec<_> = left.iter().filter(|key| key.signs || key.is_published(at)).collect();
    assert!(matches!(&left[..], [key] if key.state() == KeyState::Signing), "{left:?}");
}

/// Of those who seal a key anew at once, each after a look at it, one stores it.
async fn what_is_sealed_anew_is_what_was_read(
    keys: &dyn KeyRepository,
    read: &StoredKey,
) -> StoredKey {
    let sealed: Vec<_> = (0..5).map(|n| vec![9, 9, n]).collect();
    let outcomes = join_all(sealed.iter().map(|sealed| keys.reseal(read, sealed))).await;
    let stored: Vec<_> = outcomes.into_iter().map(Result::unwrap).collect();
    assert_eq!(stored.iter().filter(|stored| **stored).count(), 1);
    let sealed_key = sealed[stored.iter().position(|stored| *stored).unwrap()].clone();
    let resealed = StoredKey { sealed_key, ..read.clone() };
    assert_eq!(keys.list().await.unwrap(), std::slice::from_ref(&resealed));
    let none = StoredKey { kid: "none".to_owned(), ..resealed.clone() };
    assert!(!keys.reseal(&none, b"x").await.unwrap());
    resealed
}

async fn rotation_suite(keys: &dyn KeyRepository, before: &StoredKey) {
    let first = before.kid.as_str();
    let later = now() + TimeDelta::minutes(1);
    let pending = |kid: &str| StoredKey {
        signs: false,
        created_at: later,
        signs_from: Some(later),
        ..key(kid)
    };
    let many: Vec<_> = (0..10).map(|n| pending(&format!("next-{n}"))).collect();
    let stored = join_all(many.iter().map(|key| keys.insert_pending(key))).await;
    let stored: Vec<_> = stored.into_iter().map(Result::unwrap).collect();
    assert_eq!(stored.iter().filter(|stored| **stored).count(), 1);
    let next = &many[stored.iter().position(|stored| *stored).unwrap()];
    let states = async || {
        let keys = keys.list().await.unwrap();
        keys.iter().map(|key| (key.kid.clone(), key.state())).collect::<Vec<_>>()
    };
    let named = |kid: &str, state| (kid.to_owned(), state);
    let expected = [named(first, KeyState::Signing), named(&next.kid, KeyState::Pending)];
    assert_eq!(states().await, expected);
    assert!(keys.list().await.unwrap().contains(next), "it is stored whole");
    let promoted = join_all((0..8).map(|_| keys.promote(&next.kid, later))).await;
    assert_eq!(promoted.into_iter().filter(|done| *done.as_ref().unwrap()).count(), 1);
    let expected = [named(first, KeyState::Retired), named(&next.kid, KeyState::Signing)];
    assert_eq!(states().await, expected);
    let retired = keys.list().await.unwrap().remove(0);
    assert_eq!((retired.published_until, retired.sealed_key), (Some(later), Vec::new()));
    assert!(!keys.reseal(before, b"late").await.unwrap(), "what was destroyed stays so");
    assert!(keys.insert_pending(&pending("waits")).await.unwrap(), "the next one may come");
    let last = StoredKey { created_at: later + TimeDelta::minutes(1), ..key("only") };
    keys.replace_all(&last, later).await.unwrap();
    let states = states().await;
    let living: Vec<_> = states.iter().filter(|(_, state)| *state != KeyState::Retired).collect();
    assert_eq!(living, [&named("only", KeyState::Signing)]);
    assert!(keys.list().await.unwrap().iter().all(|key| key.signs || !key.is_published(later)));
    assert_eq!(keys.forget(later).await.unwrap(), 0);
    assert_eq!(keys.forget(later + TimeDelta::seconds(1)).await.unwrap(), 3);
}
