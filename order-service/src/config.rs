//! Configuration of this service. `config/default.toml` is the documentation of every key.

use std::time::Duration;

use chassis::config::{
    AmqpConfig, AuditConfig, BaseConfig, ConfigError, DatabaseConfig, DiscoveryConfig, EventRole,
    EventsConfig, OutboxConfig, PagingConfig, Profile, RuntimeConfig, ServerConfig,
    TelemetryConfig, TlsConfig, TokenConfig, UpstreamConfig,
};
use chrono::TimeDelta;
use serde::Deserialize;

use crate::service::Policy;

/// Shortest time for which idempotency keys are remembered, in hours: clients repeat calls for a
/// day.
const KEEP_MIN_H: u32 = 24;

/// Most unpaid orders that a user may be allowed: they are counted whenever one is placed.
const OPEN_MAX: u32 = 10_000;

/// Everything that can be configured.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the service listens, and its limits.
    pub server: ServerConfig,
    /// How it uses the machine.
    pub runtime: RuntimeConfig,
    /// Logs and traces.
    pub telemetry: TelemetryConfig,
    /// How it finds other services.
    pub discovery: DiscoveryConfig,
    /// Who it is to the other services.
    pub tls: TlsConfig,
    /// Its schema.
    pub database: DatabaseConfig,
    /// Its broker.
    pub amqp: AmqpConfig,
    /// By which keys events are signed, and whose are believed.
    pub events: EventsConfig,
    /// How its events are published.
    pub outbox: OutboxConfig,
    /// Which access tokens it believes.
    pub token: TokenConfig,
    /// How it calls other services.
    pub upstream: UpstreamConfig,
    /// How its page tokens are signed.
    pub paging: PagingConfig,
    /// Times of orders.
    pub orders: OrdersConfig,
    /// The background workers.
    pub workers: WorkersConfig,
    /// How its audit log is sealed.
    pub audit: AuditConfig,
}

/// Times of orders.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrdersConfig {
    /// How long an order may stay unpaid.
    pub ttl_s: u32,
    /// How long a call holds its idempotency key before another one may finish its work.
    pub claim_lease_ms: u32,
    /// How long idempotency keys and applied events are remembered.
    pub keep_h: u32,
    /// How many unpaid orders a user may have.
    pub open_per_user_max: u32,
    /// How much of what happened to an order is shown at most.
    pub timeline_max: u32,
}

/// The background workers.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkersConfig {
    /// How much a worker takes on at once.
    pub batch: u32,
    /// Pause between two looks for unsettled payments and refunds.
    pub recovery_every_ms: u64,
    /// How long a payment may be unsettled before it is asked about.
    pub recheck_after_ms: u32,
    /// Longest pause between two questions about an undecided payment or refund.
    pub recheck_max_ms: u32,
    /// From when on an unsettled order is shown to administrators.
    pub stuck_after_ms: u32,
    /// Pause between two looks for overdue orders.
    pub expiry_every_ms: u64,
    /// Pause between two sweeps of what is forgotten.
    pub sweep_every_s: u64,
    /// Pause between two counts of open orders.
    pub census_every_s: u64,
    /// Orders of one state that are counted at most.
    pub census_max: u32,
}

impl WorkersConfig {
    /// Pause between two looks for unsettled payments and refunds.
    pub fn recovery_every(&self) -> Duration {
        Duration::from_millis(self.recovery_every_ms)
    }

    /// Pause between two looks for overdue orders.
    pub fn expiry_every(&self) -> Duration {
        Duration::from_millis(self.expiry_every_ms)
    }

    /// Pause between two sweeps of what is forgotten.
    pub fn sweep_every(&self) -> Duration {
        Duration::from_secs(self.sweep_every_s)
    }

    /// Pause between two counts of open orders.
    pub fn census_every(&self) -> Duration {
        Duration::from_secs(self.census_every_s)
    }
}

