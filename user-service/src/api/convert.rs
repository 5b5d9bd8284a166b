//! Wire to model, with all validation of input, and model to wire.

use chassis::auth::Caller;
use chassis::error::{Invalid, Validator};
use chassis::id::InvalidId;
use chassis::opaque::OpaqueToken;
use chrono::{DateTime, Utc};
use prost_types::Timestamp;
use proto::user::v1 as pb;

use crate::model::{
    AccessChange, DisplayName, Email, Locale, NewPassword, ProfileChange, Role, Roles, Status,
    TypedPassword, User, UserId,
};
use crate::service::{ChangePassword, RecoverPassword, Register, UpdateProfile};

/// Users on a page when the request does not say.
const PAGE_SIZE_DEFAULT: u32 = 20;
/// Users on a page at most.
const PAGE_SIZE_MAX: u32 = 100;
/// Reason of a violation when a text breaks the rules of its field.
const INVALID: &str = "INVALID";

pub(super) fn register(request: &pb::RegisterRequest) -> Result<Register, Invalid> {
    let mut fields = Validator::new();
    let email = accept(&mut fields, "email", Email::parse(&request.email));
    let password = accept(&mut fields, "password", NewPassword::parse(&request.password));
    let name = accept(&mut fields, "display_name", DisplayName::parse(&request.display_name));
    let locale = parse_locale(&mut fields, request.locale.as_deref());
    fields.finish()?;
    let (Some(email), Some(password), Some(display_name)) = (email, password, name) else {
        return Err(Invalid { violations: Vec::new() });
    };
    Ok(Register { email, password, display_name, locale: locale.unwrap_or_default() })
}

pub(super) fn update_profile(
    user_id: UserId,
    request: &pb::UpdateProfileRequest,
) -> Result<UpdateProfile, Invalid> {
    let mut fields = Validator::new();
    let name = request.display_name.as_deref().map(DisplayName::parse);
    let display_name = name.and_then(|name| accept(&mut fields, "display_name", name));
    let locale = parse_locale(&mut fields, request.locale.as_deref());
    fields.finish()?;
    Ok(UpdateProfile {
        user_id,
        change: ProfileChange { display_name, locale },
        expected_version: request.expected_version,
    })
}

pub(super) fn change_password(
    caller: &Caller,
    request: &pb::ChangePasswordRequest,
) -> Result<ChangePassword, Invalid> {
    let new = NewPassword::parse(&request.new_password)
        .map_err(|rule| Invalid::single("new_password", INVALID, rule))?;
    Ok(ChangePassword {
        user_id: UserId::from_uuid(caller.user_id),
        session: Some(caller.session_id),
        current: TypedPassword::parse(&request.current_password),
        new,
    })
}

pub(super) fn address_to_find(text: &str) -> Result<Email, Invalid> {
    let rule = "must be at most 254 characters long";
    Email::to_find(text).ok_or_else(|| Invalid::single("email", INVALID, rule))
}

pub(super) fn recover_password(
    request: &pb::RecoverPasswordRequest,
) -> Result<RecoverPassword, Invalid> {
    let new = NewPassword::parse(&request.new_password)
        .map_err(|rule| Invalid::single("new_password", INVALID, rule))?;
    Ok(RecoverPassword { token: OpaqueToken::parse(&request.token), new })
}

pub(super) fn access_change(change: &AccessChange) -> pb::AccessChange {
    pb::AccessChange {
        user_id: change.user_id.to_string(),
        version: change.version,
        status: wire_status(change.status).into(),
        session_epoch: change.session_epoch,
        sessions_from: change.sessions_from,
        kept_session_id: change.kept_session.map(|id| id.to_string()).unwrap_or_default(),
        roles_from: change.roles_from,
    }
}

pub(super) fn user_id(text: &str) -> Result<UserId, InvalidId> {
    UserId::parse(text)
}

pub(super) fn page_size(requested: i32) -> Result<u32, Invalid> {
    match u32::try_from(requested) {
        Ok(0) => Ok(PAGE_SIZE_DEFAULT),
        Ok(size) if size <= PAGE_SIZE_MAX => Ok(size),
        _ => Err(Invalid::single("page_size", "OUT_OF_RANGE", "must be between 1 and 100")),
    }
}

pub(super) fn status(number: i32) -> Result<Status, Invalid> {
    match pb::UserStatus::try_from(number) {
        Ok(pb::UserStatus::Active) => Ok(Status::Active),
        Ok(pb::UserStatus::Disabled) => Ok(Status::Disabled),
        _ => Err(Invalid::single("status", "UNKNOWN", "must be ACTIVE or DISABLED")),
    }
}

