//! The account and its rules. Pure: never does I/O and knows no transport and no storage.

mod access;
mod common;
mod confusable;
mod display_name;
mod email;
mod error;
mod event;
mod locale;
mod password;
mod proof;
mod role;
mod strength;
mod token;
mod user;

pub use access::{AccessChange, AccessChanges, AccessEffect};
pub use display_name::DisplayName;
pub use email::Email;
pub use error::{CODES, UserError};
pub use event::UserEvent;
pub use locale::Locale;
pub use password::{NewPassword, PasswordHash, TypedPassword, Weakness};
pub use role::{Role, Roles};
pub use strength::Strength;
pub use token::{
    IssuedToken, LiveToken, Purpose, RecoveryRequest, RecoveryRequestId, SpentToken, TokenDigest,
    TokenEffect, TokenId,
};
pub use user::{Change, ProfileChange, Registration, Status, StoredUser, User, UserId};
