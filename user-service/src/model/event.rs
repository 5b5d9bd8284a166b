//! What other services learn about accounts.

use serde::Serialize;

use super::{Locale, User};

/// Something that happened to an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum UserEvent {
    /// The account was registered.
    Registered {
        /// The account.
        user_id: uuid::Uuid,
        /// Its version afterwards.
        version: u64,
        /// The name under which it appears.
        display_name: String,
        /// The language in which it is addressed.
        locale: &'static str,
    },
    /// Name or locale were changed. The name stays here: nobody else keeps one.
    ProfileUpdated {
        /// The account.
        user_id: uuid::Uuid,
        /// Its version afterwards.
        version: u64,
        /// The language in which it is addressed from now on.
        locale: &'static str,
    },
    /// The password was changed; sessions begun before must end.
    PasswordChanged {
        /// The account.
        user_id: uuid::Uuid,
        /// Its version afterwards.
        version: u64,
    },
    /// The account was disabled; its sessions must end.
    Disabled {
        /// The account.
        user_id: uuid::Uuid,
        /// Its version afterwards.
        version: u64,
    },
}

impl UserEvent {
    pub(super) fn registered(user: &User) -> Self {
        Self::Registered {
            user_id: user.id().as_uuid(),
            version: user.version(),
            display_name: user.display_name().as_str().to_owned(),
            locale: Locale::as_str(user.locale()),
        }
    }

    pub(super) fn profile_updated(user: &User) -> Self {
        Self::ProfileUpdated {
            user_id: user.id().as_uuid(),
            version: user.version(),
            locale: Locale::as_str(user.locale()),
        }
    }

    pub(super) fn password_changed(user: &User) -> Self {
        Self::PasswordChanged { user_id: user.id().as_uuid(), version: user.version() }
    }

    pub(super) fn disabled(user: &User) -> Self {
        Self::Disabled { user_id: user.id().as_uuid(), version: user.version() }
    }

    /// The event's name, which is also its routing key.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Registered { .. } => "user.registered",
            Self::ProfileUpdated { .. } => "user.profile_updated",
            Self::PasswordChanged { .. } => "user.password_changed",
            Self::Disabled { .. } => "user.disabled",
        }
    }

    /// The account's version after the change.
    pub const fn version(&self) -> u64 {
        match self {
            Self::Registered { version, .. }
            | Self::ProfileUpdated { version, .. }
            | Self::PasswordChanged { version, .. }
            | Self::Disabled { version, .. } => *version,
        }
    }
}
