//! One-time tokens: who holds one receives mail at an account's address.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::{Email, Locale, User, UserId};

chassis::id_type!(
    /// Identity of a one-time token, which tells nothing of the token.
    TokenId,
    "token id"
);

chassis::id_type!(
    /// Identity of a request for another password.
    RecoveryRequestId,
    "request id"
);

/// What a token is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Proving that the address is the owner's.
    VerifyEmail,
    /// Putting another password in force.
    RecoverPassword,
}

impl Purpose {
    /// The name in storage.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::VerifyEmail => "VERIFY_EMAIL",
            Self::RecoverPassword => "RECOVER_PASSWORD",
        }
    }

    /// The name of the event that has the token delivered, which is also its routing key.
    pub const fn event(self) -> &'static str {
        match self {
            Self::VerifyEmail => "user.verification_requested",
            Self::RecoverPassword => "user.recovery_requested",
        }
    }
}

/// What a token is known by.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenDigest([u8; 32]);

impl TokenDigest {
    /// Wraps a digest.
    pub const fn new(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// The digest, for storage.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenDigest(***)")
    }
}

/// A token that is good until it is used up or its time is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveToken {
    /// Identity.
    pub id: TokenId,
    /// Whose account.
    pub user_id: UserId,
    /// What it is good for.
    pub purpose: Purpose,
    /// The address it was sent to; for another one it is good for nothing.
    pub email: Email,
    /// The account's epoch when it was made; `None`: a version that did not write it down made it.
    pub session_epoch: Option<u64>,
    /// When it is good for nothing any more.
    pub expires_at: DateTime<Utc>,
}

/// A new token, as it is stored and told. The token itself is sealed inside of what is told.
#[derive(Clone, Debug)]
pub struct IssuedToken {
    /// The token.
    pub token: LiveToken,
    /// What it is known by.
    pub digest: TokenDigest,
    /// When it was issued.
    pub issued_at: DateTime<Utc>,
    /// The language to write in.
    pub locale: Locale,
    /// Address and token, for whoever delivers it; see `proto/events`.
    pub sealed: String,
}

/// What has a token delivered.
#[derive(Clone, Debug, Serialize)]
pub struct TokenEvent<'a> {
    user_id: Uuid,
    version: u64,
    locale: &'static str,
    expires_at: DateTime<Utc>,
    sealed: &'a str,
}

impl IssuedToken {
    /// The version of every token: it never changes.
    pub const VERSION: u64 = 1;

    /// What has it delivered.
    pub fn event(&self) -> TokenEvent<'_> {
        TokenEvent {
            user_id: self.token.user_id.as_uuid(),
            version: Self::VERSION,
            locale: self.locale.as_str(),
            expires_at: self.token.expires_at,
            sealed: &self.sealed,
        }
    }
}

/// What becomes of tokens by a change of their account.
#[derive(Clone, Debug, Default)]
pub struct TokenEffect {
    /// The change hands this one out.
    pub issues: Option<IssuedToken>,
    /// The change is only allowed by this one, and uses it up.
    pub spends: Option<SpentToken>,
}

/// A token that allows a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpentToken {
    /// The token.
    pub id: TokenId,
    /// What it is good for.
    pub purpose: Purpose,
    /// When it was used; it must be good then.
    pub at: DateTime<Utc>,
}

impl LiveToken {
    /// Whether it was sent to the address that the account has now.
    pub fn is_for(&self, user: &User) -> bool {
        self.user_id == user.id() && self.email.normalized() == user.email().normalized()
    }

    /// Whether password and sessions are still those that the account had when it was made. Where
    /// the epoch is not known, that is certain of an account alone that nothing has changed since.
    pub fn is_of_this_epoch(&self, user: &User) -> bool {
        match self.session_epoch {
            Some(epoch) => epoch == user.session_epoch(),
            None => self.made_at().is_some_and(|made_at| user.updated_at() <= made_at),
        }
    }

    /// When it was made, as its identity tells, to the millisecond.
    fn made_at(&self) -> Option<DateTime<Utc>> {
        let (seconds, nanos) = self.id.as_uuid().get_timestamp()?.to_unix();
        DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanos)
    }

    /// What uses it up at `at`.
    pub fn spent(&self, at: DateTime<Utc>) -> SpentToken {
        SpentToken { id: self.id, purpose: self.purpose, at }
    }
}

/// A request for another password: for an address that an account may have or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveryRequest {
    /// Identity.
    pub id: RecoveryRequestId,
    /// The address.
    pub email: Email,
}
