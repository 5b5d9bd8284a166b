//! Access tokens that are refused before their time: those of sessions that ended, and those that
//! no longer comply with what their account has become.
//!
//! A verifier at the edge holds the set in memory and looks there at each request, so that a request
//! costs no call. The truth lies with the issuer and is read from it ([`RevocationFeed`]), at a
//! steady pace and whenever the doorbell rings ([`Follower`]); the set outlives the issuer, Redis and,
//! if there is a folder for it, the process. What can no longer matter, because the tokens are over,
//! is forgotten.

mod feed;
mod follow;
mod grpc;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use feed::{AccountRule, FeedPage, Kept, RevocationFeed};
pub use follow::{Follower, FollowerParts};
pub use grpc::GrpcRevocationFeed;

use super::AuthError;
use crate::clock::Clock;

/// What an access token is judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenFacts {
    /// The user's id, the token's `sub`.
    pub user_id: Uuid,
    /// The session's id, its `sid`.
    pub session_id: Uuid,
    /// The account's version when it was issued, its `ver`.
    pub version: u64,
}

/// The revocations in force. Nothing is known until the first page of the feed, or the last good set
/// of an earlier process, was taken over: until then no token is accepted.
pub struct Revocations {
    clock: Arc<dyn Clock>,
    is_loaded: AtomicBool,
    set: RwLock<RevocationSet>,
}

/// The set itself, as it is kept on disk. Times are seconds since the epoch, after which an entry is
/// forgotten: the same clock that tells whether a token is over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RevocationSet {
    sessions: HashMap<Uuid, i64>,
    accounts: HashMap<Uuid, KeptRule>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct KeptRule {
    rule: AccountRule,
    forget_at: i64,
}

