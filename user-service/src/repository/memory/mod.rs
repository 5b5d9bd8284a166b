//! Adapter for tests: accounts in a map.

mod tokens;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use chassis::audit::Entry;
use uuid::Uuid;

use self::tokens::Tokens;
use super::{UserRepository, audit};
use crate::model::{
    AccessChange, AccessChanges, Change, Email, PasswordHash, User, UserError, UserEvent, UserId,
};

/// Keeps accounts in memory.
#[derive(Debug, Default)]
pub struct MemoryUserRepository {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    users: BTreeMap<UserId, User>,
    events: Vec<UserEvent>,
    audit: Vec<Entry>,
    /// The latest change of access of each account, with its place in the order of all.
    access: BTreeMap<UserId, (usize, AccessChange)>,
    access_count: usize,
    tokens: Tokens,
}

impl MemoryUserRepository {
    /// The events of every stored change, in order.
    pub fn events(&self) -> Vec<UserEvent> {
        self.lock().events.clone()
    }

    /// What an audit log would hold, in order.
    pub fn audit(&self) -> Vec<Entry> {
        self.lock().audit.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn store(&mut self, change: &Change) {
        self.users.insert(change.user.id(), change.user.clone());
        self.events.extend(change.events.iter().cloned());
        self.audit.push(audit::entry(change));
        self.store_access(change);
        self.tokens.apply(change);
    }

    fn store_access(&mut self, change: &Change) {
        let Some(effect) = &change.access else { return };
        let (user, version) = (change.user.stored(), change.user.version());
        let known = self.access.get(&user.id).map(|(_, known)| *known);
        let [sessions, roles] = [
            known.map_or(0, |known| known.sessions_from),
            known.map_or(0, |known| known.roles_from),
        ];
        let kept = known.and_then(|known| known.kept_session);
        let latest = AccessChange {
            user_id: user.id,
            version,
            status: user.status,
            session_epoch: user.session_epoch,
            sessions_from: if effect.ends_sessions { version } else { sessions },
            kept_session: if effect.ends_sessions { effect.kept_session } else { kept },
            roles_from: if effect.changes_roles { version } else { roles },
        };
        self.access_count += 1;
        self.access.insert(user.id, (self.access_count, latest));
    }
}

#[async_trait]
impl UserRepository for MemoryUserRepository {
    async fn insert(&self, registration: &Change) -> Result<(), UserError> {
        let mut state = self.lock();
        let email = registration.user.email().normalized();
        if state.users.values().any(|user| user.email().normalized() == email) {
            return Err(UserError::AccountExists);
        }
        state.store(registration);
        Ok(())
    }

    async fn save(&self, change: &Change) -> Result<(), UserError> {
        let mut state = self.lock();
        let id = change.user.id();
        let is_current =
            state.users.get(&id).is_some_and(|user| user.version() == change.expected_version());
        if !is_current {
            return Err(UserError::VersionMismatch);
        }
        if !state.tokens.allow(change) {
            return Err(UserError::TokenInvalid);
        }
        let mut others = state.users.values().filter(|user| user.id() != id);
        if change.drops_admin && !others.any(User::is_active_admin) {
            return Err(UserError::LastAdmin);
        }
        state.store(change);
        Ok(())
    }

    async fn replace_hash(
        &self,
        id: UserId,
        outdated: &PasswordHash,
        renewed: &PasswordHash,
    ) -> Result<bool, UserError> {
        let mut state = self.lock();
        let found = state.users.get_mut(&id).filter(|user| user.password_hash() == outdated);
        let Some(user) = found else { return Ok(false) };
        *user = user.rehashed(renewed.clone());
        state.audit.push(audit::rehashed(id));
        Ok(true)
    }

    async fn find(&self, id: UserId) -> Result<Option<User>, UserError> {
        Ok(self.lock().users.get(&id).cloned())
    }

    async fn find_by_email(&self, email: &Email) -> Result<Option<User>, UserError> {
        let state = self.lock();
        let mut users = state.users.values();
        Ok(users.find(|user| user.email().normalized() == email.normalized()).cloned())
    }

    async fn list(&self, before: Option<UserId>, limit: u32) -> Result<Vec<User>, UserError> {
        let state = self.lock();
        let older =
            state.users.values().rev().filter(|user| before.is_none_or(|id| user.id() < id));
        Ok(older.take(limit as usize).cloned().collect())
    }

    async fn find_kept_session(&self, id: UserId) -> Result<Option<Uuid>, UserError> {
        Ok(self.lock().access.get(&id).and_then(|(_, change)| change.kept_session))
    }

    /// The cursor is the number of the last change that was read.
    async fn list_access_changes(
        &self,
        cursor: &str,
        _lookback_s: u32,
        limit: u32,
    ) -> Result<AccessChanges, UserError> {
        let start: usize = match cursor {
            "" => 0,
            text => text.parse().map_err(|_| UserError::CursorInvalid)?,
        };
        let state = self.lock();
        let mut new: Vec<_> = state.access.values().filter(|(at, _)| *at > start).collect();
        new.sort_by_key(|(at, _)| *at);
        let more = new.len() > limit as usize;
        new.truncate(limit as usize);
        let cursor = new.last().map_or(start, |(at, _)| *at).to_string();
        Ok(AccessChanges { changes: new.into_iter().map(|(_, one)| *one).collect(), cursor, more })
    }
}
