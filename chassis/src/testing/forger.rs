//! Tokens that a client cannot get, each of which differs in one thing from a good one.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use uuid::Uuid;

use super::tokens::TestIssuer;
use crate::auth::TOKEN_TYPE;

/// The order of the curve's group, the least significant byte first (RFC 8032).
const GROUP_ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// Makes tokens that differ in one thing from a good one.
#[derive(Clone, Copy)]
pub struct Forger<'i> {
    /// Really signs, where a forgery is not about the signature.
    pub issuer: &'i TestIssuer,
    /// Whose tokens they pretend to be.
    pub user: Uuid,
}

#[expect(clippy::expect_used, reason = "a test cannot go on without its token")]
impl Forger<'_> {
    /// The header of a good token.
    pub fn header(&self) -> Value {
        json!({"alg": "EdDSA", "typ": TOKEN_TYPE, "kid": self.issuer.key_id()})
    }

    /// The claims of a good token.
    ///
    /// # Panics
    ///
    /// Never: claims are JSON.
    pub fn claims(&self) -> Value {
        let claims = self.issuer.claims(self.user, &["customer"]);
        serde_json::to_value(claims).expect("claims in JSON")
    }

    /// The good token.
    pub fn good(&self) -> String {
        self.issuer.sign_json(&self.header().to_string(), &self.claims().to_string())
    }

    /// Really signed, with these members in the header.
    pub fn with_header(&self, members: Value) -> String {
        let header = merged(self.header(), members);
        self.issuer.sign_json(&header.to_string(), &self.claims().to_string())
    }

    /// Really signed, with these claims; `null` removes one.
    pub fn with_claims(&self, members: Value) -> String {
        let claims = merged(self.claims(), members);
        self.issuer.sign_json(&self.header().to_string(), &claims.to_string())
    }

    /// Really signed, with the claims as this text.
    pub fn with_text(&self, change: impl FnOnce(String) -> String) -> String {
        self.issuer.sign_json(&self.header().to_string(), &change(self.claims().to_string()))
    }

    /// Without a signature, under this algorithm.
    pub fn unsigned(&self, alg: &str) -> String {
        format!("{}.", self.message(alg))
    }

    /// Signed by HMAC with a secret that is none (confusion of algorithms, RFC 8725, section 2.1).
    pub fn with_secret(&self, secret: &[u8]) -> String {
        let message = self.message("HS256");
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag))
    }

    /// The good token with another signature.
    ///
    /// # Panics
    ///
    /// Never: the good token has a signature.
    pub fn with_signature(&self, change: impl FnOnce(&mut Vec<u8>)) -> String {
        let good = self.good();
        let (message, signature) = good.rsplit_once('.').expect("a signature");
        let mut signature = URL_SAFE_NO_PAD.decode(signature).expect("base64");
        change(&mut signature);
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// The public key of the issuer, 32 bytes.
    ///
    /// # Panics
    ///
    /// Never: the issuer publishes it.
    pub fn public_key(&self) -> Vec<u8> {
        let keys = serde_json::to_value(self.issuer.key_set()).expect("a key set in JSON");
        let public = keys["keys"][0]["x"].as_str().expect("a public key");
        URL_SAFE_NO_PAD.decode(public).expect("base64")
    }

    fn message(&self, alg: &str) -> String {
        let header = merged(self.header(), json!({"alg": alg}));
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}", part(&header), part(&self.claims()))
    }
}

/// The object with these members; `null` removes one.
///
/// # Panics
///
/// When either is no object.
#[expect(clippy::expect_used, clippy::panic, reason = "a test says what it means")]
pub fn merged(mut object: Value, members: Value) -> Value {
    let Value::Object(members) = members else { panic!("members are an object") };
    let target = object.as_object_mut().expect("an object");
    for (name, value) in members {
        if value.is_null() {
            target.remove(&name);
        } else {
            target.insert(name, value);
        }
    }
    object
}

/// Adds the group's order to the second half: a signature that a careless check accepts as well.
///
/// # Panics
///
/// When it has no second half.
pub fn make_malleable(signature: &mut [u8]) {
    let mut carry = 0_u16;
    for (byte, order) in signature[32..].iter_mut().zip(GROUP_ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        [*byte, _] = sum.to_le_bytes();
        carry = sum >> 8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_good_token_is_accepted() {
        let issuer = TestIssuer::new();
        let forger = Forger { issuer: &issuer, user: Uuid::from_u128(7) };
        let verifier = issuer.verifier().await;
        assert_eq!(verifier.verify(&forger.good()).await.unwrap().user_id, forger.user);
        for forged in [
            forger.unsigned("none"),
            forger.with_secret(&forger.public_key()),
            forger.with_signature(|signature| make_malleable(signature)),
            forger.with_header(json!({"typ": null})),
            forger.with_claims(json!({"aud": "elsewhere"})),
            forger.with_text(|text| text.replacen('{', "[", 1)),
        ] {
            assert!(verifier.verify(&forged).await.is_err(), "{forged}");
        }
    }
}
