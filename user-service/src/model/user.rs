//! The account: its state, and the changes it allows.
//!
//! A change does not alter the account it starts from: it returns the account as it is to be
//! stored, one version later, with what other services are to learn.

use chrono::{DateTime, Utc};

use uuid::Uuid;

use super::{
    AccessEffect, DisplayName, Email, Locale, PasswordHash, Role, Roles, TokenEffect, UserError,
    UserEvent,
};

chassis::id_type!(
    /// Identity of an account.
    UserId,
    "user id"
);

/// Whether an account may act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// May log in and act.
    Active,
    /// Refused at login and at refresh.
    Disabled,
}

impl Status {
    /// Reads a status exactly as [`Status::as_str`] writes it.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Active, Self::Disabled].into_iter().find(|status| status.as_str() == name)
    }

    /// The status' name in storage.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Disabled => "DISABLED",
        }
    }
}

/// What a new account is made of.
#[derive(Clone, Debug)]
pub struct Registration {
    /// The address to log in with.
    pub email: Email,
    /// The name to appear under.
    pub display_name: DisplayName,
    /// The language to be addressed in.
    pub locale: Locale,
    /// What the account may do.
    pub roles: Roles,
    /// The hash of the chosen password.
    pub password_hash: PasswordHash,
}

/// The parts of a profile that are to change.
#[derive(Clone, Debug, Default)]
pub struct ProfileChange {
    /// The new name, if it changes.
    pub display_name: Option<DisplayName>,
    /// The new locale, if it changes.
    pub locale: Option<Locale>,
}

/// The state of an account as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredUser {
    /// Identity.
    pub id: UserId,
    /// The address to log in with.
    pub email: Email,
    /// The name to appear under.
    pub display_name: DisplayName,
    /// The language to be addressed in.
    pub locale: Locale,
    /// Whether the account may act.
    pub status: Status,
    /// What it may do.
    pub roles: Roles,
    /// The hash of the password in force.
    pub password_hash: PasswordHash,
    /// When the owner proved to receive mail at the address, if they did. No change alters the address;
    /// one that does has to take this away.
    pub email_verified_at: Option<DateTime<Utc>>,
    /// Rises when all sessions begun before must end.
    pub session_epoch: u64,
    /// Rises by one with every change.
    pub version: u64,
    /// When the account was registered.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User(StoredUser);

/// A changed account that is not stored yet.
#[derive(Clone, Debug)]
pub struct Change {
    /// The account after the change.
    pub user: User,
    /// The account before the change; none when it is new.
    pub before: Option<Box<User>>,
    /// What other services are to learn.
    pub events: Vec<UserEvent>,
    /// The account was an active administrator and is none any more: whoever stores the change
    /// makes sure that another one remains.
    pub drops_admin: bool,
    /// The roles are others than before.
    pub changes_roles: bool,
    /// What becomes of access tokens that were issued before, if anything does.
    pub access: Option<AccessEffect>,
    /// What becomes of one-time tokens.
    pub tokens: TokenEffect,
}

impl User {
    /// Registers a new account.
    pub fn register(registration: Registration, now: DateTime<Utc>) -> Change {
        let user = Self(StoredUser {
            id: UserId::generate(),
            email: registration.email,
            display_name: registration.display_name,
            locale: registration.locale,
            status: Status::Active,
            roles: registration.roles,
            password_hash: registration.password_hash,
            email_verified_at: None,
            session_epoch: 1,
            version: 1,
            created_at: now,
            updated_at: now,
        });
        let events = vec![UserEvent::registered(&user)];
        let (before, tokens) = (None, TokenEffect::default());
        Change {
            user,
            before,
            events,
            drops_admin: false,
            changes_roles: true,
            access: None,
            tokens,
        }
    }

    /// Restores an account from storage.
    pub fn restore(stored: StoredUser) -> Self {
        Self(stored)
    }

    /// Changes name and locale. `None` when they are so already.
    pub fn update_profile(
        &self,
        change: ProfileChange,
        now: DateTime<Utc>,
    ) -> Result<Option<Change>, UserError> {
        self.check_active()?;
        let change = self.changed(now, |state| {
            state.display_name = change.display_name.unwrap_or_else(|| self.0.display_name.clone());
            state.locale = change.locale.unwrap_or(self.0.locale);
        });
        Ok(change.map(|change| change.with(UserEvent::profile_updated)))
    }

