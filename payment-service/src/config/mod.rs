//! The configuration of this service; `config/default.toml` is its documentation.

mod ledger;
mod provider;

pub use ledger::LedgerConfig;
pub use provider::{ProviderConfig, ProviderKind};

use std::time::Duration;

use chassis::config::{
    AmqpConfig, AuditConfig, BaseConfig, ConfigError, DatabaseConfig, DiscoveryConfig, EventRole,
    EventsConfig, OutboxConfig, Profile, RuntimeConfig, Secret, ServerConfig, TelemetryConfig,
    TlsConfig, TokenConfig, UpstreamConfig, require_strong,
};
use chrono::TimeDelta;
use serde::Deserialize;

use crate::model::CallbackKeys;
use crate::repository::Pauses;
use crate::service::Policy;

/// Every section.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the process listens.
    pub server: ServerConfig,
    /// How it uses the machine.
    pub runtime: RuntimeConfig,
    /// Logs and traces.
    pub telemetry: TelemetryConfig,
    /// How services find each other.
    pub discovery: DiscoveryConfig,
    /// Who it is to the other services.
    pub tls: TlsConfig,
    /// The schema of this service.
    pub database: DatabaseConfig,
    /// The broker.
    pub amqp: AmqpConfig,
    /// By which keys events are signed, and whose are believed.
    pub events: EventsConfig,
    /// How the outbox is emptied.
    pub outbox: OutboxConfig,
    /// Which access tokens are believed.
    pub token: TokenConfig,
    /// How auth-service is called.
    pub upstream: UpstreamConfig,
    /// The payment provider.
    pub provider: ProviderConfig,
    /// The provider's callbacks.
    pub callback: CallbackConfig,
    /// The reconciliation with the provider.
    pub reconcile: ReconcileConfig,
    /// The comparison with the provider's ledger.
    pub ledger: LedgerConfig,
    /// How payments that are not at rest are counted.
    pub census: CensusConfig,
    /// How its audit log is sealed.
    pub audit: AuditConfig,
}

/// `[callback]`: which callbacks are believed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallbackConfig {
    /// Keys of signatures, the current one first.
    #[serde(deserialize_with = "chassis::config::list::secrets")]
    pub keys: Vec<Secret>,
    /// Largest age, and largest lead, of a signature.
    pub tolerance_s: u64,
    /// How long callbacks are kept.
    pub keep_d: u32,
    /// Pause between two sweeps of callbacks that are older.
    pub sweep_every_s: u64,
    /// Callbacks of an order that are listed at most.
    pub list_max: u32,
}

impl CallbackConfig {
    /// Pause between two sweeps.
    pub fn sweep_every(&self) -> Duration {
        Duration::from_secs(self.sweep_every_s)
    }
}

/// `[reconcile]`: when the provider is asked about payments that are not settled.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReconcileConfig {
    /// Pause between two rounds of a worker.
    pub interval_ms: u64,
    /// Payments looked at in one round, all at once.
    pub batch: u32,
    /// Time until a payment is looked at first, and the lease of the worker that looks.
    pub first_ms: u64,
    /// Longest time between two looks at the same payment.
    pub max_ms: u64,
}

impl ReconcileConfig {
    /// Pause between two rounds of a worker.
    pub fn interval(&self) -> Duration {
        Duration::from_millis(self.interval_ms)
    }
}

/// `[census]`: how payments that are not at rest are counted.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CensusConfig {
    /// Pause between two counts, which one replica makes.
    pub every_s: u64,
    /// Payments that are counted at most.
    pub max: u32,
}

impl CensusConfig {
    /// Pause between two counts.
    pub fn every(&self) -> Duration {
        Duration::from_secs(self.every_s)
    }
}

