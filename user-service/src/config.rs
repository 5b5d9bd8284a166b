//! The configuration of user-service; `config/default.toml` documents every key.

use std::num::NonZeroU32;
use std::time::Duration;

use chassis::config::{
    AmqpConfig, AttemptsConfig, AuditConfig, BaseConfig, ConfigError, DatabaseConfig,
    DiscoveryConfig, EventRole, EventsConfig, OutboxConfig, PagingConfig, Profile, RedisConfig,
    RuntimeConfig, Secret, ServerConfig, TelemetryConfig, TlsConfig, TokenConfig, UpstreamConfig,
    require_strong,
};
use chrono::TimeDelta;
use serde::Deserialize;

use crate::hasher::{Cost, HashingLimits};
use crate::model::{Email, NewPassword};
use crate::service::{FirstAdmin, TokenPolicy};

/// Memory of a hash at most: with more, a few logins would fill a machine.
const MEMORY_KIB_MAX: u32 = 1_048_576;
/// Passes of a hash at most: with more, a login would take seconds.
const PASSES_MAX: u32 = 16;
/// The least that a thread may get: the highest nice value (sched(7)).
const NICENESS_MAX: u32 = 19;
/// Longest life of a link: a week.
const LIFE_MAX_S: u32 = 604_800;

/// Everything user-service is configured with.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where it listens.
    pub server: ServerConfig,
    /// Threads.
    pub runtime: RuntimeConfig,
    /// Logs and traces.
    pub telemetry: TelemetryConfig,
    /// How it finds auth-service.
    pub discovery: DiscoveryConfig,
    /// Who it is to the other services.
    pub tls: TlsConfig,
    /// Its schema.
    pub database: DatabaseConfig,
    /// Where all replicas count wrong passwords together.
    pub redis: RedisConfig,
    /// The broker.
    pub amqp: AmqpConfig,
    /// By which keys events are signed, and whose are believed.
    pub events: EventsConfig,
    /// How events leave.
    pub outbox: OutboxConfig,
    /// Which access tokens are believed.
    pub token: TokenConfig,
    /// How auth-service is called.
    pub upstream: UpstreamConfig,
    /// The key that signs page tokens.
    pub paging: PagingConfig,
    /// What is asked of passwords, and how many are hashed and wait.
    pub passwords: PasswordsConfig,
    /// How slow guessing is.
    pub throttle: ThrottleConfig,
    /// Links that are sent by mail.
    pub links: LinksConfig,
    /// How what is sent by mail travels.
    pub mail: MailConfig,
    /// The first administrator.
    pub bootstrap: BootstrapConfig,
    /// How its audit log is sealed.
    pub audit: AuditConfig,
}

/// `[passwords]`: what a password has to be, what its hash costs, and how many may wait for a core.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PasswordsConfig {
    /// Lowest score of a new password, 0 to 4.
    pub score_min: u8,
    /// Memory of a hash in KiB.
    pub memory_kib: u32,
    /// Passes of a hash over its memory.
    pub passes: u32,
    /// Hashes that wait at most; more are refused at once.
    pub waiting_max: usize,
    /// Longest wait.
    pub wait_ms: u64,
    /// How far the threads that hash give way to others: added to their nice value, 0 to 19.
    pub niceness: u8,
}

impl PasswordsConfig {
    /// What a hash costs.
    pub fn cost(&self) -> Cost {
        Cost { memory_kib: self.memory_kib, passes: self.passes }
    }

    fn validate(&self) -> Result<(), ConfigError> {
        let ranges = [
            ("passwords.score_min", u32::from(self.score_min), 0..=4),
            ("passwords.memory_kib", self.memory_kib, Cost::LEAST.memory_kib..=MEMORY_KIB_MAX),
            ("passwords.passes", self.passes, Cost::LEAST.passes..=PASSES_MAX),
            ("passwords.niceness", u32::from(self.niceness), 0..=NICENESS_MAX),
        ];
        for (key, value, range) in ranges {
            if !range.contains(&value) {
                let (from, to) = range.into_inner();
                return Err(ConfigError::value(key, format!("must be {from} to {to}")));
            }
        }
        Ok(())
    }

