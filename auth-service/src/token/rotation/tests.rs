//! Rotation, by replicas over keys in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use chassis::auth::{AuthError, Verifier};
use chassis::config::{Secret, TokenConfig};
use chassis::error::{ServiceError as _, codes};
use chassis::testing::clock::FixedClock;
use futures::future::join_all;

use super::super::{AccessTokens, KeyRingSource, KeySealer, Subject};
use super::*;
use crate::model::{SessionId, UserId};
use crate::repository::{KeyRepository, MemoryKeyRepository};

const PLAN: RotationPlan = RotationPlan {
    every: Some(TimeDelta::days(90)),
    publish_before: TimeDelta::minutes(10),
    publish_after: TimeDelta::minutes(21),
    pace: Duration::from_secs(5),
};

struct World {
    clock: Arc<FixedClock>,
    rings: Vec<Arc<KeyRing>>,
}

impl World {
    async fn with_replicas(count: usize) -> Self {
        Self::over(Arc::new(MemoryKeyRepository::default()), count).await
    }

    async fn over(keys: Arc<dyn KeyRepository>, count: usize) -> Self {
        let clock = Arc::new(FixedClock::default());
        let sealer = Arc::new(KeySealer::new(&[Secret::new("the one key")]).unwrap());
        let mut rings = Vec::new();
        for _ in 0..count {
            let ring = KeyRing::open(keys.clone(), sealer.clone(), clock.clone()).await;
            rings.push(Arc::new(ring.unwrap()));
        }
        Self { clock, rings }
    }

    async fn tend(&self) {
        for tended in join_all(self.rings.iter().map(|ring| ring.tend(&PLAN))).await {
            tended.unwrap();
        }
    }

    async fn states(&self) -> Vec<KeyState> {
        let keys = self.rings[0].published_keys().await.unwrap();
        keys.iter().map(StoredKey::state).collect()
    }

    fn token(&self, ring: usize) -> String {
        let tokens = AccessTokens::new(self.rings[ring].clone(), &TokenConfig::default(), 900);
        let subject = Subject {
            user_id: UserId::generate(),
            session_id: SessionId::generate(),
            version: 1,
            roles: Vec::new(),
        };
        let now = chassis::clock::Clock::now(&*self.clock);
        tokens.issue(subject, now).unwrap().expose().to_owned()
    }

    async fn judge(&self, token: &str) -> Result<(), AuthError> {
        let source = Arc::new(KeyRingSource::new(self.rings[0].clone()));
        let verifier = Verifier::new(&TokenConfig::default(), source, self.clock.clone());
        verifier.verify(token).await.map(|_| ())
    }
}

/// Keys of which a look may be answered late, with what there was when it began, and whose changes
/// may come at the same moment as another one.
#[derive(Default)]
struct OddKeys {
    inner: MemoryKeyRepository,
    is_slow: AtomicBool,
    go_on: Notify,
    collisions: AtomicUsize,
}

#[async_trait]
impl KeyRepository for OddKeys {
    async fn list(&self) -> Result<Vec<StoredKey>, SessionError> {
        let keys = self.inner.list().await;
        if self.is_slow.swap(false, Ordering::SeqCst) {
            self.go_on.notified().await;
        }
        keys
    }

    async fn insert_signing(&self, key: &StoredKey) -> Result<bool, SessionError> {
        self.inner.insert_signing(key).await
    }

    async fn insert_pending(&self, key: &StoredKey) -> Result<bool, SessionError> {
        self.inner.insert_pending(key).await
    }

    async fn promote(&self, kid: &str, until: DateTime<Utc>) -> Result<bool, SessionError> {
        self.inner.promote(kid, until).await
    }

    async fn replace_all(&self, key: &StoredKey, now: DateTime<Utc>) -> Result<(), SessionError> {
        let left = self.collisions.load(Ordering::SeqCst);
        if left > 0 {
            self.collisions.store(left - 1, Ordering::SeqCst);
            return Err(SessionError::KeysChanged);
        }
        self.inner.replace_all(key, now).await
    }

    async fn reseal(&self, key: &StoredKey, sealed: &[u8]) -> Result<bool, SessionError> {
        self.inner.reseal(key, sealed).await
    }

    async fn forget(&self, before: DateTime<Utc>) -> Result<u64, SessionError> {
        self.inner.forget(before).await
    }
}

use KeyState::{Pending, Retired, Signing};

#[tokio::test]
async fn a_look_that_an_order_overtook_brings_no_withdrawn_key_back() {
    let keys = Arc::new(OddKeys::default());
    let world = World::over(keys.clone(), 1).await;
    keys.is_slow.store(true, Ordering::SeqCst);
    let release = async {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        keys.go_on.notify_one();
    };
    let ring = &world.rings[0];
    let (tended, withdrawn, ()) = tokio::join!(ring.tend(&PLAN), ring.withdraw(), release);
    tended.unwrap();
    assert_eq!(withdrawn.unwrap().len(), 1);
    assert_eq!(world.judge(&world.token(0)).await, Ok(()));
}

