//! Sessions, refresh tokens and signing keys, and their rules. Pure: never does I/O and knows no
//! transport and no storage.

mod account;
mod device;
mod error;
mod event;
mod key;
mod refresh;
mod revocation;
mod session;

pub use account::{AccountAccess, Credentials, Identity, UserId};
pub use device::{Device, Tag};
pub use error::{CODES, SessionError};
pub use event::SessionEvent;
pub use key::{KeyState, StoredKey};
pub use refresh::{Moment, Presented, RefreshToken, TokenDigest, TokenState, Verdict};
pub use revocation::{AccountChange, AccountChanges, AccountRule, Revocation, RevocationPage};
pub use session::{
    Client, EndOfUser, EndReason, Exchange, Lifetimes, Login, Opened, Session, SessionId,
    StoredSession,
};