impl Config {
    /// What the use cases follow.
    pub fn policy(&self) -> Policy {
        let millis = |ms: u32| TimeDelta::milliseconds(i64::from(ms));
        Policy {
            order_ttl: TimeDelta::seconds(i64::from(self.orders.ttl_s)),
            claim_lease: millis(self.orders.claim_lease_ms),
            recheck_after: millis(self.workers.recheck_after_ms),
            recheck_max: millis(self.workers.recheck_max_ms),
            stuck_after: millis(self.workers.stuck_after_ms),
            keep: TimeDelta::hours(i64::from(self.orders.keep_h)),
            open_per_user_max: self.orders.open_per_user_max,
            timeline_max: self.orders.timeline_max,
            batch: self.workers.batch,
            census_max: self.workers.census_max,
        }
    }

    /// The keys whose value must not be zero.
    fn positive(&self) -> [(&'static str, u64); 10] {
        let (orders, workers) = (&self.orders, &self.workers);
        [
            ("orders.ttl_s", orders.ttl_s.into()),
            ("orders.claim_lease_ms", orders.claim_lease_ms.into()),
            ("orders.timeline_max", orders.timeline_max.into()),
            ("workers.batch", workers.batch.into()),
            ("workers.recovery_every_ms", workers.recovery_every_ms),
            ("workers.recheck_after_ms", workers.recheck_after_ms.into()),
            ("workers.expiry_every_ms", workers.expiry_every_ms),
            ("workers.sweep_every_s", workers.sweep_every_s),
            ("workers.census_every_s", workers.census_every_s),
            ("workers.census_max", workers.census_max.into()),
        ]
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
        self.events.validate("order-service", EventRole::Both, profile)?;
        self.upstream.validate()?;
        self.database.validate()?;
        self.amqp.validate()?;
        self.outbox.validate()?;
        self.token.validate()?;
        self.paging.validate(profile)?;
        self.audit.validate(profile)?;
        if let Some((key, _)) = self.positive().into_iter().find(|(_, value)| *value == 0) {
            return Err(ConfigError::value(key, "must be at least 1"));
        }
        if self.orders.keep_h < KEEP_MIN_H {
            return Err(ConfigError::value("orders.keep_h", "must be at least 24"));
        }
        if !(1..=OPEN_MAX).contains(&self.orders.open_per_user_max) {
            return Err(ConfigError::value("orders.open_per_user_max", "must be from 1 to 10000"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use chassis::run::Service as _;

    use super::*;
    use crate::App;

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
    fn the_compiled_in_configuration_is_valid_and_the_default_policy() {
        let config = defaults();
        config.validate(Profile::Development).unwrap();
        assert_eq!(format!("{:?}", config.policy()), format!("{:?}", Policy::default()));
    }

    #[test]
    fn the_development_key_does_not_start_production() {
        assert!(defaults().validate(Profile::Production).is_err());
    }

    #[test]
    fn a_pause_of_zero_is_refused_by_name() {
        let mut config = defaults();
        config.workers.expiry_every_ms = 0;
        let refused = config.validate(Profile::Development).unwrap_err().to_string();
        assert!(refused.contains("workers.expiry_every_ms"), "{refused}");
    }

    #[test]
    fn users_may_have_some_unpaid_orders_and_not_any_number() {
        let with = |open_per_user_max| {
            let mut config = defaults();
            config.orders.open_per_user_max = open_per_user_max;
            config.validate(Profile::Development)
        };
        assert!(with(1).is_ok() && with(OPEN_MAX).is_ok());
        for open in [0, OPEN_MAX + 1] {
            let refused = with(open).unwrap_err().to_string();
            assert!(refused.contains("orders.open_per_user_max"), "{refused}");
        }
    }

    #[test]
    fn keys_are_remembered_for_a_day_at_least() {
        let with = |keep_h| {
            let mut config = defaults();
            config.orders.keep_h = keep_h;
            config.validate(Profile::Development)
        };
        assert!(with(24).is_ok());
        for keep_h in [0, 1, 23] {
            assert!(with(keep_h).unwrap_err().to_string().contains("orders.keep_h"));
        }
    }
}
