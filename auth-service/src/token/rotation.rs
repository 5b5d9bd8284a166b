//! Rotation of the signing key, by schedule or by order, safe with any number of replicas.
//!
//! The next key is published for a while before it signs, so that every verifier has it by then; the
//! one before it is published until nothing that it signed can be alive, and its private part is
//! destroyed at once. Each step is one guarded statement or transaction, so that of several replicas
//! one takes it and the others adopt it at their next look.

use std::time::Duration;

use chassis::error::Chain;
use chrono::{DateTime, TimeDelta, Utc};
use tokio_util::sync::CancellationToken;

use super::keyring::make_key;
use super::{KeyError, KeyRing};
use crate::model::{KeyState, SessionError, StoredKey};

/// How long a key that is not published any more is remembered, for whoever looks into an incident.
const REMEMBERED: TimeDelta = TimeDelta::days(7);

/// When keys come and go.
#[derive(Clone, Copy, Debug)]
pub struct RotationPlan {
    /// Age at which a key is succeeded; `None`: by order only.
    pub every: Option<TimeDelta>,
    /// How long a key is published before it signs.
    pub publish_before: TimeDelta,
    /// How long a key is published after it has signed last: longer than a token may live.
    pub publish_after: TimeDelta,
    /// Pause between two looks at the keys.
    pub pace: Duration,
}

impl KeyRing {
    /// Looks after the keys until `stop` is cancelled; `ring` is told when the published set changed.
    pub async fn keep(&self, plan: &RotationPlan, stop: CancellationToken, ring: impl Fn() + Send) {
        let work = async {
            loop {
                match self.tend(plan).await {
                    Ok(true) => ring(),
                    Ok(false) => {}
                    Err(error) => {
                        tracing::warn!(error = %Chain(&error), "signing keys not looked after");
                    }
                }
                tokio::time::sleep(plan.pace).await;
            }
        };
        let _stopped: Option<()> = stop.run_until_cancelled(work).await;
    }

    /// Does what is due. Returns whether the published set is another one afterwards.
    pub async fn tend(&self, plan: &RotationPlan) -> Result<bool, KeyError> {
        let now = self.clock.now();
        let keys = self.keys.list().await?;
        let mut has_changed = self.adopt(&keys)?;
        if let Some(due) = keys.iter().find(|key| key.is_due(now)) {
            has_changed |= self.keys.promote(&due.kid, now + plan.publish_after).await?;
            self.adopt(&self.keys.list().await?)?;
        } else if plan.is_succession_due(&keys, now) {
            has_changed |= self.prepare(plan).await?;
        }
        self.keys.forget(now - REMEMBERED).await?;
        Ok(has_changed)
    }

    /// Begins a rotation; one that is under way already stays the one. Returns the published keys.
    pub async fn rotate(&self, plan: &RotationPlan) -> Result<Vec<StoredKey>, SessionError> {
        self.prepare(plan).await.map_err(SessionError::internal)?;
        self.published_keys().await
    }

    /// Signs with a new key at once and withdraws every other one: for a key that somebody else may
    /// have. Every access token issued before is worthless from here on.
    pub async fn withdraw(&self) -> Result<Vec<StoredKey>, SessionError> {
        let made = make_key(&self.sealer, self.clock.as_ref());
        let made = made.ok_or_else(|| SessionError::internal(KeyError::NotMade))?;
        self.keys.replace_all(&made, self.clock.now()).await?;
        tracing::warn!(key.id = made.kid, "all signing keys withdrawn but this new one");
        self.adopt(&self.keys.list().await?).map_err(SessionError::internal)?;
        self.published_keys().await
    }

    async fn prepare(&self, plan: &RotationPlan) -> Result<bool, KeyError> {
        let made = make_key(&self.sealer, self.clock.as_ref()).ok_or(KeyError::NotMade)?;
        let signs_from = Some(made.created_at + plan.publish_before);
        let pending = StoredKey { signs: false, signs_from, ..made };
        let is_stored = self.keys.insert_pending(&pending).await?;
        if is_stored {
            tracing::info!(key.id = pending.kid, "next signing key published");
        }
        Ok(is_stored)
    }
}

impl RotationPlan {
    fn is_succession_due(&self, keys: &[StoredKey], now: DateTime<Utc>) -> bool {
        let is_under_way = keys.iter().any(|key| key.state() == KeyState::Pending);
        let signing = keys.iter().find(|key| key.signs);
        let old = |every: TimeDelta| signing.is_some_and(|key| key.begins() + every <= now);
        !is_under_way && self.every.is_some_and(old)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chassis::auth::{AuthError, Verifier};
    use chassis::config::{Secret, TokenConfig};
    use chassis::testing::clock::FixedClock;
    use futures::future::join_all;

    use super::super::{AccessTokens, KeyRingSource, Sealer, Subject};
    use super::*;
    use crate::model::{SessionId, UserId};
    use crate::repository::MemoryKeyRepository;

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
            let clock = Arc::new(FixedClock::default());
            let keys = Arc::new(MemoryKeyRepository::default());
            let sealer = Arc::new(Sealer::new(&Secret::new("the one key")).unwrap());
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

    use KeyState::{Pending, Retired, Signing};

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
}
