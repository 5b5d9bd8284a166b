//! Adapter: argon2id at the cost that OWASP names (19 MiB, two passes, one lane).
//!
//! One hash takes tens of milliseconds of a core, so hashes run on blocking threads, at most
//! `cores - 1` at once: the runtime's own pool would allow 512, each with its 19 MiB. A permit is
//! held by the closure that does the work, not by the caller: a caller who goes away must not let
//! the next one start while the work still runs.

use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::phc;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use async_trait::async_trait;
use chassis::grpc::context;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::PasswordHasher;
use crate::model::{PasswordHash, TypedPassword, UserError};

/// Memory in KiB.
const MEMORY_KIB: u32 = 19_456;
/// Passes over the memory.
const PASSES: u32 = 2;
/// Independent lanes.
const LANES: u32 = 1;

/// How many hashes run and wait.
#[derive(Clone, Copy, Debug)]
pub struct HashingLimits {
    /// Hashes that run at once.
    pub running_max: usize,
    /// Hashes that wait for a place at most; more are refused at once.
    pub waiting_max: usize,
    /// How long one waits for a place at most.
    pub wait_max: Duration,
}

impl HashingLimits {
    /// One core stays free for everything else.
    pub fn for_this_machine(waiting_max: usize, wait_max: Duration) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self { running_max: cores.saturating_sub(1).max(1), waiting_max, wait_max }
    }
}

/// Hashes with argon2id on a bounded number of threads.
pub struct Argon2Hasher {
    argon2: Argon2<'static>,
    limits: HashingLimits,
    /// Places for what runs or waits; none left means refusal at once.
    places: Arc<Semaphore>,
    /// Places for what runs.
    running: Arc<Semaphore>,
    /// The hash of a password that nobody has, checked when there is no account.
    dummy: PasswordHash,
}

/// The places that one hash occupies until it is done.
struct Places {
    _place: OwnedSemaphorePermit,
    _running: OwnedSemaphorePermit,
}

impl Argon2Hasher {
    /// Makes the hasher; costs one hash, for the accounts that do not exist.
    pub fn new(limits: HashingLimits) -> Result<Self, UserError> {
        let params = Params::new(MEMORY_KIB, PASSES, LANES, None)
            .map_err(|e| UserError::internal(e.to_string()))?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let dummy = hash(&argon2, chassis::id::new_id().as_bytes())?;
        Ok(Self {
            argon2,
            limits,
            places: Arc::new(Semaphore::new(limits.running_max + limits.waiting_max)),
            running: Arc::new(Semaphore::new(limits.running_max)),
            dummy,
        })
    }

    async fn wait_for_places(&self) -> Result<Places, UserError> {
        let overloaded = || UserError::Overloaded { retry_after: self.limits.wait_max };
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| overloaded())?;
        let left = context::remaining().unwrap_or(self.limits.wait_max);
        let wait = left.min(self.limits.wait_max);
        let running = tokio::time::timeout(wait, Arc::clone(&self.running).acquire_owned())
            .await
            .map_err(|_| overloaded())?
            .map_err(UserError::internal)?;
        Ok(Places { _place: place, _running: running })
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Argon2<'static>) -> Result<T, UserError> + Send + 'static,
    ) -> Result<T, UserError> {
        let places = self.wait_for_places().await?;
        let argon2 = self.argon2.clone();
        let span = tracing::Span::current();
        let done = tokio::task::spawn_blocking(move || {
            let _places = places;
            span.in_scope(|| work(&argon2))
        });
        done.await.map_err(UserError::internal)?
    }
}

#[async_trait]
impl PasswordHasher for Argon2Hasher {
    async fn hash(&self, password: &TypedPassword) -> Result<PasswordHash, UserError> {
        let password = password.clone();
        self.run(move |argon2| hash(argon2, password.expose().as_bytes())).await
    }