    /// Puts another password in force and ends all sessions but `kept`, in which it is done.
    pub fn change_password(
        &self,
        hash: PasswordHash,
        kept: Option<Uuid>,
        now: DateTime<Utc>,
    ) -> Result<Option<Change>, UserError> {
        self.check_active()?;
        let change = self.changed(now, |state| {
            state.password_hash = hash;
            state.session_epoch += 1;
        });
        Ok(change.map(|change| change.keeping(kept).with(UserEvent::password_changed)))
    }

    /// The same account under another hash of the same password. No change that anyone sees: the
    /// version stays.
    #[must_use]
    pub fn rehashed(&self, hash: PasswordHash) -> Self {
        let mut state = self.0.clone();
        state.password_hash = hash;
        Self(state)
    }

    /// Enables or disables the account; disabling ends all sessions. `None` when it is so already.
    pub fn set_status(&self, status: Status, now: DateTime<Utc>) -> Option<Change> {
        if status == self.0.status {
            return None;
        }
        let change = self.changed(now, |state| {
            state.status = status;
            state.session_epoch += u64::from(status == Status::Disabled);
        });
        match status {
            Status::Active => change,
            Status::Disabled => change.map(|change| change.with(UserEvent::disabled)),
        }
    }

    /// Replaces the roles. `None` when they are so already.
    pub fn set_roles(&self, roles: Roles, now: DateTime<Utc>) -> Option<Change> {
        self.changed(now, |state| state.roles = roles)
    }

    /// Refuses what a disabled account asks for: its tokens live on for some minutes.
    pub fn check_active(&self) -> Result<(), UserError> {
        match self.0.status {
            Status::Active => Ok(()),
            Status::Disabled => Err(UserError::AccountDisabled),
        }
    }

    /// Whether the account may administer the fleet now.
    pub fn is_active_admin(&self) -> bool {
        self.0.status == Status::Active && self.0.roles.contains(Role::Admin)
    }

    pub(super) fn changed(
        &self,
        now: DateTime<Utc>,
        alter: impl FnOnce(&mut StoredUser),
    ) -> Option<Change> {
        let mut state = self.0.clone();
        alter(&mut state);
        if state == self.0 {
            return None;
        }
        state.version += 1;
        state.updated_at = now;
        let user = Self(state);
        let drops_admin = self.is_active_admin() && !user.is_active_admin();
        let changes_roles = user.0.roles != self.0.roles;
        let ends_sessions = user.0.session_epoch > self.0.session_epoch;
        let has_effect = ends_sessions || changes_roles || user.0.status != self.0.status;
        let effect = AccessEffect { ends_sessions, kept_session: None, changes_roles };
        let access = has_effect.then_some(effect);
        let before = Some(Box::new(self.clone()));
        let (events, tokens) = (Vec::new(), TokenEffect::default());
        Some(Change { user, before, events, drops_admin, changes_roles, access, tokens })
    }

    /// The whole state, for storage.
    pub fn stored(&self) -> &StoredUser {
        &self.0
    }

    /// Identity.
    pub fn id(&self) -> UserId {
        self.0.id
    }

    /// The address to log in with.
    pub fn email(&self) -> &Email {
        &self.0.email
    }

    /// The name to appear under.
    pub fn display_name(&self) -> &DisplayName {
        &self.0.display_name
    }

    /// The language to be addressed in.
    pub fn locale(&self) -> Locale {
        self.0.locale
    }

    /// Whether the account may act.
    pub fn status(&self) -> Status {
        self.0.status
    }

    /// What it may do.
    pub fn roles(&self) -> &Roles {
        &self.0.roles
    }

    /// The hash of the password in force.
    pub fn password_hash(&self) -> &PasswordHash {
        &self.0.password_hash
    }

    /// When the owner proved to receive mail at the address, if they did.
    pub fn email_verified_at(&self) -> Option<DateTime<Utc>> {
        self.0.email_verified_at
    }

    /// Rises when all sessions begun before must end.
    pub fn session_epoch(&self) -> u64 {
        self.0.session_epoch
    }

    /// Rises by one with every change.
    pub fn version(&self) -> u64 {
        self.0.version
    }

    /// When the account was registered.
    pub fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }

    /// When it last changed.
    pub fn updated_at(&self) -> DateTime<Utc> {
        self.0.updated_at
    }
}

impl Change {
    /// The version that must still be the stored one for the change to apply.
    pub fn expected_version(&self) -> u64 {
        self.user.version() - 1
    }

    fn keeping(mut self, session: Option<Uuid>) -> Self {
        if let Some(access) = &mut self.access {
            access.kept_session = session;
        }
        self
    }