impl Revocations {
    /// Returns a set of which nothing is known yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, is_loaded: AtomicBool::new(false), set: RwLock::default() }
    }

    /// Whether the set was ever loaded.
    pub fn is_loaded(&self) -> bool {
        self.is_loaded.load(Ordering::Acquire)
    }

    /// Refuses a token whose session ended or which does not comply with its account's rule.
    ///
    /// A disabled account is told before an ended session: it says more.
    pub fn check(&self, token: &TokenFacts) -> Result<(), AuthError> {
        if !self.is_loaded() {
            return Err(AuthError::Unavailable);
        }
        let refusal = self.read().refusal(token);
        match refusal {
            Some((error, reason)) => {
                metrics::counter!("eh_tokens_refused_total", "reason" => reason).increment(1);
                Err(error)
            }
            None => Ok(()),
        }
    }

    /// Takes over a page of the feed; `is_last` when there is no more for now. Returns whether the
    /// set is another one afterwards.
    pub fn apply(&self, page: &FeedPage) -> bool {
        let now = self.now();
        let has_changed = self.write().apply(page, now);
        if !page.more {
            self.is_loaded.store(true, Ordering::Release);
        }
        has_changed
    }

    /// Takes over the set of an earlier process, beside what this one was told already.
    pub(super) fn restore(&self, set: RevocationSet) {
        self.write().merge(set);
        self.is_loaded.store(true, Ordering::Release);
    }

    /// Forgets what no living token can run into.
    pub(super) fn forget(&self) {
        let now = self.now();
        let mut set = self.write();
        set.sessions.retain(|_, forget_at| *forget_at > now);
        set.accounts.retain(|_, kept| kept.forget_at > now);
        let [sessions, accounts] = [set.sessions.len(), set.accounts.len()].map(as_figure);
        metrics::gauge!("eh_revocations", "kind" => "session").set(sessions);
        metrics::gauge!("eh_revocations", "kind" => "account").set(accounts);
    }

    /// The time by which the set is judged, in seconds since the epoch.
    pub(super) fn now(&self) -> i64 {
        self.clock.now().timestamp()
    }

    pub(super) fn snapshot(&self) -> RevocationSet {
        self.read().clone()
    }

    fn read(&self) -> RwLockReadGuard<'_, RevocationSet> {
        self.set.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, RevocationSet> {
        self.set.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RevocationSet {
    fn refusal(&self, token: &TokenFacts) -> Option<(AuthError, &'static str)> {
        let rule = self.accounts.get(&token.user_id).map(|kept| &kept.rule);
        if rule.is_some_and(|rule| rule.is_disabled) {
            return Some((AuthError::AccountDisabled, "account_disabled"));
        }
        if self.sessions.contains_key(&token.session_id)
            || rule.is_some_and(|rule| rule.ends_session_of(token))
        {
            return Some((AuthError::Revoked, "session_ended"));
        }
        if rule.is_some_and(|rule| token.version < rule.roles_from) {
            return Some((AuthError::Outdated, "roles_changed"));
        }
        None
    }

    fn apply(&mut self, page: &FeedPage, now: i64) -> bool {
        let mut has_changed = false;
        for (session, keep_s) in &page.sessions {
            let until = now.saturating_add(i64::from(*keep_s));
            has_changed |= self.sessions.insert(*session, until).is_none();
        }
        for Kept { item, keep_s } in &page.accounts {
            let known = self.accounts.get(&item.user_id).map(|kept| kept.rule.version);
            if known.is_some_and(|known| known >= item.version) {
                continue;
            }
            let forget_at = now.saturating_add(i64::from(*keep_s));
            self.accounts.insert(item.user_id, KeptRule { rule: item.clone(), forget_at });
            has_changed = true;
        }
        has_changed
    }

    /// Adds what another set knows: of two entries about one subject the one that says more stays.
    fn merge(&mut self, other: Self) {
        for (session, until) in other.sessions {
            let forget_at = self.sessions.entry(session).or_insert(until);
            *forget_at = until.max(*forget_at);
        }
        for (user, kept) in other.accounts {
            let known = self.accounts.get(&user).map(|known| known.rule.version);
            if known.is_none_or(|known| known < kept.rule.version) {
                self.accounts.insert(user, kept);
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float, and these are counts")]
fn as_figure(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::id::new_id;
    use crate::testing::clock::FixedClock;

    fn token(version: u64) -> TokenFacts {
        TokenFacts { user_id: new_id(), session_id: new_id(), version }
    }

    fn rule(user_id: Uuid, version: u64) -> AccountRule {
        AccountRule {
            user_id,
            version,
            is_disabled: false,
            sessions_from: 0,
            kept_session: None,
            roles_from: 0,
        }
    }

    fn with_rule(rule: AccountRule) -> FeedPage {
        FeedPage { accounts: vec![Kept { item: rule, keep_s: 900 }], ..FeedPage::default() }
    }

    fn loaded() -> (Revocations, Arc<FixedClock>) {
        let clock = Arc::new(FixedClock::default());
        let set = Revocations::new(clock.clone());
        set.apply(&FeedPage::default());
        (set, clock)
    }

    #[test]
    fn nothing_is_accepted_before_the_set_was_loaded() {
        let set = Revocations::new(Arc::new(FixedClock::default()));
        assert_eq!(set.check(&token(1)), Err(AuthError::Unavailable));
        set.apply(&FeedPage { more: true, ..FeedPage::default() });
        assert_eq!(set.check(&token(1)), Err(AuthError::Unavailable), "half a set is none");
        set.apply(&FeedPage::default());
        assert_eq!(set.check(&token(1)), Ok(()));
    }

    #[test]
    fn tokens_of_an_ended_session_are_refused_until_they_are_over() {
        let (set, clock) = loaded();
        let (ended, other) = (token(1), token(1));
        let page = FeedPage { sessions: vec![(ended.session_id, 960)], ..FeedPage::default() };
        assert!(set.apply(&page));
        assert!(!set.apply(&page), "what is known is no news");
        assert_eq!(set.check(&ended), Err(AuthError::Revoked));
        assert_eq!(set.check(&other), Ok(()));
        clock.advance(TimeDelta::seconds(959));
        set.forget();
        assert_eq!(set.check(&ended), Err(AuthError::Revoked));
        clock.advance(TimeDelta::seconds(1));
        set.forget();
        assert_eq!(set.snapshot(), RevocationSet::default());
    }

    #[test]
    fn a_changed_password_ends_all_sessions_but_the_one_it_was_changed_in() {
        let (set, _) = loaded();
        let (old, kept, new) = (token(3), token(3), token(4));
        for session in [old.session_id, kept.session_id, new.session_id] {
            let kept_session = Some(kept.session_id);
            let rule = AccountRule { sessions_from: 4, kept_session, ..rule(old.user_id, 4) };
            set.apply(&with_rule(rule));
            let version = if session == new.session_id { 4 } else { 3 };
            let facts = TokenFacts { session_id: session, version, ..old };
            let expected = if session == old.session_id { Err(AuthError::Revoked) } else { Ok(()) };
            assert_eq!(set.check(&facts), expected);
        }
    }

    #[test]
    fn a_disabled_account_is_refused_whatever_the_token_until_it_is_enabled() {
        let (set, _) = loaded();
        let old = token(3);
        let disabled = AccountRule { is_disabled: true, sessions_from: 4, ..rule(old.user_id, 4) };
        set.apply(&with_rule(disabled.clone()));
        assert_eq!(set.check(&old), Err(AuthError::AccountDisabled));
        let enabled = AccountRule { is_disabled: false, version: 5, ..disabled.clone() };
        set.apply(&with_rule(enabled));
        set.apply(&with_rule(disabled));
        assert_eq!(set.check(&old), Err(AuthError::Revoked), "an older rule undoes no newer one");
        assert_eq!(set.check(&TokenFacts { version: 5, ..old }), Ok(()));
    }

    #[test]
    fn changed_roles_make_tokens_be_refreshed_and_end_nothing() {
        let (set, _) = loaded();
        let old = token(3);
        set.apply(&with_rule(AccountRule { roles_from: 4, ..rule(old.user_id, 4) }));
        assert_eq!(set.check(&old), Err(AuthError::Outdated));
        assert_eq!(set.check(&TokenFacts { version: 4, ..old }), Ok(()));
    }

    #[test]
    fn a_set_reads_back_from_its_stored_form() {
        let (set, _) = loaded();
        let old = token(3);
        let kept_session = Some(new_id());
        let rule = AccountRule { sessions_from: 4, kept_session, ..rule(old.user_id, 4) };
        set.apply(&with_rule(rule));
        set.apply(&FeedPage { sessions: vec![(new_id(), 5)], ..FeedPage::default() });
        let text = serde_json::to_string(&set.snapshot()).unwrap();
        let restored = Revocations::new(Arc::new(FixedClock::default()));
        restored.restore(serde_json::from_str(&text).unwrap());
        assert_eq!(restored.snapshot(), set.snapshot());
        assert_eq!(restored.check(&old), Err(AuthError::Revoked));
    }

    #[test]
    fn the_set_of_an_earlier_process_hides_nothing_of_what_this_one_was_told() {
        let (earlier, _) = loaded();
        let [ended_then, ended_now] = [token(1), token(1)];
        let (back, gone) = (token(1), token(1));
        let disabled = |facts: &TokenFacts, version| AccountRule {
            is_disabled: true,
            ..rule(facts.user_id, version)
        };
        earlier.apply(&with_rule(disabled(&back, 4)));
        earlier.apply(&with_rule(rule(gone.user_id, 4)));
        let sessions = vec![(ended_then.session_id, 900)];
        earlier.apply(&FeedPage { sessions, ..FeedPage::default() });
        let set = Revocations::new(Arc::new(FixedClock::default()));
        let accounts = [rule(back.user_id, 5), disabled(&gone, 5)];
        let page = FeedPage {
            sessions: vec![(ended_now.session_id, 900)],
            accounts: accounts.map(|item| Kept { item, keep_s: 900 }).to_vec(),
            more: true,
            ..FeedPage::default()
        };
        set.apply(&page);
        set.restore(earlier.snapshot());
        for ended in [ended_then, ended_now] {
            assert_eq!(set.check(&ended), Err(AuthError::Revoked));
        }
        assert_eq!(set.check(&back), Ok(()));
        assert_eq!(set.check(&gone), Err(AuthError::AccountDisabled));
    }
}
