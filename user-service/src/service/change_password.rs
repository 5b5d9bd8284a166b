//! Use case: someone changes their own password.

use tracing::instrument;
use uuid::Uuid;

use super::UserService;
use crate::model::{NewPassword, TypedPassword, UserError, UserId};

/// A change of one's own password.
#[derive(Clone, Debug)]
pub struct ChangePassword {
    /// Whose password.
    pub user_id: UserId,
    /// The session in which it is done, which does not end.
    pub session: Option<Uuid>,
    /// The password in force; absent when what was typed cannot be one.
    pub current: Option<TypedPassword>,
    /// The password to be in force.
    pub new: NewPassword,
}

impl UserService {
    /// Puts another password in force and ends all other sessions.
    #[instrument(name = "user.change_password", skip_all, fields(user.id = %command.user_id))]
    pub async fn change_password(&self, command: ChangePassword) -> Result<(), UserError> {
        let user = self.get(command.user_id).await?;
        user.check_active()?;
        let current = command.current.ok_or(UserError::CurrentPasswordWrong)?;
        if !self.hasher.verify(&current, Some(user.password_hash())).await? {
            return Err(UserError::CurrentPasswordWrong);
        }
        if command.new.is_weak_for(user.email(), user.display_name()) {
            return Err(UserError::PasswordWeak { field: "new_password" });
        }
        let new_hash = self.hasher.hash(command.new.as_typed()).await?;
        let now = self.clock.now();
        self.change(user.id(), |current| {
            // What was typed proved the password that was in force when it was checked.
            if current.password_hash() != user.password_hash() {
                return Err(UserError::CurrentPasswordWrong);
            }
            current.change_password(new_hash.clone(), command.session, now)
        })
        .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Fixture, PASSWORD, typed};
    use super::*;

    fn change(user_id: UserId, current: &str, new: &str) -> ChangePassword {
        ChangePassword {
            user_id,
            session: None,
            current: Some(typed(current)),
            new: NewPassword::parse(new).unwrap(),
        }
    }

    #[tokio::test]
    async fn the_new_password_is_in_force_and_sessions_end() {
        let fixture = Fixture::new();
        let user = fixture.registered("alice@example.com").await;
        let command = change(user.id(), PASSWORD, "another good one");
        fixture.service.change_password(command).await.unwrap();
        let changed = fixture.service.get(user.id()).await.unwrap();
        assert_eq!(changed.session_epoch(), user.session_epoch() + 1);
        assert_eq!(fixture.event_names(), ["user.registered", "user.password_changed"]);
        let again = change(user.id(), PASSWORD, "a third good one");
        let refused = fixture.service.change_password(again).await;
        assert!(matches!(refused, Err(UserError::CurrentPasswordWrong)));
    }

    #[tokio::test]
    async fn a_guessable_password_is_refused() {
        let fixture = Fixture::new();
        let user = fixture.registered("alice@example.com").await;
        let refused =
            fixture.service.change_password(change(user.id(), PASSWORD, "ALICE@example.com")).await;
        assert!(matches!(refused, Err(UserError::PasswordWeak { field: "new_password" })));
    }

    #[tokio::test]
    async fn what_cannot_be_a_password_is_a_wrong_one() {
        let fixture = Fixture::new();
        let user = fixture.registered("alice@example.com").await;
        let command =
            ChangePassword { current: None, ..change(user.id(), PASSWORD, "another good one") };
        let refused = fixture.service.change_password(command).await;
        assert!(matches!(refused, Err(UserError::CurrentPasswordWrong)));
    }

    #[tokio::test]
    async fn of_two_changes_with_the_same_proof_one_is_done() {
        let fixture = Fixture::new();
        let user = fixture.registered("alice@example.com").await;
        let first = fixture.service.change_password(change(user.id(), PASSWORD, "the first one"));
        let second = fixture.service.change_password(change(user.id(), PASSWORD, "the second one"));
        let results: [_; 2] = futures::future::join(first, second).await.into();
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    }
}
