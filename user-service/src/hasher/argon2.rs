//! Adapter: argon2id at a configured cost, at least the one that OWASP names (19 MiB, two passes,
//! one lane).
//!
//! The places of a hash are held by the closure that does the work, not by the caller: a caller who
//! goes away must not let the next one start while the work still runs.

use argon2::password_hash::phc;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use async_trait::async_trait;

use super::queue::{HashingLimits, Queue};
use super::threads::Threads;
use super::{PasswordHasher, Verdict};
use crate::model::{PasswordHash, TypedPassword, UserError};

/// Independent lanes: one, because a hash runs on one core.
const LANES: u32 = 1;

/// Counts the KiB that hashes have walked through. Whether two refusals took the same work is seen by
/// it, without a clock.
const WORK: &str = "eh_password_work_kib_total";

/// What one hash costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
}

impl Cost {
    /// The least that OWASP names for argon2id (Password Storage Cheat Sheet).
    pub const LEAST: Self = Self { memory_kib: 19_456, passes: 2 };

    fn of(params: &Params) -> Self {
        Self { memory_kib: params.m_cost(), passes: params.t_cost() }
    }

    fn params(self) -> Result<Params, UserError> {
        Params::new(self.memory_kib, self.passes, LANES, None)
            .map_err(|error| UserError::internal(error.to_string()))
    }

    /// The KiB that a hash walks through, which is what it takes its time for.
    fn work(self) -> u64 {
        u64::from(self.memory_kib) * u64::from(self.passes)
    }

    /// What a hash of this cost lacks to one of cost `other`; no more memory is taken than `other`
    /// does.
    fn missing_to(self, other: Self) -> Option<Self> {
        let missing = other.work().checked_sub(self.work())?;
        let passes = missing.div_ceil(u64::from(other.memory_kib)).max(1);
        let memory_kib = u32::try_from(missing / passes).ok()?;
        let passes = u32::try_from(passes).ok()?;
        (memory_kib >= Params::MIN_M_COST).then_some(Self { memory_kib, passes })
    }
}

/// Hashes with argon2id on a bounded number of threads.
pub struct Argon2Hasher {
    argon2: Argon2<'static>,
    cost: Cost,
    queue: Queue,
    threads: Threads,
    /// The hash of a password that nobody has, checked when there is no account.
    dummy: PasswordHash,
}

impl Argon2Hasher {
    /// Makes the hasher; costs one hash, for the accounts that do not exist.
    pub fn new(cost: Cost, limits: HashingLimits) -> Result<Self, UserError> {
        let argon2 = argon2(cost)?;
        let dummy = hash(&argon2, chassis::id::new_id().as_bytes())?;
        let threads =
            Threads::new(limits.running_max, limits.niceness).map_err(UserError::internal)?;
        Ok(Self { argon2, cost, queue: Queue::new(limits), threads, dummy })
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Argon2<'static>) -> Result<T, UserError> + Send + 'static,
    ) -> Result<T, UserError> {
        let places = self.queue.enter().await?;
        let argon2 = self.argon2.clone();
        let span = tracing::Span::current();
        let work = move || {
            let _places = places;
            span.in_scope(|| work(&argon2))
        };
        self.threads.run(work).await
    }
}

#[async_trait]
impl PasswordHasher for Argon2Hasher {
    async fn hash(&self, password: &TypedPassword) -> Result<PasswordHash, UserError> {
        let (password, cost) = (password.clone(), self.cost);
        self.run(move |argon2| {
            let hash = hash(argon2, password.expose().as_bytes())?;
            metrics::counter!(WORK).increment(cost.work());
            Ok(hash)
        })
        .await
    }

    async fn verify(
        &self,
        password: &TypedPassword,
        hash: Option<&PasswordHash>,
    ) -> Result<Verdict, UserError> {
        let is_known = hash.is_some();
        let password = password.clone();
        let hash = hash.unwrap_or(&self.dummy).clone();
        let cost = self.cost;
        let verdict = self.run(move |argon2| {
            let (verdict, work) = verify(argon2, cost, &password, &hash)?;
            metrics::counter!(WORK).increment(work);
            Ok(verdict)
        });
        let verdict = verdict.await?;
        Ok(if is_known { verdict } else { Verdict::Wrong })
    }
}

fn hash(argon2: &Argon2<'_>, password: &[u8]) -> Result<PasswordHash, UserError> {
    let hash: phc::PasswordHash =
        argon2.hash_password(password).map_err(|error| UserError::internal(error.to_string()))?;
    Ok(PasswordHash::new(hash.to_string()))
}

fn argon2(cost: Cost) -> Result<Argon2<'static>, UserError> {
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, cost.params()?))
}

/// What the check shows, and the work that it took.
fn verify(
    argon2: &Argon2<'_>,
    cost: Cost,
    password: &TypedPassword,
    hash: &PasswordHash,
) -> Result<(Verdict, u64), UserError> {
    let parsed = phc::PasswordHash::new(hash.as_str())
        .map_err(|error| UserError::internal(error.to_string()))?;
    let params =
        Params::try_from(&parsed.params).map_err(|error| UserError::internal(error.to_string()))?;
    let of_hash = Cost::of(&params);
    let missing = of_hash.missing_to(cost);
    let matches = match argon2.verify_password(password.expose().as_bytes(), &parsed) {
        Ok(()) => true,
        Err(argon2::password_hash::Error::PasswordInvalid) => false,
        Err(error) => return Err(UserError::internal(error.to_string())),
    };
    if let Some(missing) = missing {
        spend(missing)?;
    }
    let verdict = match (matches, missing) {
        (false, _) => Verdict::Wrong,
        (true, None) => Verdict::Right,
        (true, Some(_)) => Verdict::RightButOutdated,
    };
    Ok((verdict, of_hash.work() + missing.map_or(0, Cost::work)))
}

