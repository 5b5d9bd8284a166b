//! What verifiers at the edge must refuse: read by them as a feed, and fed by what becomes of sessions
//! and accounts.
//!
//! Changes of accounts are asked for at user-service at a steady pace and not taken from events:
//! whoever was disabled must be out within seconds, also while the broker is away.

use std::collections::HashMap;
use std::time::Duration;

use chassis::error::Chain;
use tokio_util::sync::CancellationToken;
use tracing::instrument;

use super::AuthService;
use crate::model::{
    AccountChange, AccountRule, EndOfUser, EndReason, RevocationPage, SessionError, UserId,
};

/// Entries of one answer.
const PAGE: u32 = 1_000;
/// Entries deleted in one statement.
const SWEEP: u32 = 1_000;
/// Accounts of which the follower knows what it did for them; it forgets all of them when there are
/// more, and does it again, which changes nothing.
const HANDLED_MAX: usize = 10_000;

/// Follows the changes of accounts; one per process.
pub struct AccountFollower {
    service: AuthService,
    cursor: String,
    /// What was done: changes come again until they are older than the overlap of the feed.
    handled: HashMap<UserId, u64>,
    /// How long an access token may live, and with it how far back changes matter.
    lookback_s: u32,
}

impl AuthService {
    /// Lists what access tokens are to be refused for, from `cursor` on.
    #[instrument(name = "auth.list_revocations", skip_all)]
    pub async fn list_revocations(&self, cursor: &str) -> Result<RevocationPage, SessionError> {
        self.revocations.list(cursor, self.keep_revocations_s, PAGE).await
    }

    /// Forgets what no access token can run into any more.
    pub(super) async fn sweep_revocations(&self) -> Result<(), SessionError> {
        let keep_s = self.keep_revocations_s;
        while self.revocations.sweep(keep_s, SWEEP).await? == u64::from(SWEEP) {}
        Ok(())
    }

    async fn apply(&self, change: &AccountChange) -> Result<(), SessionError> {
        // The rule first: it stops the tokens, and is what everybody waits for.
        if self.revocations.record(&AccountRule::from(change)).await? {
            self.bell.ring();
        }
        let reason =
            if change.is_active { EndReason::EpochMoved } else { EndReason::AccountDisabled };
        let end = EndOfUser {
            user_id: change.user_id,
            kept: change.kept_session,
            below_epoch: Some(change.session_epoch),
            reason,
        };
        let ended = self.sessions.end_of_user(&end, self.clock.now()).await?;
        tracing::debug!(user.id = %change.user_id, sessions.ended = ended, "account change applied");
        Ok(())
    }
}

impl AccountFollower {
    /// A follower that begins with the changes which living tokens may not know of.
    pub fn new(service: AuthService) -> Self {
        let lookback_s = service.keep_revocations_s;
        Self { service, cursor: String::new(), handled: HashMap::new(), lookback_s }
    }

    /// Follows every `pace` until `stop` is cancelled.
    pub async fn run(mut self, pace: Duration, stop: CancellationToken) {
        let work = async {
            loop {
                let outcome = self.follow().await;
                metrics::counter!("eh_account_change_reads_total",
                    "outcome" => if outcome.is_ok() { "ok" } else { "error" })
                .increment(1);
                if let Err(error) = outcome {
                    tracing::warn!(error = %Chain(&error), "changes of accounts not read");
                }
                tokio::time::sleep(pace).await;
            }
        };
        let _stopped: Option<()> = stop.run_until_cancelled(work).await;
    }

    /// Applies every change that there is. One that cannot be applied is met again the next time.
    pub async fn follow(&mut self) -> Result<(), SessionError> {
        loop {
            let part = self.service.accounts.list_changes(&self.cursor, self.lookback_s).await?;
            for change in &part.changes {
                if self.handled.get(&change.user_id).is_some_and(|done| *done >= change.version) {
                    continue;
                }
                self.service.apply(change).await?;
                self.remember(change);
            }
            self.cursor = part.cursor;
            if !part.more {
                return Ok(());
            }
        }
    }

    fn remember(&mut self, change: &AccountChange) {
        if self.handled.len() >= HANDLED_MAX {
            self.handled.clear();
        }
        self.handled.insert(change.user_id, change.version);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Fixture, PASSWORD};
    use super::*;
    use crate::model::{Revocation, SessionId};

