//! Refresh tokens as their holder has them: 256 random bits, opaque.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::model::{SessionError, TokenDigest};

/// Length of the secret in bytes.
const LENGTH: usize = 32;
/// Length of its text form.
const TEXT_LENGTH: usize = 43;

/// A refresh token. Its `Debug` form shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct RefreshSecret(String);

impl RefreshSecret {
    /// Draws a new token.
    pub fn generate() -> Result<Self, SessionError> {
        let mut bytes = [0_u8; LENGTH];
        aws_lc_rs::rand::fill(&mut bytes).map_err(SessionError::internal)?;
        Ok(Self(URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// Takes what a client presented. `None` when it can be no refresh token.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != TEXT_LENGTH {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        (bytes.len() == LENGTH).then(|| Self(text.to_owned()))
    }

    /// The token itself, for its holder.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What the token is known by. Plain SHA-256 is enough: there is nothing to guess in 256
    /// random bits.
    pub fn digest(&self) -> TokenDigest {
        let mut bytes = [0_u8; 32];
        bytes.copy_from_slice(digest(&SHA256, self.0.as_bytes()).as_ref());
        TokenDigest::new(bytes)
    }
}

impl fmt::Debug for RefreshSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshSecret(***)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_token_reads_back_and_no_two_are_the_same() {
        let [first, second] = [(), ()].map(|()| RefreshSecret::generate().unwrap());
        assert_ne!(first.digest(), second.digest());
        let presented = RefreshSecret::parse(first.expose()).unwrap();
        assert_eq!(presented.digest(), first.digest());
        assert_eq!(format!("{first:?}"), "RefreshSecret(***)");
    }

    #[test]
    fn what_is_no_token_is_not_looked_up() {
        let token = RefreshSecret::generate().unwrap();
        let padded = format!("{}=", token.expose());
        let jwt = "eyJhbGciOiJFZERTQSJ9.e30.c2ln";
        for text in ["", "a", &token.expose()[1..], &padded, jwt, &"+".repeat(43), &"é".repeat(22)]
        {
            assert_eq!(RefreshSecret::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_input_makes_the_parser_panic(text in "(?s).{0,80}") {
            let _ = RefreshSecret::parse(&text);
        }
    }
}