pub(super) fn roles(names: &[String]) -> Result<Roles, Invalid> {
    // No more than there are, so that a request of any length is refused in one sentence.
    if names.len() > Role::ALL.len() {
        return Err(Invalid::single("roles", "TOO_MANY", "must name each role once at most"));
    }
    let mut fields = Validator::new();
    let known: Vec<Role> = names.iter().filter_map(|name| Role::parse(name)).collect();
    for (n, name) in names.iter().enumerate() {
        let is_known = Role::parse(name).is_some();
        fields.check(is_known, format!("roles[{n}]"), "UNKNOWN", "must be customer or admin");
    }
    fields.check(!names.is_empty(), "roles", "REQUIRED", "must name at least one role");
    fields.finish()?;
    Roles::new(known).ok_or_else(|| Invalid::single("roles", INVALID, "must name known roles"))
}

pub(super) fn user(user: &User) -> pb::User {
    pb::User {
        id: user.id().to_string(),
        email: user.email().as_given().to_owned(),
        display_name: user.display_name().as_str().to_owned(),
        locale: user.locale().as_str().to_owned(),
        status: wire_status(user.status()).into(),
        roles: role_names(user),
        version: user.version(),
        created_at: Some(timestamp(user.created_at())),
        updated_at: Some(timestamp(user.updated_at())),
        email_verified_at: user.email_verified_at().map(timestamp),
    }
}

pub(super) fn wire_status(status: Status) -> pb::UserStatus {
    match status {
        Status::Active => pb::UserStatus::Active,
        Status::Disabled => pb::UserStatus::Disabled,
    }
}

pub(super) fn role_names(user: &User) -> Vec<String> {
    user.roles().iter().map(|role| role.as_str().to_owned()).collect()
}

fn timestamp(time: DateTime<Utc>) -> Timestamp {
    Timestamp {
        seconds: time.timestamp(),
        nanos: i32::try_from(time.timestamp_subsec_nanos()).unwrap_or_default(),
    }
}

fn parse_locale(fields: &mut Validator, tag: Option<&str>) -> Option<Locale> {
    let locale = tag.map(|tag| Locale::parse(tag).ok_or("must be en or zh-CN"));
    locale.and_then(|locale| accept(fields, "locale", locale))
}

fn accept<T>(
    fields: &mut Validator,
    field: &'static str,
    parsed: Result<T, &'static str>,
) -> Option<T> {
    parsed.map_err(|rule| fields.reject(field, INVALID, rule)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_at_fault_is_named() {
        let request = pb::RegisterRequest {
            email: "alice".to_owned(),
            password: "short".to_owned(),
            display_name: String::new(),
            locale: Some("xx".to_owned()),
        };
        let violations = register(&request).unwrap_err().violations;
        let fields: Vec<_> = violations.iter().map(|found| found.field.as_str()).collect();
        assert_eq!(fields, ["email", "password", "display_name", "locale"]);
    }

    #[test]
    fn english_is_spoken_when_nothing_else_is_asked_for() {
        let request = pb::RegisterRequest {
            email: "alice@example.com".to_owned(),
            password: "correct horse battery".to_owned(),
            display_name: "Alice".to_owned(),
            locale: None,
        };
        assert_eq!(register(&request).unwrap().locale, Locale::En);
    }

    #[test]
    fn page_sizes_have_a_default_and_a_limit() {
        assert_eq!(page_size(0).unwrap(), 20);
        assert_eq!(page_size(100).unwrap(), 100);
        for bad in [-1, 101, i32::MAX, i32::MIN] {
            assert_eq!(page_size(bad).unwrap_err().violations[0].field, "page_size");
        }
    }

    #[test]
    fn unknown_statuses_and_roles_are_refused() {
        assert!(status(0).is_err() && status(3).is_err() && status(-1).is_err());
        assert!(roles(&[]).is_err());
        let mixed = roles(&["admin".to_owned(), "root".to_owned()]).unwrap_err();
        assert_eq!(mixed.violations[0].field, "roles[1]");
        let three = roles(&["customer", "admin", "customer"].map(str::to_owned)).unwrap_err();
        assert_eq!((three.violations.len(), three.violations[0].field.as_str()), (1, "roles"));
        assert_eq!(roles(&["customer".to_owned()]).unwrap(), Roles::customer());
    }
}
