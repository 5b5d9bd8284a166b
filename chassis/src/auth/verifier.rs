//! Verification of access tokens against the issuer's key set.
//!
//! Only successes are cached, bounded in number and time, under the digest of the token, so that
//! a memory dump holds no usable token. The last good key set is kept while the issuer is away.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, Validation};
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::keys::KeySet;
use super::last_good::LastGood;
use super::lookups::Lookups;
use super::{AuthError, Caller, Claims, KeySource, Revocations, TOKEN_TYPE, TokenFacts, strict};
use crate::backoff::Backoff;
use crate::clock::Clock;
use crate::config::TokenConfig;

/// The first pause between attempts to get the first key set; it doubles up to the longest one. A
/// token that waits to be verified is worth an attempt after the first pause already.
const FIRST_FETCH_PAUSE: Duration = Duration::from_millis(100);

/// The longest pause between those attempts.
const FIRST_FETCH_PAUSE_MAX: Duration = Duration::from_secs(2);

/// A successful verification.
#[derive(Clone)]
struct Verified {
    caller: Caller,
    expires_at: i64,
    /// The account's version when the token was issued.
    version: u64,
    /// The generation of the key set that verified it: a new one makes the entry worthless.
    generation: u64,
}

/// A key set and the number of key sets before it.
#[derive(Clone)]
struct Generation {
    number: u64,
    keys: Arc<KeySet>,
}

/// Verifies access tokens: EdDSA only, `typ: at+jwt`, issuer, audience and times.
pub struct Verifier {
    source: Arc<dyn KeySource>,
    clock: Arc<dyn Clock>,
    validation: Validation,
    leeway_s: i64,
    refresh: Duration,
    refresh_min: Duration,
    current: RwLock<Option<Generation>>,
    /// When the key set was last asked for; held during a fetch, so that there is only one.
    last_fetch: tokio::sync::Mutex<Option<Instant>>,
    generations: AtomicU64,
    /// What is refused before its time; `None`: nothing is.
    revocations: Option<Arc<Revocations>>,
    /// Where key sets are kept for the next process.
    last_good: Option<Arc<LastGood>>,
    cache: moka::sync::Cache<[u8; 32], Verified>,
    lookups: Lookups,
}

impl Verifier {
    /// Returns a verifier that has no keys yet; [`Verifier::keep_fresh`] gets them.
    pub fn new(config: &TokenConfig, source: Arc<dyn KeySource>, clock: Arc<dyn Clock>) -> Self {
        Self {
            source,
            clock,
            validation: validation(config),
            leeway_s: i64::try_from(config.leeway_s).unwrap_or(i64::MAX),
            refresh: config.jwks_refresh(),
            refresh_min: config.jwks_min_interval(),
            current: RwLock::new(None),
            last_fetch: tokio::sync::Mutex::new(None),
            generations: AtomicU64::new(0),
            revocations: None,
            last_good: None,
            cache: moka::sync::Cache::builder()
                .max_capacity(config.cache_capacity)
                .time_to_live(config.cache_ttl())
                .build(),
            lookups: Lookups::new(),
        }
    }

    /// Refuses what is revoked, also tokens that were verified before.
    #[must_use]
    pub fn refusing(mut self, revocations: Arc<Revocations>) -> Self {
        self.revocations = Some(revocations);
        self
    }

    /// Keeps key sets for the next process, and begins with that of the last one.
    #[must_use]
    pub fn keeping(mut self, last_good: Arc<LastGood>) -> Self {
        self.last_good = Some(last_good);
        self
    }

    /// Returns the caller whom `token` names, if it is acceptable now.
    pub async fn verify(&self, token: &str) -> Result<Caller, AuthError> {
        let digest: [u8; 32] = Sha256::digest(token).into();
        if let Some(verified) = self.find_verified(&digest)? {
            self.lookups.hits.increment(1);
            self.check_revocation(&verified)?;
            return Ok(verified.caller);
        }
        self.lookups.misses.increment(1);
        let (claims, generation) = self.check_signature(token).await?;
        self.check_times(&claims)?;
        let (expires_at, version) = (claims.exp, claims.ver);
        let verified = Verified { caller: caller_of(claims), expires_at, version, generation };
        self.cache.insert(digest, verified.clone());
        self.check_revocation(&verified)?;
        Ok(verified.caller)
    }

