//! Use cases of administrators: status and roles of an account.

use tracing::instrument;
use uuid::Uuid;

use super::UserService;
use crate::model::{AccessChanges, Roles, Status, User, UserError, UserId};

/// Changes of access in one answer.
const ACCESS_PAGE: u32 = 500;

impl UserService {
    /// Enables or disables an account in the name of `actor`, whose own account stays enabled:
    /// whoever steals its session, or mistypes, must not be able to shut it out.
    #[instrument(name = "user.set_status", skip_all, fields(user.id = %id))]
    pub async fn set_status(
        &self,
        actor: UserId,
        id: UserId,
        status: Status,
    ) -> Result<User, UserError> {
        self.require_administrator(actor).await?;
        if actor == id && status == Status::Disabled {
            return Err(UserError::OwnAccount);
        }
        let now = self.clock.now();
        let user = self.change(id, |user| Ok(user.set_status(status, now))).await?;
        tracing::info!(user.id = %id, user.status = status.as_str(), "user status set");
        Ok(user)
    }

    /// Replaces an account's roles in the name of `actor`.
    #[instrument(name = "user.set_roles", skip_all, fields(user.id = %id))]
    pub async fn set_roles(
        &self,
        actor: UserId,
        id: UserId,
        roles: Roles,
    ) -> Result<User, UserError> {
        self.require_administrator(actor).await?;
        let now = self.clock.now();
        let user = self.change(id, |user| Ok(user.set_roles(roles.clone(), now))).await?;
        tracing::info!(user.id = %id, "user roles set");
        Ok(user)
    }

    /// Reads what a token may say about an account, and which session outlived the last end of all.
    /// In this order: what comes between the two makes a session end early and none live on.
    #[instrument(name = "user.get_access", skip_all, fields(user.id = %id))]
    pub async fn get_access(&self, id: UserId) -> Result<(User, Option<Uuid>), UserError> {
        let user = self.get(id).await?;
        let kept_session = self.users.find_kept_session(id).await?;
        Ok((user, kept_session))
    }

    /// Lists whose access changed since `cursor`, or within `lookback_s` seconds when it is empty.
    #[instrument(name = "user.list_access_changes", skip_all)]
    pub async fn list_access_changes(
        &self,
        cursor: &str,
        lookback_s: u32,
    ) -> Result<AccessChanges, UserError> {
        self.users.list_access_changes(cursor, lookback_s, ACCESS_PAGE).await
    }

    /// A token says what its holder was when it was issued. Whoever was disabled or lost the role
    /// since then must not undo that with a token that lives on for some minutes.
    async fn require_administrator(&self, actor: UserId) -> Result<(), UserError> {
        let actor = self.users.find(actor).await?.ok_or(UserError::PermissionDenied)?;
        actor.check_active()?;
        if actor.is_active_admin() {
            return Ok(());
        }
        Err(UserError::PermissionDenied)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Fixture;
    use super::*;

    #[tokio::test]
    async fn disabling_twice_is_done_once() {
        let fixture = Fixture::new();
        let admin = fixture.administrator().await;
        let user = fixture.registered("alice@example.com").await;
        let once = fixture.service.set_status(admin, user.id(), Status::Disabled).await.unwrap();
        let twice = fixture.service.set_status(admin, user.id(), Status::Disabled).await.unwrap();
        assert_eq!(once, twice);
        assert_eq!(fixture.event_names(), ["user.registered", "user.registered", "user.disabled"]);
        assert_eq!(fixture.service.get_access(user.id()).await.unwrap().0.session_epoch(), 2);
    }

    #[tokio::test]
    async fn the_last_administrator_stays_one() {
        let fixture = Fixture::new();
        let first = fixture.administrator().await;
        let second = fixture.registered("second@example.com").await.id();
        let service = &fixture.service;
        let refused = service.set_roles(first, first, Roles::customer()).await;
        assert!(matches!(refused, Err(UserError::LastAdmin)));
        service.set_roles(first, second, Roles::administrator()).await.unwrap();
        service.set_roles(first, first, Roles::customer()).await.unwrap();
    }

    #[tokio::test]
    async fn nobody_disables_the_own_account() {
        let fixture = Fixture::new();
        let first = fixture.administrator().await;
        let second = fixture.registered("second@example.com").await.id();
        let service = &fixture.service;
        service.set_roles(first, second, Roles::administrator()).await.unwrap();
        for admin in [first, second] {
            let refused = service.set_status(admin, admin, Status::Disabled).await;
            assert!(matches!(refused, Err(UserError::OwnAccount)));
            service.set_status(admin, admin, Status::Active).await.unwrap();
        }
        service.set_status(second, first, Status::Disabled).await.unwrap();
    }

    #[tokio::test]
    async fn nobody_administers_an_account_that_is_not_there() {
        let fixture = Fixture::new();
        let admin = fixture.administrator().await;
        let refused = fixture.service.set_status(admin, UserId::generate(), Status::Disabled).await;
        assert!(matches!(refused, Err(UserError::NotFound)));
    }

    #[tokio::test]
    async fn only_an_administrator_of_this_moment_administers() {
        let fixture = Fixture::new();
        let admin = fixture.administrator().await;
        let service = &fixture.service;
        let actor = fixture.registered("second@example.com").await.id();
        for nobody in [actor, UserId::generate()] {
            let refused = service.set_roles(nobody, actor, Roles::administrator()).await;
            assert!(matches!(refused, Err(UserError::PermissionDenied)));
        }
        service.set_roles(admin, actor, Roles::administrator()).await.unwrap();
        service.set_status(admin, actor, Status::Disabled).await.unwrap();
        let refused = service.set_status(actor, actor, Status::Active).await;
        assert!(matches!(refused, Err(UserError::AccountDisabled)));
    }
}
