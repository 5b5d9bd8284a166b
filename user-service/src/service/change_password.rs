//! Use case: someone changes their own password.

use chassis::throttle::{Admission, Meter};
use tracing::instrument;
use uuid::Uuid;

use super::UserService;
use crate::model::{NewPassword, TypedPassword, User, UserError, UserId};

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
        self.check_current(&user, command.session, command.current).await?;
        let score_min = self.policy.score_min;
        if let Some(weakness) = command.new.weakness(user.email(), user.display_name(), score_min) {
            return Err(UserError::PasswordWeak { field: "new_password", weakness });
        }
        let new_hash = self.hasher.hash(command.new.as_typed()).await?;
        let now = self.clock.now();
        self.change(user.id(), |current| {
            // What was typed proved the password that was in force when it was checked. A hash that
            // was only renewed meanwhile is of the same password, and leaves the epoch as it was.
            if current.password_hash() != user.password_hash()
                && current.session_epoch() != user.session_epoch()
            {
                return Err(UserError::CurrentPasswordWrong);
            }
            current.change_password(new_hash.clone(), command.session, now)
        })
        .await?;
        Ok(())
    }

    /// Checks the password in force. Wrong ones count, so that whoever holds a stolen access token
    /// does not find the password out with it. They count by session: a thief cannot keep the owner
    /// from changing the password in another one, and gets a session of his own by no other way than
    /// a login.
    async fn check_current(
        &self,
        user: &User,
        session: Option<Uuid>,
        typed: Option<TypedPassword>,
    ) -> Result<(), UserError> {
        let key = format!("password:{}:{}", user.id(), session.unwrap_or_default());
        let meter = Meter { key, rule: self.policy.change, member: None };
        let ticket = match self.throttle.begin(&meter).await {
            Admission::Admitted(ticket) => ticket,
            Admission::Refused { retry_after } => {
                return Err(UserError::PasswordThrottled { retry_after });
            }
        };
        let typed = typed.ok_or(UserError::CurrentPasswordWrong)?;
        match self.hasher.verify(&typed, Some(user.password_hash())).await {
            Ok(verdict) if verdict.is_right() => {
                self.throttle.clear(&meter).await;
                Ok(())
            }
            Ok(_) => Err(UserError::CurrentPasswordWrong),
            Err(error) => {
                self.throttle.take_back(&meter, &ticket).await;
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Fixture, PASSWORD, typed};
    use super::*;
    use crate::repository::UserRepository as _;

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
        assert!(matches!(refused, Err(UserError::PasswordWeak { field: "new_password", .. })));
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

    #[tokio::test(start_paused = true)]
    async fn whoever_guesses_the_current_password_waits() {
        let fixture = Fixture::new();
        let user = fixture.registered("alice@example.com").await;
        for _ in 0..5 {
            let wrong = fixture.change_password(user.id(), "a guess", "another good one").await;
            assert!(matches!(wrong, Err(UserError::CurrentPasswordWrong)));
        }
        let right = fixture.change_password(user.id(), PASSWORD, "another good one").await;
        let Err(UserError::PasswordThrottled { retry_after }) = right else { panic!("{right:?}") };
        tokio::time::advance(retry_after).await;
        fixture.change_password(user.id(), PASSWORD, "another good one").await.unwrap();
        let wrong = fixture.change_password(user.id(), "a guess", "a third good one").await;
        assert!(matches!(wrong, Err(UserError::CurrentPasswordWrong)), "the count begins anew");
    }

    #[tokio::test(start_paused = true)]
    async fn guesses_in_one_session_do_not_hold_up_another_one() {
        let fixture = Fixture::new();
        let user = fixture.registered("alice@example.com").await;
        let of = |session: u128, current: &str| ChangePassword {
            session: Some(Uuid::from_u128(session)),
            ..change(user.id(), current, "another good one")
        };
        for _ in 0..5 {
            let wrong = fixture.service.change_password(of(1, "a guess")).await;
            assert!(matches!(wrong, Err(UserError::CurrentPasswordWrong)));
        }
        let throttled = fixture.service.change_password(of(1, PASSWORD)).await;
        assert!(matches!(throttled, Err(UserError::PasswordThrottled { .. })));
        fixture.service.change_password(of(2, PASSWORD)).await.unwrap();
    }

    #[tokio::test]
    async fn a_hash_that_is_renewed_meanwhile_does_not_spoil_the_change() {
        let fixture = Fixture::new();
        let user = fixture.registered("alice@example.com").await;
        fixture.hasher.raise_cost();
        let renewed = fixture.service.hasher.hash(&typed(PASSWORD)).await.unwrap();
        let command = change(user.id(), PASSWORD, "another good one");
        let changing = fixture.service.change_password(command);
        let renewing = fixture.users.replace_hash(user.id(), user.password_hash(), &renewed);
        let (changed, _) = futures::future::join(changing, renewing).await;
        changed.unwrap();
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
