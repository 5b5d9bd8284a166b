//! The account and its rules. Pure: never does I/O and knows no transport and no storage.

mod access;
mod display_name;
mod email;
mod error;
mod event;
mod locale;
mod password;
mod role;
mod user;

pub use access::{AccessChange, AccessChanges, AccessEffect};
pub use display_name::DisplayName;
pub use email::Email;
pub use error::{CODES, UserError};
pub use event::UserEvent;
pub use locale::Locale;
pub use password::{NewPassword, PasswordHash, TypedPassword};
pub use role::{Role, Roles};
pub use user::{Change, ProfileChange, Registration, Status, StoredUser, User, UserId};
