//! Access tokens: as they come, and with a good signature over odd contents.

use std::sync::Arc;

use chassis::testing::clock::FixedClock;
use chassis::testing::forger::Forger;
use chassis::testing::tokens::TestIssuer;
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};
use uuid::Uuid;

use crate::engine::{Target, fuzz};

/// What stands for the id of the issuer's key in the corpus.
const KEY_ID: &str = "$KID";
const WORDS: [&str; 20] = [
    "EdDSA",
    "none",
    "HS256",
    "at+jwt",
    "JWT",
    "\"kid\":",
    "\"crit\":[\"b64\"]",
    "\"b64\":false",
    "\"jwk\":{}",
    "\"sub\":",
    "\"aud\":[]",
    "\"exp\":",
    "\"nbf\":",
    "\"iat\":",
    "\"roles\":[]",
    "null",
    ".",
    "..",
    "e30",
    "=",
];

fn setup() -> (TestIssuer, Runtime) {
    let issuer = TestIssuer::with_clock(Arc::new(FixedClock::default()));
    (issuer, Builder::new_current_thread().enable_all().build().unwrap())
}

/// Nobody else can make a token: whatever is made of a good one is refused.
#[test]
fn a140_access_tokens() {
    let (issuer, runtime) = setup();
    let verifier = runtime.block_on(issuer.verifier());
    let forger = Forger { issuer: &issuer, user: Uuid::from_u128(7) };
    let good = forger.good();
    let seeds = vec![good.clone().into_bytes()];
    fuzz(&Target { name: "tokens", words: &WORDS, seeds }, |input| {
        let text = String::from_utf8_lossy(input);
        match runtime.block_on(verifier.verify(&text)) {
            Ok(_) => {
                assert_eq!(text, good, "a made-up token is believed");
                "accepted".to_owned()
            }
            Err(error) => error.to_string(),
        }
    });
}

/// What the issuer itself would never sign is read by the same rules: a claim that is believed says
/// what it has to say, once.
#[test]
fn a140_claims() {
    let (issuer, runtime) = setup();
    let verifier = runtime.block_on(issuer.verifier());
    let forger = Forger { issuer: &issuer, user: Uuid::from_u128(7) };
    let header = forger.header().to_string().replace(issuer.key_id(), KEY_ID);
    let seeds = vec![format!("{header}\n{}", forger.claims()).into_bytes()];
    fuzz(&Target { name: "claims", words: &WORDS, seeds }, |input| {
        let text = String::from_utf8_lossy(input).replace(KEY_ID, issuer.key_id());
        let (header, claims) = text.split_once('\n').unwrap_or((text.as_str(), ""));
        let token = issuer.sign_json(header, claims);
        let caller = match runtime.block_on(verifier.verify(&token)) {
            Ok(caller) => caller,
            Err(error) => return error.to_string(),
        };
        let header: Value = serde_json::from_str(header).unwrap();
        let claims: Value = serde_json::from_str(claims).unwrap();
        assert_eq!(header["alg"], "EdDSA");
        assert_eq!(header["kid"], issuer.key_id());
        assert!(header.get("crit").is_none(), "{header}");
        assert_eq!(claims["iss"], issuer.config().issuer);
        assert_eq!(claims["sub"].as_str().unwrap().parse(), Ok(caller.user_id));
        assert!(claims["exp"].is_i64(), "{claims}");
        "accepted".to_owned()
    });
}
