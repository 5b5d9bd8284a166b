//! What the audit log says of an account: one row per version, and one per renewed hash.
//!
//! Neither address nor password are told, nor a hash of them: that they changed is enough.

use chassis::audit::{Actor, Entry, Value};

use crate::model::{Change, Role, Status, StoredUser, User, UserId};

/// The entry of a change.
pub(super) fn entry(change: &Change) -> Entry {
    let after = change.user.stored();
    let id = after.id.as_uuid();
    let Some(before) = change.before.as_deref().map(User::stored) else {
        // Nobody has a token yet. The only account that is an administrator's from its beginning
        // is the configured one.
        let is_configured = after.roles.contains(Role::Admin);
        let actor = if is_configured { Actor::system("bootstrap") } else { Actor::User(id) };
        let entry = Entry::new("user.registered", "user", id).by(actor);
        return entry.about(id).after(&state(after)).first();
    };
    let entry = Entry::new(action(change, before, after), "user", id)
        .about(id)
        .before(&state(before))
        .after(&state(after));
    // Whoever shows a link that was sent to the owner has no session that would say who they are.
    if change.tokens.spends.is_some() { entry.by(Actor::User(id)) } else { entry }
}

/// The entry of another hash of the same password, which is no version of the account.
pub(super) fn rehashed(id: UserId) -> Entry {
    let id = id.as_uuid();
    Entry::new("user.password_rehashed", "user", id).about(id).by(Actor::system("rehashing"))
}

/// What is most worth knowing of a change comes first.
fn action(change: &Change, before: &StoredUser, after: &StoredUser) -> &'static str {
    if before.roles != after.roles {
        return "user.roles_changed";
    }
    if before.status != after.status {
        return match after.status {
            Status::Active => "user.enabled",
            Status::Disabled => "user.disabled",
        };
    }
    if before.password_hash != after.password_hash {
        let is_recovery = change.tokens.spends.is_some();
        return if is_recovery { "user.password_recovered" } else { "user.password_changed" };
    }
    if before.email != after.email {
        return "user.email_changed";
    }
    if before.email_verified_at != after.email_verified_at {
        return "user.email_verified";
    }
    if (&before.display_name, before.locale) != (&after.display_name, after.locale) {
        return "user.profile_changed";
    }
    "user.changed"
}

fn state(user: &StoredUser) -> [(&'static str, Value); 7] {
    let mut roles: Vec<&str> = user.roles.iter().map(Role::as_str).collect();
    roles.sort_unstable();
    [
        ("status", user.status.as_str().into()),
        ("roles", roles.join(",").into()),
        ("display_name", user.display_name.as_str().into()),
        ("locale", user.locale.as_str().into()),
        ("is_email_verified", user.email_verified_at.is_some().into()),
        ("session_epoch", user.session_epoch.into()),
        ("version", user.version.into()),
    ]
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::model::{
        DisplayName, Email, Locale, PasswordHash, ProfileChange, Registration, Roles,
    };

    #[test]
    fn every_change_has_its_name_and_tells_no_secret() {
        let now = DateTime::UNIX_EPOCH;
        let registered = User::register(
            Registration {
                email: Email::parse("alice@example.com").unwrap(),
                display_name: DisplayName::parse("Alice").unwrap(),
                locale: Locale::ZhCn,
                roles: Roles::customer(),
                password_hash: PasswordHash::new("hunter2"),
            },
            now,
        );
        let user = &registered.user;
        let renamed = ProfileChange { locale: Some(Locale::En), ..ProfileChange::default() };
        let disabled = user.set_status(Status::Disabled, now).unwrap();
        let password = user.change_password(PasswordHash::new("hunter3"), None, now);
        let changes = [
            (user.set_roles(Roles::administrator(), now).unwrap(), "user.roles_changed"),
            (disabled.user.set_status(Status::Active, now).unwrap(), "user.enabled"),
            (disabled, "user.disabled"),
            (password.unwrap().unwrap(), "user.password_changed"),
            (user.update_profile(renamed, now).unwrap().unwrap(), "user.profile_changed"),
            (registered, "user.registered"),
        ];
        for (change, name) in changes {
            let entry = entry(&change);
            assert_eq!(entry.action(), name);
            let text = format!("{entry:?}");
            assert!(!text.contains("alice@") && !text.contains("hunter"), "{text}");
        }
    }
}