    /// How many are hashed and wait at once on this machine, and how far they give way.
    pub fn limits(&self) -> HashingLimits {
        let wait_max = Duration::from_millis(self.wait_ms);
        HashingLimits::for_this_machine(self.waiting_max, wait_max, self.niceness)
    }
}

/// `[throttle]`: how slow guessing of the password in force is.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ThrottleConfig {
    /// Meters that a process keeps for itself at most.
    pub key_capacity: u64,
    /// How long Redis is left alone after it failed.
    pub redis_pause_ms: u64,
    /// Patience with a session in which the password is to be changed.
    pub password_change: AttemptsConfig,
    /// Patience with an account that asks for proofs of its address.
    pub verification: AttemptsConfig,
    /// Patience with an address for which other passwords are asked for.
    pub recovery: AttemptsConfig,
}

impl ThrottleConfig {
    /// How long Redis is left alone after it failed.
    pub fn redis_pause(&self) -> Duration {
        Duration::from_millis(self.redis_pause_ms)
    }
}

/// `[links]`: one-time tokens, which are sent as links.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinksConfig {
    /// Seconds for which a link is good that proves an address.
    pub verification_life_s: u32,
    /// Seconds for which a link is good that puts another password in force.
    pub recovery_life_s: u32,
    /// Links of one account for one purpose that are good at once, at most.
    pub live_max: NonZeroU32,
    /// Requests for another password that wait at once, at most.
    pub waiting_max: NonZeroU32,
    /// How often such requests are looked for, in milliseconds.
    pub answer_every_ms: u64,
    /// Requests that are looked at in one go, at most.
    pub answer_batch: NonZeroU32,
    /// Pause between two sweeps of what is over, in seconds.
    pub sweep_every_s: u64,
    /// Most of it that one statement forgets.
    pub sweep_batch: NonZeroU32,
}

impl LinksConfig {
    /// How often requests for another password are looked for.
    pub fn answer_every(&self) -> Duration {
        Duration::from_millis(self.answer_every_ms)
    }

    /// Pause between two sweeps of what is over.
    pub fn sweep_every(&self) -> Duration {
        Duration::from_secs(self.sweep_every_s)
    }

    /// What is granted to who asks for a link.
    pub fn policy(&self, throttle: &ThrottleConfig) -> TokenPolicy {
        TokenPolicy {
            verification_life: TimeDelta::seconds(i64::from(self.verification_life_s)),
            recovery_life: TimeDelta::seconds(i64::from(self.recovery_life_s)),
            live_max: self.live_max.get(),
            waiting_max: self.waiting_max.get(),
            verification: throttle.verification.rule(),
            recovery: throttle.recovery.rule(),
        }
    }

    fn validate(&self) -> Result<(), ConfigError> {
        let lives = [
            ("links.verification_life_s", self.verification_life_s),
            ("links.recovery_life_s", self.recovery_life_s),
        ];
        for (key, life_s) in lives {
            if !(1..=LIFE_MAX_S).contains(&life_s) {
                return Err(ConfigError::value(key, format!("must be 1 to {LIFE_MAX_S}")));
            }
        }
        let pauses = [
            ("links.answer_every_ms", self.answer_every_ms),
            ("links.sweep_every_s", self.sweep_every_s),
        ];
        let none = pauses.into_iter().find(|(_, pause)| *pause == 0);
        none.map_or(Ok(()), |(key, _)| Err(ConfigError::value(key, "must be at least 1")))
    }
}

/// `[mail]`: how address and token travel to notify-service, which sends them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailConfig {
    /// Key under which they are sealed; notify-service has to know it.
    pub sealing_key: Secret,
}

impl MailConfig {
    /// Refuses what a list of keys, which notify-service has, would read in another way.
    fn validate(&self) -> Result<(), ConfigError> {
        let key = self.sealing_key.expose();
        if key.contains(',') || key.trim() != key {
            let reason = "must have no comma, and no blank at its ends";
            return Err(ConfigError::value("mail.sealing_key", reason));
        }
        Ok(())
    }
}

