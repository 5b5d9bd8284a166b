//! Use cases: reading accounts, and changing one's own profile.

use tracing::instrument;

use super::UserService;
use crate::model::{ProfileChange, User, UserError, UserId};

/// Whose accounts a reader may see.
#[derive(Clone, Copy, Debug)]
pub enum Reader {
    /// Only this one: the reader's own.
    Own(UserId),
    /// Everyone's: an administrator reads.
    Anyone,
}

/// A change of one's own profile.
#[derive(Clone, Debug)]
pub struct UpdateProfile {
    /// Whose profile.
    pub user_id: UserId,
    /// What changes.
    pub change: ProfileChange,
    /// The version that the caller saw, if the change is only meant for that one.
    pub expected_version: Option<u64>,
}

/// One page of accounts.
#[derive(Clone, Debug)]
pub struct UserPage {
    /// The accounts, newest first.
    pub users: Vec<User>,
    /// The account after which the next page begins, if there is one.
    pub next: Option<UserId>,
}

impl UserService {
    /// Reads an account. One that the reader may not see does not exist for them.
    #[instrument(name = "user.get", skip_all, fields(user.id = %id))]
    pub async fn get_user(&self, reader: Reader, id: UserId) -> Result<User, UserError> {
        match reader {
            Reader::Own(own) if own != id => Err(UserError::NotFound),
            Reader::Own(_) | Reader::Anyone => self.get(id).await,
        }
    }

    /// Lists accounts, newest first, `size` a page.
    #[instrument(name = "user.list", skip_all)]
    pub async fn list_users(
        &self,
        before: Option<UserId>,
        size: u32,
    ) -> Result<UserPage, UserError> {
        let mut users = self.users.list(before, size + 1).await?;
        let has_more = users.len() > size as usize;
        users.truncate(size as usize);
        let next = users.last().filter(|_| has_more).map(User::id);
        Ok(UserPage { users, next })
    }

    /// Changes the caller's own name and locale.
    #[instrument(name = "user.update_profile", skip_all, fields(user.id = %command.user_id))]
    pub async fn update_profile(&self, command: UpdateProfile) -> Result<User, UserError> {
        let now = self.clock.now();
        self.change(command.user_id, |user| {
            // What the account may do comes first: whoever is disabled learns that from any version.
            let change = user.update_profile(command.change.clone(), now)?;
            if command.expected_version.is_some_and(|expected| expected != user.version()) {
                return Err(UserError::VersionMismatch);
            }
            Ok(change)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Fixture;
    use super::*;
    use crate::model::{DisplayName, Locale, Status};

    fn rename(user: &User, name: &str, expected_version: Option<u64>) -> UpdateProfile {
        let display_name = Some(DisplayName::parse(name).unwrap());
        let change = ProfileChange { display_name, ..ProfileChange::default() };
        UpdateProfile { user_id: user.id(), change, expected_version }
    }

    #[tokio::test]
    async fn another_ones_account_does_not_exist() {
        let fixture = Fixture::new();
        let alice = fixture.registered("alice@example.com").await;
        let bob = fixture.registered("bob@example.com").await;
        let service = &fixture.service;
        assert_eq!(service.get_user(Reader::Own(bob.id()), bob.id()).await.unwrap(), bob);
        let refused = service.get_user(Reader::Own(alice.id()), bob.id()).await;
        assert!(matches!(refused, Err(UserError::NotFound)));
        assert_eq!(service.get_user(Reader::Anyone, bob.id()).await.unwrap(), bob);
    }

    #[tokio::test]
    async fn the_last_page_has_no_successor() {
        let fixture = Fixture::new();
        for n in 0..4 {
            fixture.registered(&format!("user{n}@example.com")).await;
        }
        let first = fixture.service.list_users(None, 2).await.unwrap();
        let second = fixture.service.list_users(first.next, 2).await.unwrap();
        assert!(first.next.is_some());
        assert_eq!((second.users.len(), second.next), (2, None));
    }

    #[tokio::test]
    async fn a_change_meant_for_an_older_version_is_refused() {
        let fixture = Fixture::new();
        let user = fixture.registered("alice@example.com").await;
        let renamed = fixture.service.update_profile(rename(&user, "Al", Some(1))).await.unwrap();
        assert_eq!((renamed.display_name().as_str(), renamed.version()), ("Al", 2));
        let late = fixture.service.update_profile(rename(&user, "Ali", Some(1))).await;
        assert!(matches!(late, Err(UserError::VersionMismatch)));
        let any = fixture.service.update_profile(rename(&user, "Ali", None)).await.unwrap();
        assert_eq!(any.version(), 3);
    }

    #[tokio::test]
    async fn a_disabled_account_is_told_so_whichever_version_it_names() {
        let fixture = Fixture::new();
        let admin = fixture.administrator().await;
        let user = fixture.registered("alice@example.com").await;
        fixture.service.set_status(admin, user.id(), Status::Disabled).await.unwrap();
        for version in [Some(1), Some(2), None] {
            let refused = fixture.service.update_profile(rename(&user, "Al", version)).await;
            assert!(matches!(refused, Err(UserError::AccountDisabled)), "{version:?}: {refused:?}");
        }
    }

    #[tokio::test]
    async fn a_member_that_is_not_given_stays() {
        let fixture = Fixture::new();
        let user = fixture.registered("alice@example.com").await;
        let change = ProfileChange { locale: Some(Locale::ZhCn), ..ProfileChange::default() };
        let command = UpdateProfile { user_id: user.id(), change, expected_version: None };
        let changed = fixture.service.update_profile(command).await.unwrap();
        assert_eq!((changed.locale(), changed.display_name()), (Locale::ZhCn, user.display_name()));
        assert_eq!(fixture.event_names(), ["user.registered", "user.profile_updated"]);
    }

    #[tokio::test]
    async fn an_account_that_is_gone_is_not_found() {
        let fixture = Fixture::new();
        let missing = fixture.service.get_user(Reader::Anyone, UserId::generate()).await;
        assert!(matches!(missing, Err(UserError::NotFound)));
    }
}