    /// Returns whom `token` names, be it over or revoked: for whoever only wants to end its session,
    /// or to know whose it was. Everything else is checked.
    pub async fn verify_spent(&self, token: &str) -> Result<Caller, AuthError> {
        let (claims, _) = self.check_signature(token).await?;
        self.check_start(&claims)?;
        Ok(caller_of(claims))
    }

    /// Whether the key set in use has these keys, neither more nor fewer.
    pub fn has_exactly(&self, key_ids: &[String]) -> bool {
        self.generation().is_some_and(|current| current.keys.has_exactly(key_ids))
    }

    /// Checks everything about a token but its times and its revocation. Returns its claims and the
    /// number of the key set that verified it.
    async fn check_signature(&self, token: &str) -> Result<(Claims, u64), AuthError> {
        let header = strict::read_header(token).map_err(AuthError::Invalid)?;
        let key_id = acceptable_key_id(&header)?;
        let generation = self.generation_with(key_id).await?;
        let key = generation.keys.find(key_id).ok_or(AuthError::Invalid("unknown key"))?;
        let decoded = jsonwebtoken::decode::<Claims>(token, key, &self.validation)
            .map_err(|error| AuthError::Invalid(reason(&error)))?;
        Ok((decoded.claims, generation.number))
    }

    fn check_revocation(&self, verified: &Verified) -> Result<(), AuthError> {
        let Some(revocations) = &self.revocations else { return Ok(()) };
        revocations.check(&TokenFacts {
            user_id: verified.caller.user_id,
            session_id: verified.caller.session_id,
            version: verified.version,
        })
    }

    /// Gets the key set and keeps it current until `stop` is cancelled.
    pub async fn keep_fresh(self: Arc<Self>, stop: CancellationToken) {
        self.adopt_last_good().await;
        let work = async {
            self.wait_for_keys().await;
            loop {
                tokio::time::sleep(self.refresh).await;
                if let Err(error) = self.refresh_now().await {
                    tracing::warn!(error = format!("{error:#}"), "keeping the last good key set");
                }
            }
        };
        let _stopped: Option<()> = stop.run_until_cancelled(work).await;
    }

    /// Asks for the first key set until there is one.
    async fn wait_for_keys(&self) {
        let mut backoff = Backoff::new(FIRST_FETCH_PAUSE, FIRST_FETCH_PAUSE_MAX);
        while let Err(error) = self.refresh_now().await {
            tracing::info!(
                error = format!("{error:#}"),
                "waiting for the key set of the token issuer"
            );
            backoff.pause().await;
        }
    }

    /// Fetches the key set now; the one in use stays when that fails.
    pub async fn refresh_now(&self) -> anyhow::Result<()> {
        let mut last_fetch = self.last_fetch.lock().await;
        *last_fetch = Some(Instant::now());
        self.fetch().await
    }

    async fn fetch(&self) -> anyhow::Result<()> {
        let set = self.source.fetch().await?;
        self.adopt(&set)?;
        if let Some(last_good) = &self.last_good {
            last_good.save_keys(&set);
        }
        Ok(())
    }

    /// Goes on with the key set of an earlier process, if there is one that may be believed, and the
    /// issuer has not told a newer one meanwhile.
    async fn adopt_last_good(&self) {
        let Some(last_good) = &self.last_good else { return };
        let Some(set) = last_good.keys().await else { return };
        let _no_fetch_meanwhile = self.last_fetch.lock().await;
        if self.generation().is_some() {
            return;
        }
        match self.adopt(&set) {
            Ok(()) => tracing::info!("beginning with the key set of an earlier process"),
            Err(error) => tracing::warn!(error = format!("{error:#}"), "last good keys not used"),
        }
    }