/// Works as a hash of this cost does, for nothing but the time.
fn spend(cost: Cost) -> Result<(), UserError> {
    let mut out = [0; 32];
    argon2(cost)?
        .hash_password_into(b"for nothing but the time", b"nobody's salt...", &mut out)
        .map_err(|error| UserError::internal(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LIMITS: HashingLimits = HashingLimits {
        running_max: 1,
        waiting_max: 8,
        wait_max: Duration::from_secs(10),
        niceness: 0,
    };

    fn hasher() -> Argon2Hasher {
        Argon2Hasher::new(Cost::LEAST, LIMITS).unwrap()
    }

    fn typed(text: &str) -> TypedPassword {
        TypedPassword::parse(text).unwrap()
    }

    #[tokio::test]
    async fn a_password_is_recognised_and_another_is_not() {
        let hasher = hasher();
        let hash = hasher.hash(&typed("  pässwörd\0🔑 ")).await.unwrap();
        let verdict = hasher.verify(&typed("  pässwörd\0🔑 "), Some(&hash)).await.unwrap();
        assert_eq!(verdict, Verdict::Right);
        let verdict = hasher.verify(&typed("  pässwörd\0🔑"), Some(&hash)).await.unwrap();
        assert_eq!(verdict, Verdict::Wrong);
        assert_eq!(hasher.verify(&typed("anything"), None).await.unwrap(), Verdict::Wrong);
    }

    #[tokio::test]
    async fn the_stored_form_states_the_cost_and_a_fresh_salt() {
        let hasher = hasher();
        let first = hasher.hash(&typed("same password")).await.unwrap();
        let second = hasher.hash(&typed("same password")).await.unwrap();
        assert!(first.as_str().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(first.as_str().len() <= 160, "does not fit its column");
        assert_ne!(first, second);
    }

    #[tokio::test]
    async fn a_hash_is_outdated_when_more_is_asked_of_a_new_one() {
        let old = hasher();
        let hash = old.hash(&typed("some password")).await.unwrap();
        let cost = Cost { passes: 3, ..Cost::LEAST };
        let new = Argon2Hasher::new(cost, LIMITS).unwrap();
        let verdict = new.verify(&typed("some password"), Some(&hash)).await.unwrap();
        assert_eq!(verdict, Verdict::RightButOutdated);
        let verdict = new.verify(&typed("another one"), Some(&hash)).await.unwrap();
        assert_eq!(verdict, Verdict::Wrong);
        let renewed = new.hash(&typed("some password")).await.unwrap();
        let verdict = old.verify(&typed("some password"), Some(&renewed)).await.unwrap();
        assert_eq!(verdict, Verdict::Right, "a costlier one is not outdated");
    }

    #[test]
    fn what_a_cheaper_hash_lacks_is_made_up_for() {
        let target = Cost { memory_kib: 65_536, passes: 3 };
        let missing = Cost::LEAST.missing_to(target).unwrap();
        assert_eq!((missing.memory_kib, missing.passes), (52_565, 3));
        assert_eq!(target.missing_to(target), None);
        assert_eq!(target.missing_to(Cost::LEAST), None);
    }

    #[test]
    fn a_wrong_password_takes_as_much_work_without_an_account_as_with_one() {
        let cost = Cost { memory_kib: 20_000, passes: 3 };
        let hasher = Argon2Hasher::new(cost, LIMITS).unwrap();
        let work = |hash: &PasswordHash| {
            let wrong = typed("a wrong password");
            let (verdict, work) = verify(&hasher.argon2, cost, &wrong, hash).unwrap();
            assert_eq!(verdict, Verdict::Wrong);
            work
        };
        let known = hash(&hasher.argon2, b"the right password").unwrap();
        assert_eq!(work(&known), cost.work());
        assert_eq!(work(&hasher.dummy), cost.work());
        // Whole KiB in each pass.
        let older = hash(&argon2(Cost::LEAST).unwrap(), b"the right password").unwrap();
        assert!((0..3).contains(&(cost.work() - work(&older))));
    }

    #[tokio::test]
    async fn a_hash_that_finds_no_place_is_refused_and_the_next_one_is_made() {
        let limits = HashingLimits { waiting_max: 0, ..LIMITS };
        let hasher = Argon2Hasher::new(Cost::LEAST, limits).unwrap();
        let busy = hasher.queue.enter().await.unwrap();
        let refused = hasher.hash(&typed("some password")).await;
        assert!(matches!(refused, Err(UserError::Overloaded { .. })));
        drop(busy);
        assert!(hasher.hash(&typed("some password")).await.is_ok());
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_hash_is_made_as_nice_as_is_configured() {
        let niceness = || rustix::process::getpriority_process(None).map_err(UserError::internal);
        let limits = HashingLimits { niceness: 7, ..LIMITS };
        let hasher = Argon2Hasher::new(Cost::LEAST, limits).unwrap();
        let hashing = hasher.run(move |_| niceness()).await.unwrap();
        assert_eq!(hashing, (niceness().unwrap() + 7).min(19));
    }

    #[tokio::test]
    async fn a_damaged_hash_is_a_defect_and_not_a_wrong_password() {
        let hasher = hasher();
        let damaged = PasswordHash::new("$argon2id$nonsense");
        let verified = hasher.verify(&typed("some password"), Some(&damaged)).await;
        assert!(matches!(verified, Err(UserError::Internal { .. })));
    }
}