impl Config {
    /// The times that the use cases go by.
    pub fn policy(&self) -> Policy {
        Policy {
            provider_timeout: self.provider.timeout(),
            callback_tolerance: Duration::from_secs(self.callback.tolerance_s),
            callback_keep: TimeDelta::days(i64::from(self.callback.keep_d)),
            pauses: Pauses {
                first: Duration::from_millis(self.reconcile.first_ms),
                max: Duration::from_millis(self.reconcile.max_ms),
            },
            batch: self.reconcile.batch,
            callbacks_max: self.callback.list_max,
            census_max: self.census.max,
            review: self.ledger.policy(),
        }
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
        self.events.validate("payment-service", EventRole::Producer, profile)?;
        self.upstream.validate()?;
        self.database.validate()?;
        self.amqp.validate()?;
        self.outbox.validate()?;
        self.token.validate()?;
        if !(1..=CallbackKeys::COUNT_MAX).contains(&self.callback.keys.len()) {
            let message = format!("must hold 1 to {} keys", CallbackKeys::COUNT_MAX);
            return Err(ConfigError::value("callback.keys", message));
        }
        for key in &self.callback.keys {
            require_strong("callback.keys", key, profile)?;
        }
        if self.callback.keep_d == 0 || self.callback.sweep_every_s == 0 {
            let message = "needs a keep_d and a sweep_every_s above 0";
            return Err(ConfigError::value("callback", message));
        }
        if !(1..=1_000).contains(&self.callback.list_max) {
            let message = "must be between 1 and 1000";
            return Err(ConfigError::value("callback.list_max", message));
        }
        if self.census.every_s == 0 || self.census.max == 0 {
            return Err(ConfigError::value("census", "needs an every_s and a max above 0"));
        }
        self.audit.validate(profile)?;
        self.provider.validate(profile)?;
        self.provider.require_room_for(self.ledger.page)?;
        self.ledger.validate(self.reconcile.max_ms)?;
        let reconcile = &self.reconcile;
        if reconcile.interval_ms == 0 || !(1..=100).contains(&reconcile.batch) {
            let message = "needs an interval above 0 and a batch of 1 to 100";
            return Err(ConfigError::value("reconcile", message));
        }
        // A worker asks and, if need be, captures: two answers, each up to the timeout.
        if reconcile.first_ms <= 2 * self.provider.timeout_ms {
            let message = "must be longer than twice provider.timeout_ms";
            return Err(ConfigError::value("reconcile.first_ms", message));
        }
        if reconcile.max_ms < reconcile.first_ms {
            return Err(ConfigError::value("reconcile.max_ms", "must not be below first_ms"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use chassis::run::Service as _;

    use super::*;
    use crate::App;
    use crate::service::ReviewPolicy;

    fn defaults() -> Config {
        chassis::config::load(App::ENV_PREFIX, App::DEFAULTS).unwrap()
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
    fn the_compiled_in_configuration_is_valid_and_the_policy_of_the_tests() {
        let config = defaults();
        config.validate(Profile::Development).unwrap();
        let of_tests = crate::testing::policy();
        let review = ReviewPolicy { page: config.ledger.page, ..of_tests.review };
        let expected = Policy { batch: config.reconcile.batch, review, ..of_tests };
        assert_eq!(config.policy(), expected);
    }

    #[test]
    fn comparisons_without_bounds_are_refused_by_name() {
        let ledger = || defaults().ledger;
        for (odd, key) in [
            (LedgerConfig { every_s: 0, ..ledger() }, "ledger.every_s"),
            (LedgerConfig { page: 0, ..ledger() }, "ledger.page"),
            (LedgerConfig { report_max: 0, ..ledger() }, "ledger.report_max"),
            (LedgerConfig { reserve_ms: 0, ..ledger() }, "ledger.reserve_ms"),
            (LedgerConfig { examples: 101, ..ledger() }, "ledger.examples"),
            (LedgerConfig { grace_ms: 60_000, ..ledger() }, "ledger.grace_ms"),
        ] {
            let config = Config { ledger: odd, ..defaults() };
            let refused = config.validate(Profile::Development).unwrap_err().to_string();
            assert!(refused.contains(key), "{refused}");
        }
    }

    #[test]
    fn the_provider_is_chosen_by_its_kind() {
        let with = |kind: &str| {
            let settings = [("PROVIDER__KIND", kind), ("PROVIDER__URL", "http://127.0.0.1:8091")];
            let key = ("PROVIDER__API_KEY", "sk_test_0123456789");
            chassis::testing::config::defaults_with::<App>(settings.into_iter().chain([key]))
        };
        assert_eq!(with("http").provider.kind, ProviderKind::Http);
        with("http").validate(Profile::Development).unwrap();
        let ledger = LedgerConfig { page: 1_000, ..defaults().ledger };
        let narrow = Config { ledger, ..with("http") };
        let refused = narrow.validate(Profile::Development).unwrap_err().to_string();
        for key in ["provider.response_max_bytes", "ledger.page"] {
            assert!(refused.contains(key), "{refused}");
        }
        with("http").validate(Profile::Production).unwrap_err();
        with("http").provider.validate(Profile::Production).unwrap();
        assert_eq!(defaults().provider.kind, ProviderKind::Simulated);
        assert!(!format!("{:?}", with("http")).contains("sk_test"), "the key does not print");
    }

    #[test]
    fn a_census_that_is_never_taken_or_counts_nothing_is_refused_by_name() {
        for key in ["CENSUS__EVERY_S", "CENSUS__MAX"] {
            let refused = chassis::testing::config::refusal::<App>([(key, "0")]);
            assert!(refused.contains("census"), "{refused}");
        }
    }

    #[test]
    fn callbacks_that_are_kept_for_no_time_are_refused_by_name() {
        let no_days = CallbackConfig { keep_d: 0, ..defaults().callback };
        let no_pause = CallbackConfig { sweep_every_s: 0, ..defaults().callback };
        for callback in [no_days, no_pause] {
            let config = Config { callback, ..defaults() };
            let refused = config.validate(Profile::Development).unwrap_err().to_string();
            assert!(refused.contains("callback"), "{refused}");
        }
    }
}