    fn adopt(&self, set: &JwkSet) -> anyhow::Result<()> {
        let keys = KeySet::parse(set);
        if keys.is_empty() {
            anyhow::bail!("the key set holds no usable key");
        }
        tracing::debug!(keys.count = keys.len(), "key set adopted");
        let number = self.generations.fetch_add(1, Ordering::Relaxed) + 1;
        let keys = Arc::new(keys);
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        *current = Some(Generation { number, keys });
        Ok(())
    }

    fn generation(&self) -> Option<Generation> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the key set, fetched anew when it lacks `key_id`, but not more often than allowed:
    /// otherwise whoever invents key ids makes this service hammer the issuer. Without any key set
    /// the pause is short, because nobody can be served until there is one.
    async fn generation_with(&self, key_id: &str) -> Result<Generation, AuthError> {
        let current = self.generation();
        if let Some(known) = current.filter(|known| known.keys.find(key_id).is_some()) {
            return Ok(known);
        }
        let mut last_fetch = self.last_fetch.lock().await;
        let pause = if self.generation().is_some() { self.refresh_min } else { FIRST_FETCH_PAUSE };
        let is_due = last_fetch.is_none_or(|at| at.elapsed() >= pause);
        if is_due {
            *last_fetch = Some(Instant::now());
            if let Err(error) = self.fetch().await {
                tracing::warn!(error = format!("{error:#}"), "key set not fetched");
            }
        }
        drop(last_fetch);
        self.generation().ok_or(AuthError::Unavailable)
    }

    fn find_verified(&self, digest: &[u8; 32]) -> Result<Option<Verified>, AuthError> {
        let Some(verified) = self.cache.get(digest) else {
            return Ok(None);
        };
        let generation = self.generation().map(|current| current.number);
        if generation != Some(verified.generation) {
            return Ok(None);
        }
        self.check_expiry(verified.expires_at)?;
        Ok(Some(verified))
    }

    fn check_times(&self, claims: &Claims) -> Result<(), AuthError> {
        self.check_start(claims)?;
        self.check_expiry(claims.exp)
    }

    fn check_start(&self, claims: &Claims) -> Result<(), AuthError> {
        let latest_start = self.clock.now().timestamp().saturating_add(self.leeway_s);
        if claims.iat > latest_start || claims.nbf.is_some_and(|nbf| nbf > latest_start) {
            return Err(AuthError::NotYetValid);
        }
        Ok(())
    }

    fn check_expiry(&self, expires_at: i64) -> Result<(), AuthError> {
        let now = self.clock.now().timestamp();
        if expires_at.saturating_add(self.leeway_s) <= now {
            return Err(AuthError::Expired);
        }
        Ok(())
    }
}

/// Signature, issuer and audience are the library's part; times are ours, because a test must be
/// able to say what time it is.
fn validation(config: &TokenConfig) -> Validation {
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_issuer(&[&config.issuer]);
    validation.set_audience(&[&config.audience]);
    validation.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation
}

fn acceptable_key_id(header: &strict::Header) -> Result<&str, AuthError> {
    if header.alg != "EdDSA" {
        return Err(AuthError::Invalid("algorithm"));
    }
    if header.typ.as_deref() != Some(TOKEN_TYPE) {
        return Err(AuthError::Invalid("type"));
    }
    if header.has_crit {
        return Err(AuthError::Invalid("critical extension"));
    }
    header.kid.as_deref().ok_or(AuthError::Invalid("no key id"))
}

fn reason(error: &jsonwebtoken::errors::Error) -> &'static str {
    use jsonwebtoken::errors::ErrorKind;
    match error.kind() {
        ErrorKind::InvalidSignature => "signature",
        ErrorKind::InvalidIssuer => "issuer",
        ErrorKind::InvalidAudience => "audience",
        _ => "malformed",
    }
}