/// `[bootstrap]`: the first administrator.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BootstrapConfig {
    /// The address to log in with; empty means that none is made.
    pub admin_email: Secret,
    /// The password.
    pub admin_password: Secret,
}

impl BootstrapConfig {
    /// The administrator to make, if one is configured.
    pub fn first_admin(&self) -> Result<Option<FirstAdmin>, ConfigError> {
        if self.admin_email.is_empty() && self.admin_password.is_empty() {
            return Ok(None);
        }
        let email = Email::parse(self.admin_email.expose())
            .map_err(|rule| ConfigError::value("bootstrap.admin_email", rule))?;
        let password = NewPassword::parse(self.admin_password.expose())
            .map_err(|rule| ConfigError::value("bootstrap.admin_password", rule))?;
        Ok(Some(FirstAdmin { email, password }))
    }
}

impl BaseConfig for Config {
    fn server(&self) -> &ServerConfig {
        &self.server
    }

    fn runtime(&self) -> &RuntimeConfig {
        &self.runtime
    }

    fn telemetry(&self) -> &TelemetryConfig {
        &self.telemetry
    }

    fn discovery(&self) -> &DiscoveryConfig {
        &self.discovery
    }

    fn tls(&self) -> &TlsConfig {
        &self.tls
    }

    fn validate(&self, profile: Profile) -> Result<(), ConfigError> {
        self.events.validate("user-service", EventRole::Producer, profile)?;
        self.upstream.validate()?;
        self.database.validate()?;
        self.amqp.validate()?;
        self.outbox.validate()?;
        self.redis.validate(profile)?;
        self.token.validate()?;
        self.paging.validate(profile)?;
        self.audit.validate(profile)?;
        self.passwords.validate()?;
        self.throttle.password_change.validate("throttle.password_change")?;
        self.throttle.verification.validate("throttle.verification")?;
        self.throttle.recovery.validate("throttle.recovery")?;
        self.links.validate()?;
        require_strong("mail.sealing_key", &self.mail.sealing_key, profile)?;
        self.mail.validate()?;
        self.bootstrap.first_admin().map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::App;

    fn bootstrap(email: &str, password: &str) -> BootstrapConfig {
        BootstrapConfig { admin_email: Secret::new(email), admin_password: Secret::new(password) }
    }

    #[test]
    fn no_secret_is_shown_by_debug() {
        assert_eq!(chassis::testing::config::secrets_shown::<App>(), [""; 0]);
    }

    #[test]
    fn a_retry_budget_that_pays_for_nothing_is_refused() {
        let nothing = [("UPSTREAM__RETRY_BUDGET_MAX", "0")];
        let refused = chassis::testing::config::refusal::<App>(nothing);
        assert!(refused.contains("upstream.retry_budget_max"), "{refused}");
    }

    #[test]
    fn threads_that_hash_give_way_as_far_as_threads_can() {
        let refused = chassis::testing::config::refusal::<App>([("PASSWORDS__NICENESS", "20")]);
        assert!(refused.contains("passwords.niceness`: must be 0 to 19"), "{refused}");
        let settings = [("PASSWORDS__NICENESS", "19"), ("PASSWORDS__WAIT_MS", "700")];
        let limits = chassis::testing::config::defaults_with::<App>(settings).passwords.limits();
        assert_eq!((limits.niceness, limits.wait_max), (19, Duration::from_millis(700)));
    }

    #[test]
    fn the_first_administrator_is_configured_whole_or_not_at_all() {
        assert!(bootstrap("", "").first_admin().unwrap().is_none());
        assert!(bootstrap("admin@example.com", "correct horse").first_admin().unwrap().is_some());
        let no_password = bootstrap("admin@example.com", "").first_admin().unwrap_err();
        assert!(no_password.to_string().contains("bootstrap.admin_password"));
        let no_email = bootstrap("", "correct horse").first_admin().unwrap_err();
        assert!(no_email.to_string().contains("bootstrap.admin_email"));
    }
}
