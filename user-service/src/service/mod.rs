//! Use cases of accounts, one a file. They know ports and the model, no transport and no storage.

mod administer;
mod bootstrap;
mod change_password;
mod profile;
mod register;
#[cfg(test)]
mod testing;
mod verify_credentials;

use std::sync::Arc;

use chassis::clock::Clock;

pub use bootstrap::{Bootstrapped, FirstAdmin};
pub use change_password::ChangePassword;
pub use profile::{Reader, UpdateProfile, UserPage};
pub use register::Register;

use crate::hasher::PasswordHasher;
use crate::model::{Change, User, UserError, UserId};
use crate::repository::UserRepository;

/// How often a change is worked out anew when another change of the same account came first.
const ATTEMPTS: usize = 5;

/// The use cases, over their ports.
#[derive(Clone)]
pub struct UserService {
    users: Arc<dyn UserRepository>,
    hasher: Arc<dyn PasswordHasher>,
    clock: Arc<dyn Clock>,
}

impl UserService {
    /// Connects the use cases to their ports.
    pub fn new(
        users: Arc<dyn UserRepository>,
        hasher: Arc<dyn PasswordHasher>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { users, hasher, clock }
    }

    async fn get(&self, id: UserId) -> Result<User, UserError> {
        self.users.find(id).await?.ok_or(UserError::NotFound)
    }

    /// Works a change out on the current account and stores it; again from the start when another
    /// change came first.
    async fn change(
        &self,
        id: UserId,
        decide: impl Fn(&User) -> Result<Option<Change>, UserError> + Send + Sync,
    ) -> Result<User, UserError> {
        for _ in 0..ATTEMPTS {
            let user = self.get(id).await?;
            let Some(change) = decide(&user)? else { return Ok(user) };
            match self.users.save(&change).await {
                Ok(()) => return Ok(change.user),
                Err(UserError::VersionMismatch) => {}
                Err(error) => return Err(error),
            }
        }
        Err(UserError::Unavailable { source: "the account is being changed all the time".into() })
    }
}
