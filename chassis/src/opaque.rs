//! Opaque tokens as their holder has them: 256 random bits in base64url, good for whatever their digest is
//! stored for.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::error::Unspecified;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Length of the secret in bytes.
const LENGTH: usize = 32;
/// Length of its text form.
const TEXT_LENGTH: usize = 43;

/// There are no random numbers.
#[derive(Debug, thiserror::Error)]
#[error("no random numbers are to be had")]
pub struct NoRandomness(#[from] Unspecified);

/// An opaque token. Its `Debug` form shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct OpaqueToken(String);

impl OpaqueToken {
    /// Draws a new token.
    pub fn generate() -> Result<Self, NoRandomness> {
        let mut bytes = [0_u8; LENGTH];
        aws_lc_rs::rand::fill(&mut bytes)?;
        Ok(Self(URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// Takes what somebody presented. `None` when it can be no token.
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
    pub fn digest(&self) -> [u8; 32] {
        let mut bytes = [0_u8; 32];
        bytes.copy_from_slice(digest(&SHA256, self.0.as_bytes()).as_ref());
        bytes
    }
}

impl fmt::Debug for OpaqueToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpaqueToken(***)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_token_reads_back_and_no_two_are_the_same() {
        let [first, second] = [(), ()].map(|()| OpaqueToken::generate().unwrap());
        assert_ne!(first.digest(), second.digest());
        let presented = OpaqueToken::parse(first.expose()).unwrap();
        assert_eq!(presented.digest(), first.digest());
        assert_eq!(format!("{first:?}"), "OpaqueToken(***)");
    }

    #[test]
    fn what_is_no_token_is_not_looked_up() {
        let token = OpaqueToken::generate().unwrap();
        let padded = format!("{}=", token.expose());
        let jwt = "eyJhbGciOiJFZERTQSJ9.e30.c2ln";
        for text in ["", "a", &token.expose()[1..], &padded, jwt, &"+".repeat(43), &"é".repeat(22)]
        {
            assert_eq!(OpaqueToken::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_input_makes_the_parser_panic(text in "(?s).{0,80}") {
            let _ = OpaqueToken::parse(&text);
        }
    }
}