fn caller_of(claims: Claims) -> Caller {
    Caller { user_id: claims.sub, session_id: claims.sid, roles: claims.roles }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize};

    use async_trait::async_trait;
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use chrono::{DateTime, TimeDelta, Utc};
    use jsonwebtoken::{EncodingKey, Header};
    use serde_json::{Value, json};

    use super::*;
    use crate::auth::FeedPage;
    use crate::id::new_id;
    use crate::testing::clock::FixedClock;
    use crate::testing::tokens::TestIssuer;

    const NOON: &str = "2026-07-01T12:00:00Z";

    fn fixed_clock() -> Arc<FixedClock> {
        Arc::new(FixedClock::new(NOON.parse::<DateTime<Utc>>().unwrap()))
    }

    fn issuer() -> (TestIssuer, Arc<FixedClock>) {
        let clock = fixed_clock();
        (TestIssuer::with_clock(clock.clone()), clock)
    }

    fn header(issuer: &TestIssuer) -> Value {
        json!({"alg": "EdDSA", "typ": "at+jwt", "kid": issuer.key_id()})
    }

    fn claims(issuer: &TestIssuer) -> Value {
        serde_json::to_value(issuer.claims(new_id(), &["customer"])).unwrap()
    }

    fn is_invalid(outcome: &Result<Caller, AuthError>) -> bool {
        matches!(outcome, Err(AuthError::Invalid(_)))
    }

    /// Verifies a token whose claims and header were changed before they were signed.
    async fn verify_changed(
        change: impl FnOnce(&mut Value, &mut Value),
    ) -> Result<Caller, AuthError> {
        let (issuer, _) = issuer();
        let (mut header, mut claims) = (header(&issuer), claims(&issuer));
        change(&mut header, &mut claims);
        let token = issuer.sign_json(&header.to_string(), &claims.to_string());
        issuer.verifier().await.verify(&token).await
    }

    #[tokio::test]
    async fn a_good_token_names_its_caller_every_time() {
        let (issuer, _) = issuer();
        let verifier = issuer.verifier().await;
        let user = new_id();
        let token = issuer.token(user, &["customer", "admin"]);
        for _ in 0..2 {
            let caller = verifier.verify(&token).await.unwrap();
            assert_eq!(caller.user_id, user);
            assert!(caller.is_admin());
        }
    }

    #[tokio::test]
    async fn times_are_judged_with_leeway() {
        let (issuer, clock) = issuer();
        let verifier = issuer.verifier().await;
        let token = issuer.token(new_id(), &[]);
        let noon: DateTime<Utc> = NOON.parse().unwrap();
        let after = |seconds| clock.set(noon + TimeDelta::seconds(seconds));
        after(-60);
        assert!(verifier.verify(&token).await.is_ok());
        after(959);
        assert!(verifier.verify(&token).await.is_ok());
        after(960);
        assert_eq!(verifier.verify(&token).await, Err(AuthError::Expired), "also from the cache");
        let fresh = issuer.verifier().await;
        assert_eq!(fresh.verify(&token).await, Err(AuthError::Expired));
        after(-61);
        assert_eq!(fresh.verify(&token).await, Err(AuthError::NotYetValid));
    }

    #[tokio::test]
    async fn a_token_is_refused_before_its_nbf() {
        let outcome = verify_changed(|_, claims| {
            claims["nbf"] = json!(claims["iat"].as_i64().unwrap() + 61);
        });
        assert_eq!(outcome.await, Err(AuthError::NotYetValid));
    }

    #[tokio::test]
    async fn claims_of_another_kind_are_refused() {
        let changes: [fn(&mut Value); 9] = [
            |claims| claims["aud"] = json!("elsewhere"),
            |claims| claims["iss"] = json!("https://elsewhere.example"),
            |claims| claims["sub"] = json!("root"),
            |claims| claims["exp"] = json!("tomorrow"),
            |claims| drop(claims.as_object_mut().unwrap().remove("exp")),
            |claims| drop(claims.as_object_mut().unwrap().remove("aud")),
            |claims| drop(claims.as_object_mut().unwrap().remove("iss")),
            |claims| drop(claims.as_object_mut().unwrap().remove("iat")),
            |claims| drop(claims.as_object_mut().unwrap().remove("sid")),
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let outcome = verify_changed(|_, claims| change(claims)).await;
            assert!(is_invalid(&outcome), "change {number}: {outcome:?}");
        }
    }

    #[tokio::test]
    async fn headers_of_another_kind_are_refused() {
        let changes: [fn(&mut Value); 8] = [
            |header| header["typ"] = json!("JWT"),
            |header| drop(header.as_object_mut().unwrap().remove("typ")),
            |header| header["alg"] = json!("none"),
            |header| header["alg"] = json!("ES256"),
            |header| drop(header.as_object_mut().unwrap().remove("kid")),
            |header| header["kid"] = json!("unheard-of"),
            |header| header["crit"] = json!(["exp"]),
            |header| header["crit"] = json!(null),
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let outcome = verify_changed(|header, _| change(header)).await;
            assert!(is_invalid(&outcome), "change {number}: {outcome:?}");
        }
    }

    #[tokio::test]
    async fn keys_named_by_the_token_itself_are_never_used() {
        let (issuer, _) = issuer();
        let forger = TestIssuer::with_clock(fixed_clock());
        let mut header = header(&issuer);
        header["jwk"] = serde_json::to_value(&forger.key_set().keys[0]).unwrap();
        header["jku"] = json!("https://forger.example/jwks.json");
        let token = forger.sign_json(&header.to_string(), &claims(&issuer).to_string());
        let outcome = issuer.verifier().await.verify(&token).await;
        assert_eq!(outcome, Err(AuthError::Invalid("signature")));
    }

    #[tokio::test]
    async fn an_unsigned_token_is_refused() {
        let (issuer, _) = issuer();
        let mut header = header(&issuer);
        header["alg"] = json!("none");
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let token = format!("{}.{}.", part(&header), part(&claims(&issuer)));
        assert!(is_invalid(&issuer.verifier().await.verify(&token).await));
    }

    #[tokio::test]
    async fn the_public_key_is_no_shared_secret() {
        let (issuer, _) = issuer();
        let public = serde_json::to_value(&issuer.key_set().keys[0]).unwrap();
        let secret = URL_SAFE_NO_PAD.decode(public["x"].as_str().unwrap()).unwrap();
        let mut header = Header::new(Algorithm::HS256);
        header.typ = Some(TOKEN_TYPE.to_owned());
        header.kid = Some(issuer.key_id().to_owned());
        let key = EncodingKey::from_secret(&secret);
        let token = jsonwebtoken::encode(&header, &claims(&issuer), &key).unwrap();
        let outcome = issuer.verifier().await.verify(&token).await;
        assert_eq!(outcome, Err(AuthError::Invalid("algorithm")));
    }

    #[tokio::test]
    async fn members_given_twice_are_refused_in_both_parts() {
        let (issuer, _) = issuer();
        let verifier = issuer.verifier().await;
        let (header, claims) = (header(&issuer).to_string(), claims(&issuer).to_string());
        let twice = |json: &str, member: &str| json.replacen('{', &format!("{{{member},"), 1);
        let doubled_header = twice(&header, r#""x":1,"x":2"#);
        let doubled_claims = twice(&claims, &format!(r#""sub":"{}""#, new_id()));
        for token in
            [issuer.sign_json(&doubled_header, &claims), issuer.sign_json(&header, &doubled_claims)]
        {
            assert!(is_invalid(&verifier.verify(&token).await));
        }
    }

    #[tokio::test]
    async fn any_changed_byte_breaks_the_token() {
        let (issuer, _) = issuer();
        let verifier = issuer.verifier().await;
        let token = issuer.token(new_id(), &["customer"]);
        for index in (0..token.len() - 1).step_by(7) {
            let mut bytes = token.clone().into_bytes();
            bytes[index] = if bytes[index] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(verifier.verify(&changed).await.is_err(), "byte {index}");
        }
    }

    /// A key source that can be switched off and to another issuer, and counts what it is asked.
    struct Switchable {
        issuers: [TestIssuer; 2],
        second: AtomicBool,
        down: AtomicBool,
        fetches: AtomicUsize,
    }

    #[async_trait]
    impl KeySource for Switchable {
        async fn fetch(&self) -> anyhow::Result<JwkSet> {
            self.fetches.fetch_add(1, Ordering::SeqCst);
            if self.down.load(Ordering::SeqCst) {
                anyhow::bail!("connection refused");
            }
            Ok(self.issuers[usize::from(self.second.load(Ordering::SeqCst))].key_set())
        }
    }

    fn switchable() -> (Arc<Switchable>, Arc<Verifier>) {
        let clock = fixed_clock();
        let issuer = || TestIssuer::with_clock(clock.clone());
        let source = Arc::new(Switchable {
            issuers: [issuer(), issuer()],
            second: AtomicBool::new(false),
            down: AtomicBool::new(false),
            fetches: AtomicUsize::new(0),
        });
        let verifier = Verifier::new(&TokenConfig::default(), source.clone(), clock.clone());
        (source, Arc::new(verifier))
    }

    #[tokio::test(start_paused = true)]
    async fn without_any_key_set_nothing_is_said_about_a_token() {
        let (source, verifier) = switchable();
        source.down.store(true, Ordering::SeqCst);
        let token = source.issuers[0].token(new_id(), &[]);
        for _ in 0..50 {
            assert_eq!(verifier.verify(&token).await, Err(AuthError::Unavailable));
        }
        assert_eq!(source.fetches.load(Ordering::SeqCst), 1, "nor is the source hammered");
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_believed_as_soon_as_its_issuer_appears() {
        let (source, verifier) = switchable();
        source.down.store(true, Ordering::SeqCst);
        let token = source.issuers[0].token(new_id(), &[]);
        assert_eq!(verifier.verify(&token).await, Err(AuthError::Unavailable));
        source.down.store(false, Ordering::SeqCst);
        tokio::time::advance(FIRST_FETCH_PAUSE).await;
        assert!(verifier.verify(&token).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_good_key_set_outlives_its_source() {
        let (source, verifier) = switchable();
        verifier.refresh_now().await.unwrap();
        source.down.store(true, Ordering::SeqCst);
        assert!(verifier.refresh_now().await.is_err());
        let token = source.issuers[0].token(new_id(), &[]);
        assert!(verifier.verify(&token).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_key_is_found_and_old_verdicts_fall_with_the_old_key() {
        let (source, verifier) = switchable();
        verifier.refresh_now().await.unwrap();
        let old = source.issuers[0].token(new_id(), &[]);
        assert!(verifier.verify(&old).await.is_ok());
        source.second.store(true, Ordering::SeqCst);
        tokio::time::advance(Duration::from_secs(10)).await;
        let new = source.issuers[1].token(new_id(), &[]);
        assert!(verifier.verify(&new).await.is_ok());
        assert!(is_invalid(&verifier.verify(&old).await), "also from the cache");
    }

    #[tokio::test(start_paused = true)]
    async fn invented_key_ids_do_not_hammer_the_source() {
        let (source, verifier) = switchable();
        verifier.refresh_now().await.unwrap();
        let forger = TestIssuer::with_clock(fixed_clock());
        for _ in 0..50 {
            assert!(is_invalid(&verifier.verify(&forger.token(new_id(), &[])).await));
        }
        assert_eq!(source.fetches.load(Ordering::SeqCst), 1);
        tokio::time::advance(Duration::from_secs(10)).await;
        for _ in 0..50 {
            assert!(is_invalid(&verifier.verify(&forger.token(new_id(), &[])).await));
        }
        assert_eq!(source.fetches.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_revoked_token_is_refused_also_when_it_was_verified_before() {
        let (issuer, clock) = issuer();
        let revocations = Arc::new(Revocations::new(clock.clone()));
        let verifier = Verifier::new(&TokenConfig::default(), Arc::new(issuer.clone()), clock)
            .refusing(Arc::clone(&revocations));
        let claims = issuer.claims(new_id(), &["customer"]);
        let token = issuer.sign(&claims);
        assert_eq!(verifier.verify(&token).await, Err(AuthError::Unavailable));
        revocations.apply(&FeedPage::default());
        for _ in 0..2 {
            assert!(verifier.verify(&token).await.is_ok());
        }
        let sessions = vec![(claims.sid, 900)];
        revocations.apply(&FeedPage { sessions, ..FeedPage::default() });
        for _ in 0..2 {
            assert_eq!(verifier.verify(&token).await, Err(AuthError::Revoked));
        }
        assert_eq!(verifier.verify_spent(&token).await.unwrap().session_id, claims.sid);
    }

    #[tokio::test]
    async fn a_spent_token_names_its_holder_and_a_forged_one_nobody() {
        let (issuer, clock) = issuer();
        let verifier = issuer.verifier().await;
        let user = new_id();
        let token = issuer.token(user, &[]);
        clock.advance(TimeDelta::days(400));
        assert_eq!(verifier.verify(&token).await, Err(AuthError::Expired));
        assert_eq!(verifier.verify_spent(&token).await.unwrap().user_id, user);
        let forged = TestIssuer::with_clock(clock.clone()).token(user, &[]);
        assert!(is_invalid(&verifier.verify_spent(&forged).await));
        clock.advance(TimeDelta::days(-401));
        assert_eq!(verifier.verify_spent(&token).await, Err(AuthError::NotYetValid));
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_begins_with_the_keys_of_the_last_one_while_the_issuer_is_away() {
        let folder = std::env::temp_dir().join(format!("eh-keys-{}", new_id()));
        let clock = fixed_clock();
        let open = || Arc::new(LastGood::open(&folder, 60, clock.clone()).unwrap());
        let (source, _) = switchable();
        let config = TokenConfig::default();
        let kept = open();
        let first = Verifier::new(&config, source.clone(), clock.clone()).keeping(kept.clone());
        first.refresh_now().await.unwrap();
        kept.flush().await;
        source.down.store(true, Ordering::SeqCst);
        let second = Verifier::new(&config, source.clone(), clock.clone()).keeping(open());
        let (second, stop) = (Arc::new(second), CancellationToken::new());
        let token = source.issuers[0].token(new_id(), &[]);
        let observed = async {
            while second.generation().is_none() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            assert!(second.verify(&token).await.is_ok());
            stop.cancel();
        };
        tokio::join!(Arc::clone(&second).keep_fresh(stop.clone()), observed);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[tokio::test]
    async fn the_keys_of_an_earlier_process_replace_none_that_the_issuer_told() {
        let folder = std::env::temp_dir().join(format!("eh-keys-{}", new_id()));
        let kept = Arc::new(LastGood::open(&folder, 60, fixed_clock()).unwrap());
        kept.save_keys(&TestIssuer::new().key_set());
        kept.flush().await;
        let (source, _) = switchable();
        let config = TokenConfig::default();
        let verifier = Verifier::new(&config, source.clone(), fixed_clock()).keeping(kept);
        verifier.refresh_now().await.unwrap();
        verifier.adopt_last_good().await;
        let token = source.issuers[0].token(new_id(), &[]);
        assert!(verifier.verify(&token).await.is_ok());
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_key_set_is_asked_for_until_it_comes() {
        let (source, verifier) = switchable();
        source.down.store(true, Ordering::SeqCst);
        let stop = CancellationToken::new();
        let observed = async {
            while source.fetches.load(Ordering::SeqCst) < 3 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            source.down.store(false, Ordering::SeqCst);
            while verifier.generation().is_none() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            stop.cancel();
        };
        tokio::join!(Arc::clone(&verifier).keep_fresh(stop.clone()), observed);
    }
}
