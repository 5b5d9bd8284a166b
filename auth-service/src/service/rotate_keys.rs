//! Use cases of administrators: the signing keys.

use tracing::instrument;

use super::AuthService;
use crate::model::{SessionError, StoredKey, UserId};

/// The role of administrators, as user-service names it.
const ADMINISTRATOR: &str = "admin";

/// How the next key comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// Published for a while before it signs; nobody notices.
    Orderly,
    /// It signs at once, and all others are withdrawn at once: for a key that somebody else may have.
    Withdraw,
}

impl AuthService {
    /// Lists the published keys in the name of `actor`.
    #[instrument(name = "auth.list_keys", skip_all)]
    pub async fn list_keys(&self, actor: UserId) -> Result<Vec<StoredKey>, SessionError> {
        self.require_administrator(actor).await?;
        self.keys.published_keys().await
    }

    /// Makes the next key in the name of `actor`. Returns the published ones.
    #[instrument(name = "auth.rotate_keys", skip_all, fields(user.id = %actor))]
    pub async fn rotate_keys(
        &self,
        actor: UserId,
        rotation: Rotation,
    ) -> Result<Vec<StoredKey>, SessionError> {
        self.require_administrator(actor).await?;
        let keys = match rotation {
            Rotation::Orderly => self.keys.rotate(&self.rotation).await?,
            Rotation::Withdraw => self.keys.withdraw().await?,
        };
        self.bell.ring();
        self.key_bell.ring();
        tracing::info!(user.id = %actor, rotation = ?rotation, "signing keys rotated by order");
        Ok(keys)
    }

    /// A token says what its holder was when it was issued; keys, and sessions of others, are for those
    /// who are it now.
    pub(super) async fn require_administrator(&self, actor: UserId) -> Result<(), SessionError> {
        let access = self.accounts.find_access(actor).await?;
        let is_one = access.is_some_and(|access| {
            access.is_active && access.roles.iter().any(|role| role == ADMINISTRATOR)
        });
        if is_one { Ok(()) } else { Err(SessionError::PermissionDenied) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Fixture;
    use super::*;
    use crate::model::KeyState;

    #[tokio::test]
    async fn only_an_administrator_of_this_moment_rotates_keys() {
        let fixture = Fixture::new().await;
        let (alice, pair) = fixture.logged_in().await;
        let rotate = |rotation| fixture.service.rotate_keys(alice, rotation);
        assert!(matches!(rotate(Rotation::Orderly).await, Err(SessionError::PermissionDenied)));
        assert!(fixture.service.list_keys(alice).await.is_err());
        fixture.accounts.alter(alice, |access| access.roles = vec![ADMINISTRATOR.to_owned()]);
        let keys = rotate(Rotation::Orderly).await.unwrap();
        let states: Vec<_> = keys.iter().map(StoredKey::state).collect();
        assert_eq!(states, [KeyState::Signing, KeyState::Pending]);
        assert_eq!(fixture.service.list_keys(alice).await.unwrap(), keys);
        let keys = rotate(Rotation::Withdraw).await.unwrap();
        assert_eq!(keys.len(), 1);
        fixture.verifier.refresh_now().await.unwrap();
        assert!(fixture.verifier.verify(pair.access_token.expose()).await.is_err());
        fixture.accounts.alter(alice, |access| access.is_active = false);
        assert!(matches!(rotate(Rotation::Orderly).await, Err(SessionError::PermissionDenied)));
    }
}
