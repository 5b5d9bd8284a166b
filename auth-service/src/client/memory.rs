//! Adapter for tests: accounts in a map.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::CredentialChecker;
use crate::model::{
    AccountAccess, AccountChange, AccountChanges, Credentials, Identity, SessionError, UserId,
};

/// Keeps accounts in memory.
#[derive(Debug, Default)]
pub struct MemoryAccounts {
    accounts: Mutex<HashMap<UserId, Account>>,
    changes: Mutex<Vec<AccountChange>>,
}

#[derive(Clone, Debug)]
struct Account {
    email: String,
    password: String,
    access: AccountAccess,
}

impl MemoryAccounts {
    /// Adds an active account with the role `customer`.
    pub fn add(&self, email: &str, password: &str) -> UserId {
        let id = UserId::generate();
        let access = AccountAccess {
            is_active: true,
            roles: vec!["customer".to_owned()],
            session_epoch: 1,
            version: 1,
            kept_session: None,
        };
        let account = Account { email: email.to_owned(), password: password.to_owned(), access };
        self.lock().insert(id, account);
        id
    }

    /// Alters what an account may do.
    pub fn alter(&self, id: UserId, alter: impl FnOnce(&mut AccountAccess)) {
        if let Some(account) = self.lock().get_mut(&id) {
            alter(&mut account.access);
        }
    }

    /// Tells of a change in the list of changes, and lets it be in force.
    pub fn tell(&self, change: AccountChange) {
        self.put_in_force(&change);
        self.changes().push(change);
    }

    /// Tells of a change behind those that were told already, as one does whose commit took long.
    pub fn tell_late(&self, change: AccountChange) {
        self.put_in_force(&change);
        self.changes().insert(0, change);
    }

    /// Forgets the list of changes, so that places in it are none any more.
    pub fn forget_changes(&self) {
        self.changes().clear();
    }

    fn put_in_force(&self, change: &AccountChange) {
        self.alter(change.user_id, |access| {
            access.is_active = change.is_active;
            access.session_epoch = change.session_epoch;
            access.version = change.version;
            access.kept_session = change.kept_session;
        });
    }

    fn changes(&self) -> MutexGuard<'_, Vec<AccountChange>> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<UserId, Account>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl CredentialChecker for MemoryAccounts {
    async fn check(&self, credentials: &Credentials) -> Result<Identity, SessionError> {
        let accounts = self.lock();
        let is_match = |account: &Account| {
            account.email == credentials.email.expose()
                && account.password == credentials.password.expose()
        };
        let (id, account) = accounts
            .iter()
            .find(|(_, account)| is_match(account))
            .ok_or(SessionError::CredentialsInvalid)?;
        if !account.access.is_active {
            return Err(SessionError::AccountDisabled);
        }
        let AccountAccess { roles, session_epoch, version, .. } = account.access.clone();
        Ok(Identity { user_id: *id, roles, session_epoch, version })
    }

    async fn find_access(&self, user_id: UserId) -> Result<Option<AccountAccess>, SessionError> {
        Ok(self.lock().get(&user_id).map(|account| account.access.clone()))
    }

    /// The cursor is the number of the changes that were read.
    async fn list_changes(&self, cursor: &str, _: u32) -> Result<AccountChanges, SessionError> {
        let changes = self.changes();
        let start = cursor.parse().unwrap_or(0);
        if start > changes.len() {
            return Err(SessionError::CursorInvalid);
        }
        let new = changes.iter().skip(start).cloned().collect();
        Ok(AccountChanges { changes: new, cursor: changes.len().to_string(), more: false })
    }
}
