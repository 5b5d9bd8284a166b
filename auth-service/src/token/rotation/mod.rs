//! Rotation of the signing key, by schedule or by order, safe with any number of replicas.
//!
//! The next key is published for a while before it signs, so that every verifier has it by then; the
//! one before it is published until nothing that it signed can be alive, and its private part is
//! destroyed at once. Each step is one guarded statement or transaction, so that of several replicas
//! one takes it and the others adopt it at their next look, for which they are rung.

use std::time::Duration;

use chassis::error::Chain;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::keyring::{ATTEMPTS, make_key};
use super::{KeyError, KeyRing};
use crate::model::{KeyState, SessionError, StoredKey};

/// How long a key that is not published any more is remembered, for whoever looks into an incident.
const REMEMBERED: TimeDelta = TimeDelta::days(7);

/// Shortest time between two looks at the keys, however often somebody rings.
const LOOK_PAUSE: Duration = Duration::from_millis(200);

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
    /// Looks after the keys until `stop` is cancelled, at the pace of the plan and whenever `bell` is
    /// rung; `ring` is told when the keys changed.
    pub async fn keep(
        &self,
        plan: &RotationPlan,
        (bell, ring): (&Notify, impl Fn() + Send),
        stop: CancellationToken,
    ) {
        let work = async {
            loop {
                match self.tend(plan).await {
                    Ok(true) => ring(),
                    Ok(false) => {}
                    Err(error) => {
                        tracing::warn!(error = %Chain(&error), "signing keys not looked after");
                    }
                }
                tokio::time::sleep(plan.pace.min(LOOK_PAUSE)).await;
                tokio::select! {
                    () = bell.notified() => {}
                    () = tokio::time::sleep(plan.pace.saturating_sub(LOOK_PAUSE)) => {}
                }
            }
        };
        let _stopped: Option<()> = stop.run_until_cancelled(work).await;
    }

    /// Does what is due. Returns whether the published set is another one afterwards.
    pub async fn tend(&self, plan: &RotationPlan) -> Result<bool, KeyError> {
        let _turn = self.turn.lock().await;
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
        let _turn = self.turn.lock().await;
        self.prepare(plan).await?;
        self.published_keys().await
    }

    /// Signs with a new key at once and withdraws every other one: for a key that somebody else may
    /// have. Every access token issued before is worthless from here on. Of two such orders at the
    /// same moment the later one withdraws what the earlier one made.
    pub async fn withdraw(&self) -> Result<Vec<StoredKey>, SessionError> {
        let _turn = self.turn.lock().await;
        let made = make_key(&self.sealer, self.clock.as_ref()).ok_or(KeyError::NotMade)?;
        self.replace_all(&made).await?;
        tracing::warn!(key.id = made.kid, "all signing keys withdrawn but this new one");
        self.adopt(&self.keys.list().await?)?;
        self.published_keys().await
    }

    async fn replace_all(&self, key: &StoredKey) -> Result<(), SessionError> {
        let mut outcome = self.keys.replace_all(key, self.clock.now()).await;
        for _ in 1..ATTEMPTS {
            if !matches!(outcome, Err(SessionError::KeysChanged)) {
                break;
            }
            outcome = self.keys.replace_all(key, self.clock.now()).await;
        }
        outcome
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
mod tests;
