//! Use cases of accounts, one a file. They know ports and the model, no transport and no storage.

mod administer;
mod bootstrap;
mod change_password;
mod forget_tokens;
mod issue_token;
mod profile;
mod recover_password;
mod register;
mod rehash;
#[cfg(test)]
mod testing;
mod turns;
mod verify_credentials;
mod verify_email;

use std::sync::Arc;

use chassis::clock::Clock;
use chassis::throttle::{Rule, Throttle};

pub use bootstrap::{Bootstrapped, FirstAdmin};
pub use change_password::ChangePassword;
pub use issue_token::{TokenPolicy, TokenPorts};
pub use profile::{Reader, UpdateProfile, UserPage};
pub use recover_password::RecoverPassword;
pub use register::Register;
pub use rehash::RehashWorker;

use self::rehash::Renewals;
use self::turns::Turns;
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
    policy: PasswordPolicy,
    mail: TokenPorts,
    grants: TokenPolicy,
    throttle: Arc<Throttle>,
    turns: Arc<Turns>,
    renewals: Option<Renewals>,
}

/// What is asked of passwords.
#[derive(Clone, Copy, Debug)]
pub struct PasswordPolicy {
    /// Lowest score of a new one, 0 to 4; see [`crate::model::Strength`].
    pub score_min: u8,
    /// Patience with a session that gives a wrong one when changing it.
    pub change: Rule,
}

/// What the use cases are connected to.
pub struct Ports {
    /// Where accounts are kept.
    pub users: Arc<dyn UserRepository>,
    /// Who hashes passwords.
    pub hasher: Arc<dyn PasswordHasher>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Who counts wrong passwords, and requests for mail.
    pub throttle: Throttle,
    /// What one-time tokens need.
    pub mail: TokenPorts,
}

impl UserService {
    /// Connects the use cases to their ports.
    pub fn new(ports: Ports, policy: PasswordPolicy, grants: TokenPolicy) -> Self {
        Self {
            users: ports.users,
            hasher: ports.hasher,
            clock: ports.clock,
            policy,
            mail: ports.mail,
            grants,
            throttle: Arc::new(ports.throttle),
            turns: Arc::new(Turns::new()),
            renewals: None,
        }
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
