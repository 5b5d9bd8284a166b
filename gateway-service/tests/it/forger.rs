//! Access tokens that differ in one thing from a good one.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chassis::auth::TOKEN_TYPE;
use chassis::testing::tokens::TestIssuer;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::samples::CUSTOMER;

/// The order of the curve's group, the least significant byte first (RFC 8032).
const GROUP_ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// Makes tokens that differ in one thing from a good one.
pub(crate) struct Forger<'g> {
    pub(crate) issuer: &'g TestIssuer,
}

impl Forger<'_> {
    pub(crate) fn header(&self) -> Value {
        json!({"alg": "EdDSA", "typ": TOKEN_TYPE, "kid": self.issuer.key_id()})
    }

    pub(crate) fn claims(&self) -> Value {
        let user = CUSTOMER.parse().unwrap();
        serde_json::to_value(self.issuer.claims(user, &["customer"])).unwrap()
    }

    pub(crate) fn good(&self) -> String {
        self.issuer.sign_json(&self.header().to_string(), &self.claims().to_string())
    }

    /// Really signed, with these members in the header.
    pub(crate) fn with_header(&self, members: Value) -> String {
        let header = merged(self.header(), members);
        self.issuer.sign_json(&header.to_string(), &self.claims().to_string())
    }

    /// Really signed, with these claims; `null` removes one.
    pub(crate) fn with_claims(&self, members: Value) -> String {
        let claims = merged(self.claims(), members);
        self.issuer.sign_json(&self.header().to_string(), &claims.to_string())
    }

    /// Really signed, with the claims as this text.
    pub(crate) fn with_text(&self, change: impl FnOnce(String) -> String) -> String {
        self.issuer.sign_json(&self.header().to_string(), &change(self.claims().to_string()))
    }

    pub(crate) fn unsigned(&self, alg: &str) -> String {
        let header = merged(self.header(), json!({"alg": alg}));
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.", part(&header), part(&self.claims()))
    }

    /// Signed with a secret that is none.
    pub(crate) fn with_secret(&self, secret: &[u8]) -> String {
        let mut header = Header::new(Algorithm::HS256);
        header.typ = Some(TOKEN_TYPE.to_owned());
        header.kid = Some(self.issuer.key_id().to_owned());
        jsonwebtoken::encode(&header, &self.claims(), &EncodingKey::from_secret(secret)).unwrap()
    }

    /// The good token with another signature.
    pub(crate) fn with_signature(&self, change: impl FnOnce(&mut Vec<u8>)) -> String {
        let good = self.good();
        let (message, signature) = good.rsplit_once('.').unwrap();
        let mut signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        change(&mut signature);
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    pub(crate) fn public_key(&self) -> Vec<u8> {
        let jwk = serde_json::to_value(&self.issuer.key_set().keys[0]).unwrap();
        URL_SAFE_NO_PAD.decode(jwk["x"].as_str().unwrap()).unwrap()
    }
}

/// The object with these members; `null` removes one.
pub(crate) fn merged(mut object: Value, members: Value) -> Value {
    let Value::Object(members) = members else { panic!("{members} is not an object") };
    for (name, value) in members {
        match value {
            Value::Null => drop(object.as_object_mut().unwrap().remove(&name)),
            value => object[name] = value,
        }
    }
    object
}

/// Adds the group's order to the second half: a signature that a careless check accepts as well.
pub(crate) fn make_malleable(signature: &mut [u8]) {
    let mut carry = 0_u16;
    for (byte, order) in signature[32..].iter_mut().zip(GROUP_ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        [*byte, _] = sum.to_le_bytes();
        carry = sum >> 8;
    }
}