    async fn verify(
        &self,
        password: &TypedPassword,
        hash: Option<&PasswordHash>,
    ) -> Result<bool, UserError> {
        let is_known = hash.is_some();
        let password = password.clone();
        let hash = hash.unwrap_or(&self.dummy).clone();
        let matches = self.run(move |argon2| verify(argon2, &password, &hash)).await?;
        Ok(matches && is_known)
    }
}

fn hash(argon2: &Argon2<'_>, password: &[u8]) -> Result<PasswordHash, UserError> {
    let hash: phc::PasswordHash =
        argon2.hash_password(password).map_err(|error| UserError::internal(error.to_string()))?;
    Ok(PasswordHash::new(hash.to_string()))
}

fn verify(
    argon2: &Argon2<'_>,
    password: &TypedPassword,
    hash: &PasswordHash,
) -> Result<bool, UserError> {
    let parsed = phc::PasswordHash::new(hash.as_str())
        .map_err(|error| UserError::internal(error.to_string()))?;
    match argon2.verify_password(password.expose().as_bytes(), &parsed) {
        Ok(()) => Ok(true),
        Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
        Err(error) => Err(UserError::internal(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hasher(running_max: usize, waiting_max: usize, wait_max: Duration) -> Argon2Hasher {
        Argon2Hasher::new(HashingLimits { running_max, waiting_max, wait_max }).unwrap()
    }

    fn typed(text: &str) -> TypedPassword {
        TypedPassword::parse(text).unwrap()
    }

    #[tokio::test]
    async fn a_password_is_recognised_and_another_is_not() {
        let hasher = hasher(1, 8, Duration::from_secs(10));
        let hash = hasher.hash(&typed("  pässwörd\0🔑 ")).await.unwrap();
        assert!(hasher.verify(&typed("  pässwörd\0🔑 "), Some(&hash)).await.unwrap());
        assert!(!hasher.verify(&typed("  pässwörd\0🔑"), Some(&hash)).await.unwrap());
        assert!(!hasher.verify(&typed("anything"), None).await.unwrap());
    }

    #[tokio::test]
    async fn the_stored_form_states_the_cost_and_a_fresh_salt() {
        let hasher = hasher(1, 8, Duration::from_secs(10));
        let first = hasher.hash(&typed("same password")).await.unwrap();
        let second = hasher.hash(&typed("same password")).await.unwrap();
        assert!(first.as_str().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(first.as_str().len() <= 160, "does not fit its column");
        assert_ne!(first, second);
    }

    #[tokio::test]
    async fn what_does_not_fit_into_the_queue_is_refused_at_once() {
        let hasher = hasher(1, 0, Duration::from_secs(3));
        let busy = hasher.wait_for_places().await.unwrap();
        let refused = hasher.hash(&typed("some password")).await;
        assert!(
            matches!(refused, Err(UserError::Overloaded { retry_after }) if retry_after.as_secs() == 3)
        );
        drop(busy);
        assert!(hasher.hash(&typed("some password")).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_longer_than_the_limit() {
        let hasher = hasher(1, 1, Duration::from_millis(500));
        let _busy = hasher.wait_for_places().await.unwrap();
        let waited = tokio::time::Instant::now();
        assert!(matches!(hasher.wait_for_places().await, Err(UserError::Overloaded { .. })));
        assert_eq!(waited.elapsed(), Duration::from_millis(500));
        // Whoever gave up has left the queue.
        assert!(matches!(hasher.wait_for_places().await, Err(UserError::Overloaded { .. })));
    }

    #[tokio::test]
    async fn a_damaged_hash_is_a_defect_and_not_a_wrong_password() {
        let hasher = hasher(1, 8, Duration::from_secs(10));
        let damaged = PasswordHash::new("$argon2id$nonsense");
        let verified = hasher.verify(&typed("some password"), Some(&damaged)).await;
        assert!(matches!(verified, Err(UserError::Internal { .. })));
    }

    #[test]
    fn one_core_stays_free() {
        let limits = HashingLimits::for_this_machine(64, Duration::from_secs(2));
        assert!(limits.running_max >= 1);
    }
}