#[tokio::test]
async fn an_order_that_meets_another_one_is_given_again_and_told_of_in_the_end() {
    let keys = Arc::new(OddKeys::default());
    let world = World::over(keys.clone(), 1).await;
    let old = world.token(0);
    keys.collisions.store(ATTEMPTS - 1, Ordering::SeqCst);
    world.rings[0].withdraw().await.unwrap();
    assert_eq!(world.judge(&old).await, Err(AuthError::Invalid("unknown key")));
    keys.collisions.store(ATTEMPTS, Ordering::SeqCst);
    let refused = world.rings[0].withdraw().await.unwrap_err();
    assert!(matches!(refused, SessionError::KeysChanged));
    assert_eq!(refused.code(), codes::SERVICE_UNAVAILABLE);
    assert_eq!(world.judge(&world.token(0)).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_is_rung_looks_at_the_keys_at_once() {
    let world = World::with_replicas(2).await;
    let (bell, stop) = (Notify::new(), CancellationToken::new());
    let observed = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        world.rings[0].withdraw().await.unwrap();
        bell.notify_one();
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert_eq!(world.judge(&world.token(1)).await, Ok(()));
        stop.cancel();
    };
    tokio::join!(world.rings[1].keep(&PLAN, (&bell, || ()), stop.clone()), observed);
}

#[tokio::test]
async fn a_key_of_age_is_succeeded_without_a_gap_whichever_replica_does_it() {
    let world = World::with_replicas(3).await;
    world.tend().await;
    assert_eq!(world.states().await, [Signing]);
    world.clock.advance(TimeDelta::days(90));
    let before = world.token(0);
    world.tend().await;
    assert_eq!(world.states().await, [Signing, Pending], "published before it signs");
    world.clock.advance(TimeDelta::minutes(10));
    let last = world.token(1);
    world.tend().await;
    world.tend().await;
    assert_eq!(world.states().await, [Retired, Signing]);
    for ring in 0..3 {
        assert_eq!(world.judge(&world.token(ring)).await, Ok(()));
    }
    assert_eq!(world.judge(&before).await, Ok(()));
    world.clock.advance(TimeDelta::minutes(15));
    assert_eq!(world.judge(&last).await, Ok(()), "until the tokens that it signed are over");
    world.clock.advance(TimeDelta::minutes(6));
    assert_eq!(world.judge(&last).await, Err(AuthError::Invalid("unknown key")));
    assert_eq!(world.states().await, [Signing]);
    world.clock.advance(TimeDelta::days(8));
    world.tend().await;
    assert_eq!(world.rings[0].keys.list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_retired_key_has_no_private_part() {
    let world = World::with_replicas(1).await;
    world.rings[0].rotate(&PLAN).await.unwrap();
    world.clock.advance(TimeDelta::minutes(10));
    world.tend().await;
    let keys = world.rings[0].keys.list().await.unwrap();
    let empty: Vec<_> = keys.iter().map(|key| key.sealed_key.is_empty()).collect();
    assert_eq!(empty, [true, false]);
}

#[tokio::test]
async fn orders_given_at_once_make_one_rotation() {
    let world = World::with_replicas(3).await;
    let orders = join_all(world.rings.iter().map(|ring| ring.rotate(&PLAN))).await;
    assert!(orders.iter().all(Result::is_ok));
    assert_eq!(world.states().await, [Signing, Pending]);
}

#[tokio::test]
async fn a_withdrawn_key_is_worth_nothing_at_once() {
    let world = World::with_replicas(2).await;
    world.rings[0].rotate(&PLAN).await.unwrap();
    let old = world.token(0);
    world.rings[0].withdraw().await.unwrap();
    assert_eq!(world.states().await, [Signing]);
    assert_eq!(world.judge(&old).await, Err(AuthError::Invalid("unknown key")));
    assert_eq!(world.judge(&world.token(0)).await, Ok(()));
    world.tend().await;
    assert_eq!(world.judge(&world.token(1)).await, Ok(()), "the other replica follows");
}

#[tokio::test(start_paused = true)]
async fn a_ring_that_cannot_look_at_the_table_stops_signing_before_its_key_is_withdrawn() {
    let world = World::with_replicas(1).await;
    world.token(0);
    tokio::time::advance(Duration::from_secs(121)).await;
    let tokens = AccessTokens::new(world.rings[0].clone(), &TokenConfig::default(), 900);
    let subject = Subject {
        user_id: UserId::generate(),
        session_id: SessionId::generate(),
        version: 1,
        roles: Vec::new(),
    };
    let refused = tokens.issue(subject, chassis::clock::Clock::now(&*world.clock));
    assert!(matches!(refused, Err(SessionError::Unavailable { .. })));
    world.tend().await;
    world.token(0);
}
