//! Adapter for tests: accounts in a map.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::CredentialChecker;
use crate::model::{AccountAccess, Credentials, Identity, SessionError, UserId};

/// Keeps accounts in memory.
#[derive(Debug, Default)]
pub struct MemoryAccounts {
    accounts: Mutex<HashMap<UserId, Account>>,
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
        let access =
            AccountAccess { is_active: true, roles: vec!["customer".to_owned()], session_epoch: 1 };
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
        let AccountAccess { roles, session_epoch, .. } = account.access.clone();
        Ok(Identity { user_id: *id, roles, session_epoch })
    }

    async fn find_access(&self, user_id: UserId) -> Result<Option<AccountAccess>, SessionError> {
        Ok(self.lock().get(&user_id).map(|account| account.access.clone()))
    }
}
