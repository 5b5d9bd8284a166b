//! Adapter for tests: accounts in a map.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::UserRepository;
use crate::model::{Change, Email, User, UserError, UserEvent, UserId};

/// Keeps accounts in memory.
#[derive(Debug, Default)]
pub struct MemoryUserRepository {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    users: BTreeMap<UserId, User>,
    events: Vec<UserEvent>,
}

impl MemoryUserRepository {
    /// The events of every stored change, in order.
    pub fn events(&self) -> Vec<UserEvent> {
        self.lock().events.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn store(&mut self, change: &Change) {
        self.users.insert(change.user.id(), change.user.clone());
        self.events.extend(change.events.iter().cloned());
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
        let mut others = state.users.values().filter(|user| user.id() != id);
        if change.drops_admin && !others.any(User::is_active_admin) {
            return Err(UserError::LastAdmin);
        }
        state.store(change);
        Ok(())
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
}