    fn change(user_id: UserId, version: u64) -> AccountChange {
        AccountChange {
            user_id,
            version,
            is_active: true,
            session_epoch: 1,
            sessions_from: 0,
            kept_session: None,
            roles_from: 0,
        }
    }

    async fn feed(fixture: &Fixture) -> Vec<Revocation> {
        let page = fixture.service.list_revocations("").await.unwrap();
        page.entries.into_iter().map(|(entry, _)| entry).collect()
    }

    fn rules(feed: &[Revocation]) -> Vec<&AccountRule> {
        let mut rules = Vec::new();
        for entry in feed {
            if let Revocation::Account(rule) = entry {
                rules.push(rule);
            }
        }
        rules
    }

    #[tokio::test]
    async fn whatever_ends_a_session_enters_the_feed() {
        let fixture = Fixture::new().await;
        let (alice, pair) = fixture.logged_in().await;
        fixture.service.logout(pair.session_id).await.unwrap();
        let other = fixture.login("alice@example.com", PASSWORD).await.unwrap();
        fixture.service.revoke_session(alice, other.session_id).await.unwrap();
        let feed = feed(&fixture).await;
        assert_eq!(feed.len(), 2);
        for session in [pair.session_id, other.session_id] {
            assert!(feed.contains(&Revocation::Session(session)));
        }
    }

    #[tokio::test]
    async fn a_changed_password_ends_the_other_sessions_and_not_its_own() {
        let fixture = Fixture::new().await;
        let (alice, own) = fixture.logged_in().await;
        let other = fixture.login("alice@example.com", PASSWORD).await.unwrap();
        let kept_session = Some(own.session_id);
        let told =
            AccountChange { session_epoch: 2, sessions_from: 2, kept_session, ..change(alice, 2) };
        fixture.accounts.tell(told);
        let mut follower = AccountFollower::new(fixture.service.clone());
        for _ in 0..2 {
            follower.follow().await.unwrap();
        }
        let feed = feed(&fixture).await;
        let [rule] = &rules(&feed)[..] else { panic!("one rule: {feed:?}") };
        assert_eq!((rule.version, rule.sessions_from, rule.kept_session), (2, 2, kept_session));
        assert!(feed.contains(&Revocation::Session(other.session_id)));
        assert!(matches!(fixture.refresh(&other).await, Err(SessionError::RefreshInvalid)));
        fixture.refresh(&own).await.unwrap();
    }

    #[tokio::test]
    async fn a_disabled_account_loses_all_sessions_and_changed_roles_none() {
        let fixture = Fixture::new().await;
        let (alice, pair) = fixture.logged_in().await;
        let mut follower = AccountFollower::new(fixture.service.clone());
        fixture.accounts.tell(AccountChange { roles_from: 2, ..change(alice, 2) });
        follower.follow().await.unwrap();
        let pair = fixture.refresh(&pair).await.unwrap();
        let disabled = AccountChange {
            is_active: false,
            session_epoch: 2,
            sessions_from: 3,
            ..change(alice, 3)
        };
        fixture.accounts.tell(disabled);
        follower.follow().await.unwrap();
        assert!(matches!(fixture.refresh(&pair).await, Err(SessionError::RefreshInvalid)));
        let feed = feed(&fixture).await;
        let [rule] = &rules(&feed)[..] else { panic!("one rule: {feed:?}") };
        assert!(rule.is_disabled && rule.version == 3);
        assert_eq!(fixture.event_names(), ["auth.session_started", "auth.sessions_revoked"]);
    }

    #[tokio::test]
    async fn a_session_that_was_kept_ends_with_the_next_change_in_another_one() {
        let fixture = Fixture::new().await;
        let (alice, first) = fixture.logged_in().await;
        let kept_session = Some(first.session_id);
        let told =
            AccountChange { session_epoch: 2, sessions_from: 2, kept_session, ..change(alice, 2) };
        fixture.accounts.tell(told.clone());
        let first = fixture.refresh(&first).await.unwrap();
        let kept_session = Some(SessionId::generate());
        fixture.accounts.tell(AccountChange {
            session_epoch: 3,
            sessions_from: 3,
            version: 3,
            kept_session,
            ..told
        });
        assert!(matches!(fixture.refresh(&first).await, Err(SessionError::RefreshInvalid)));
    }
}
