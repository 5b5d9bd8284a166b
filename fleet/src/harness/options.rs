//! What a test wants of its fleet.

use std::collections::BTreeMap;

use crate::seed;

/// One process per service, a shared broker and an own Redis, unless said otherwise.
#[derive(Clone, Debug, Default)]
pub struct FleetOptions {
    replicas: BTreeMap<&'static str, usize>,
    own_broker: bool,
    without_redis: bool,
    variables: Vec<(String, String)>,
}

impl FleetOptions {
    /// Runs a service in several processes.
    #[must_use]
    pub fn replicas(mut self, service: &'static str, count: usize) -> Self {
        self.replicas.insert(service, count);
        self
    }

    /// Gives the fleet a broker of its own, which the test may stop and start.
    #[must_use]
    pub fn own_broker(mut self) -> Self {
        self.own_broker = true;
        self
    }

    /// Points the services at a Redis that does not answer.
    #[must_use]
    pub fn without_redis(mut self) -> Self {
        self.without_redis = true;
        self
    }

    /// Sets a variable of a service, such as `EH_ORDER__SERVER__REQUEST_TIMEOUT_MS`.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_string()));
        self
    }

    pub(super) fn has_own_broker(&self) -> bool {
        self.own_broker
    }

    pub(super) fn has_redis(&self) -> bool {
        !self.without_redis
    }

    pub(super) fn replica_counts(&self) -> BTreeMap<&'static str, usize> {
        self.replicas.clone()
    }

    pub(super) fn variables(&self) -> Vec<(String, String)> {
        seed::admin_variables().into_iter().chain(self.variables.clone()).collect()
    }
}
