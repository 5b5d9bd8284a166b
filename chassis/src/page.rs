//! Page tokens: opaque, signed, and bound to the list that they continue.
//!
//! A token carries the key of the last item shown. The signature covers a scope that the caller
//! composes of everything the list depends on (user, filter, order), so a token of one list is
//! worthless on another, and nobody can make the service seek to a key of their choosing.

use std::borrow::Cow;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use crate::config::Secret;
use crate::error::{ErrorCode, ServiceError, codes};

/// Bytes of a signature: half of SHA-256, which is plenty for something that grants no access.
const TAG_BYTES: usize = 16;
/// Longest token looked at.
const MAX_TOKEN_BYTES: usize = 1_024;

/// Makes and reads page tokens. Instances that share the secret read each other's tokens.
pub struct PageCodec {
    key: hmac::Key,
}

/// A page token that is forged, damaged or meant for another list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the page token does not belong to this list")]
pub struct CursorInvalid;

impl ServiceError for CursorInvalid {
    fn code(&self) -> ErrorCode {
        codes::CURSOR_INVALID
    }

    fn detail(&self) -> Cow<'_, str> {
        self.to_string().into()
    }
}

impl PageCodec {
    /// Creates a codec that signs with `secret`.
    pub fn new(secret: &Secret) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes()) }
    }

    /// Makes the token with which the list `scope` goes on after `key`.
    pub fn encode(&self, scope: &str, key: &[u8]) -> String {
        let tag = self.tag(scope, key);
        let mut token = tag.as_ref()[..TAG_BYTES].to_vec();
        token.extend_from_slice(key);
        URL_SAFE_NO_PAD.encode(token)
    }

    /// Reads the key out of a token of the list `scope`.
    pub fn decode(&self, scope: &str, token: &str) -> Result<Vec<u8>, CursorInvalid> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(CursorInvalid);
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| CursorInvalid)?;
        let (given, key) = bytes.split_at_checked(TAG_BYTES).ok_or(CursorInvalid)?;
        let tag = self.tag(scope, key);
        // In constant time: the time must not tell how many bytes of a guess were right.
        aws_lc_rs::constant_time::verify_slices_are_equal(&tag.as_ref()[..TAG_BYTES], given)
            .map_err(|_| CursorInvalid)?;
        Ok(key.to_vec())
    }

    /// Makes the token of a list that is ordered by an identity.
    pub fn encode_uuid(&self, scope: &str, key: Uuid) -> String {
        self.encode(scope, key.as_bytes())
    }

    /// Reads the token of a list that is ordered by an identity.
    pub fn decode_uuid(&self, scope: &str, token: &str) -> Result<Uuid, CursorInvalid> {
        let key = self.decode(scope, token)?;
        Uuid::from_slice(&key).map_err(|_| CursorInvalid)
    }

    fn tag(&self, scope: &str, key: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.key);
        // The secret may sign other things too; the label keeps their signatures apart.
        context.update(b"page-token/1\0");
        // The length keeps a byte from moving between scope and key.
        context.update(&(scope.len() as u64).to_be_bytes());
        context.update(scope.as_bytes());
        context.update(key);
        context.sign()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn codec() -> PageCodec {
        PageCodec::new(&Secret::new("development-only-page-token-key-01"))
    }

    #[test]
    fn a_token_reads_back_in_its_own_list() {
        let token = codec().encode("user=1;status=PAID", b"key");
        assert_eq!(codec().decode("user=1;status=PAID", &token).unwrap(), b"key");
    }

    #[test]
    fn a_token_of_another_list_or_key_is_refused() {
        let token = codec().encode("user=1", b"key");
        assert_eq!(codec().decode("user=2", &token), Err(CursorInvalid));
        let other = PageCodec::new(&Secret::new("development-only-page-token-key-02"));
        assert_eq!(other.decode("user=1", &token), Err(CursorInvalid));
    }

    #[test]
    fn bytes_cannot_move_between_scope_and_key() {
        let token = codec().encode("ab", b"c");
        let mut bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
        bytes.insert(TAG_BYTES, b'b');
        assert_eq!(codec().decode("a", &URL_SAFE_NO_PAD.encode(bytes)), Err(CursorInvalid));
    }

    #[test]
    fn odd_texts_are_refused() {
        for text in ["", "a", "AAAA", "%%%", "é", &"A".repeat(MAX_TOKEN_BYTES + 4)] {
            assert_eq!(codec().decode("s", text), Err(CursorInvalid), "{text:.20}");
        }
        assert_eq!(CursorInvalid.code(), codes::CURSOR_INVALID);
    }

    proptest! {
        #[test]
        fn any_key_survives(scope in ".{0,40}", key in proptest::collection::vec(any::<u8>(), 0..64)) {
            let token = codec().encode(&scope, &key);
            prop_assert_eq!(codec().decode(&scope, &token), Ok(key));
        }

        #[test]
        fn any_flipped_bit_is_noticed(key in proptest::collection::vec(any::<u8>(), 0..32), at: prop::sample::Index, bit in 0..8u8) {
            let mut bytes = URL_SAFE_NO_PAD.decode(codec().encode("s", &key)).unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert_eq!(codec().decode("s", &URL_SAFE_NO_PAD.encode(bytes)), Err(CursorInvalid));
        }
    }
}
