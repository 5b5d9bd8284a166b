//! The unified error vocabulary: a closed set of kinds, codes bound to a kind, and what an error
//! tells a caller.
//!
//! This module is free of any transport, so that models may use it. The gRPC image of an error is
//! in [`grpc`], the HTTP image in [`problem`]; both depend on the [`Kind`] alone, which is why the
//! edge needs to know no service's errors.

pub mod codes;
pub mod grpc;
pub mod problem;
mod validate;

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::time::Duration;

pub use grpc::{RemoteError, to_status};
pub use problem::Problem;
pub use validate::{Invalid, Validator, Violation};

/// What went wrong, as far as a caller's reaction is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The input cannot be parsed.
    Malformed,
    /// The input parses but breaks a rule.
    InvalidArgument,
    /// The caller is not known.
    Unauthenticated,
    /// The caller is known and may not do this.
    PermissionDenied,
    /// There is no such thing, or the caller may not know of it.
    NotFound,
    /// The thing exists already.
    AlreadyExists,
    /// The state of the thing refuses the operation.
    FailedPrecondition,
    /// A condition that the caller stated does not hold.
    PreconditionFailed,
    /// Another operation was in the way; trying again may succeed.
    Aborted,
    /// The caller asks too often.
    RateLimited,
    /// Something needed does not answer; trying again may succeed.
    Unavailable,
    /// The time that the caller gave is over.
    DeadlineExceeded,
    /// A defect on this side.
    Internal,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 13] = [
        Self::Malformed,
        Self::InvalidArgument,
        Self::Unauthenticated,
        Self::PermissionDenied,
        Self::NotFound,
        Self::AlreadyExists,
        Self::FailedPrecondition,
        Self::PreconditionFailed,
        Self::Aborted,
        Self::RateLimited,
        Self::Unavailable,
        Self::DeadlineExceeded,
        Self::Internal,
    ];

    /// Whether the same call may succeed when it is made again.
    pub const fn retryable(self) -> bool {
        matches!(self, Self::Unavailable | Self::Aborted)
    }

    /// The name that travels between services.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "Malformed",
            Self::InvalidArgument => "InvalidArgument",
            Self::Unauthenticated => "Unauthenticated",
            Self::PermissionDenied => "PermissionDenied",
            Self::NotFound => "NotFound",
            Self::AlreadyExists => "AlreadyExists",
            Self::FailedPrecondition => "FailedPrecondition",
            Self::PreconditionFailed => "PreconditionFailed",
            Self::Aborted => "Aborted",
            Self::RateLimited => "RateLimited",
            Self::Unavailable => "Unavailable",
            Self::DeadlineExceeded => "DeadlineExceeded",
            Self::Internal => "Internal",
        }
    }

    /// The kind that travels under `name`.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A stable, documented code of an error. Once published it is never given another meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ErrorCode {
    /// The code itself, UPPER_SNAKE and at most 63 characters, such as `ORDER_NOT_FOUND`.
    pub reason: &'static str,
    /// What kind of error it is.
    pub kind: Kind,
}

impl ErrorCode {
    /// Declares a code.
    pub const fn new(reason: &'static str, kind: Kind) -> Self {
        Self { reason, kind }
    }
}

/// An error that knows what it tells a caller.
pub trait ServiceError: Error {
    /// The code of this error.
    fn code(&self) -> ErrorCode;

    /// One sentence for the caller. Public: it names no host, no query and no secret; for
    /// [`Kind::Internal`] and [`Kind::Unavailable`] it is a constant.
    fn detail(&self) -> Cow<'_, str>;

    /// The fields at fault, when the input is.
    fn violations(&self) -> Vec<Violation> {
        Vec::new()
    }

    /// When trying again makes sense, if that is known.
    fn retry_after(&self) -> Option<Duration> {
        None
    }
}

/// Shows an error with all its sources, for logs.
pub struct Chain<'e, E: ?Sized>(pub &'e E);

impl<E: Error + ?Sized> fmt::Display for Chain<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_kinds_read_back() {
        for kind in Kind::ALL {
            assert_eq!(Kind::parse(kind.as_str()), Some(kind));
            assert_eq!(format!("{kind:?}"), kind.to_string());
        }
        assert_eq!(Kind::parse("Teapot"), None);
    }

    #[test]
    fn only_passing_conditions_are_worth_a_retry() {
        let retryable: Vec<_> = Kind::ALL.into_iter().filter(|kind| kind.retryable()).collect();
        assert_eq!(retryable, [Kind::Aborted, Kind::Unavailable]);
    }

    #[test]
    fn a_chain_shows_every_source() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot load the order")]
        struct Outer(#[source] std::io::Error);
        let error = Outer(std::io::Error::other("connection reset"));
        assert_eq!(Chain(&error).to_string(), "cannot load the order: connection reset");
    }
}