    pub(super) fn with(mut self, event: impl FnOnce(&User) -> UserEvent) -> Self {
        self.events.push(event(&self.user));
        self
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn registered(roles: Roles) -> Change {
        let registration = Registration {
            email: Email::parse("alice@example.com").unwrap(),
            display_name: DisplayName::parse("Alice").unwrap(),
            locale: Locale::En,
            roles,
            password_hash: PasswordHash::new("hash"),
        };
        User::register(registration, DateTime::UNIX_EPOCH)
    }

    fn later() -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::hours(1)
    }

    fn names(change: &Change) -> Vec<&'static str> {
        change.events.iter().map(UserEvent::name).collect()
    }

    #[test]
    fn a_new_account_is_active_and_announced() {
        let change = registered(Roles::customer());
        assert_eq!(change.user.status(), Status::Active);
        assert_eq!((change.user.version(), change.user.session_epoch()), (1, 1));
        assert_eq!(names(&change), ["user.registered"]);
    }

    #[test]
    fn a_profile_change_keeps_sessions_and_raises_the_version() {
        let user = registered(Roles::customer()).user;
        let wanted = ProfileChange { locale: Some(Locale::ZhCn), ..ProfileChange::default() };
        let change = user.update_profile(wanted, later()).unwrap().unwrap();
        assert_eq!(change.user.locale(), Locale::ZhCn);
        assert_eq!(change.access, None, "tokens say nothing of this");
        assert_eq!(change.user.display_name(), user.display_name());
        assert_eq!((change.user.version(), change.user.session_epoch()), (2, 1));
        assert_eq!(
            (change.user.created_at(), change.user.updated_at()),
            (DateTime::UNIX_EPOCH, later())
        );
        assert_eq!(change.expected_version(), 1);
        assert_eq!(names(&change), ["user.profile_updated"]);
    }

    #[test]
    fn changing_nothing_is_no_change() {
        let user = registered(Roles::customer()).user;
        assert!(user.update_profile(ProfileChange::default(), later()).unwrap().is_none());
        assert!(user.set_status(Status::Active, later()).is_none());
        assert!(user.set_roles(Roles::customer(), later()).is_none());
    }

    #[test]
    fn another_password_ends_all_sessions() {
        let user = registered(Roles::customer()).user;
        let change = user
            .change_password(PasswordHash::new("other"), Some(Uuid::from_u128(5)), later())
            .unwrap()
            .unwrap();
        let effect = AccessEffect {
            ends_sessions: true,
            kept_session: Some(Uuid::from_u128(5)),
            changes_roles: false,
        };
        assert_eq!(change.access, Some(effect));
        assert_eq!(change.user.session_epoch(), 2);
        assert_eq!(names(&change), ["user.password_changed"]);
    }

    #[test]
    fn disabling_ends_all_sessions_and_enabling_does_not() {
        let disabled =
            registered(Roles::customer()).user.set_status(Status::Disabled, later()).unwrap();
        assert_eq!(disabled.user.session_epoch(), 2);
        assert_eq!(names(&disabled), ["user.disabled"]);
        let enabled = disabled.user.set_status(Status::Active, later()).unwrap();
        assert_eq!((enabled.user.session_epoch(), enabled.user.version()), (2, 3));
        assert!(disabled.access.unwrap().ends_sessions);
        assert!(!enabled.access.unwrap().ends_sessions, "but verifiers learn of it");
        assert!(enabled.events.is_empty());
    }

    #[test]
    fn a_disabled_account_changes_nothing_about_itself() {
        let user =
            registered(Roles::customer()).user.set_status(Status::Disabled, later()).unwrap().user;
        let profile = user.update_profile(ProfileChange::default(), later());
        assert!(matches!(profile, Err(UserError::AccountDisabled)));
        let password = user.change_password(PasswordHash::new("other"), None, later());
        assert!(matches!(password, Err(UserError::AccountDisabled)));
    }

    #[test]
    fn a_change_knows_when_it_takes_an_administrator_away() {
        let admin = registered(Roles::administrator()).user;
        assert!(admin.set_roles(Roles::customer(), later()).unwrap().drops_admin);
        let disabled = admin.set_status(Status::Disabled, later()).unwrap();
        assert!(disabled.drops_admin);
        assert!(!disabled.user.set_roles(Roles::customer(), later()).unwrap().drops_admin);
        let customer = registered(Roles::customer()).user;
        assert!(!customer.set_status(Status::Disabled, later()).unwrap().drops_admin);
        assert!(!customer.set_roles(Roles::administrator(), later()).unwrap().drops_admin);
    }
}
