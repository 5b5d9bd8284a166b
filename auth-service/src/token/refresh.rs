//! Refresh tokens as their holder has them: opaque.

use std::fmt;

use chassis::opaque::OpaqueToken;

use crate::model::{SessionError, TokenDigest};

/// A refresh token. Its `Debug` form shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct RefreshSecret(OpaqueToken);

impl RefreshSecret {
    /// Draws a new token.
    pub fn generate() -> Result<Self, SessionError> {
        OpaqueToken::generate().map(Self).map_err(SessionError::internal)
    }

    /// Takes what a client presented. `None` when it can be no refresh token.
    pub fn parse(text: &str) -> Option<Self> {
        OpaqueToken::parse(text).map(Self)
    }

    /// The token itself, for its holder.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// What the token is known by.
    pub fn digest(&self) -> TokenDigest {
        TokenDigest::new(self.0.digest())
    }
}

impl fmt::Debug for RefreshSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshSecret(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_and_does_not_print() {
        let token = RefreshSecret::generate().unwrap();
        let presented = RefreshSecret::parse(token.expose()).unwrap();
        assert_eq!(presented.digest(), token.digest());
        assert_eq!(format!("{token:?}"), "RefreshSecret(***)");
    }
}
