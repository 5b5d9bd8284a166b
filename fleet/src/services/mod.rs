//! The six services: what they are called, where they listen, how they are configured and run.

mod build;
mod seat;
mod settings;
mod stack;

pub use self::build::{Profile, TEST_BUILD, build, cargo};
pub use self::seat::Seat;
pub use self::settings::Settings;
pub use self::stack::{Instance, Stack, StackPlan, last_good};

/// What the tool knows of a service. Everything else is in the service's own `config/default.toml`.
#[derive(Debug, PartialEq, Eq)]
pub struct Service {
    /// Name of the crate, of the binary and in Consul.
    pub name: &'static str,
    /// Prefix of its environment variables.
    pub variable: &'static str,
    /// Default port of its API.
    pub port: u16,
    /// Default port of metrics and health.
    pub internal_port: u16,
    /// Its schema, which is also the name of its account.
    pub schema: Option<&'static str>,
}

impl Service {
    /// The gateway's name, which is the one that clients talk to.
    pub const GATEWAY: &'static str = "gateway-service";

    /// All services, the one that clients see first.
    pub const ALL: &'static [Self] = &[
        Self::new(Self::GATEWAY, "EH_GATEWAY", (8080, 9080), None),
        Self::new("user-service", "EH_USER", (50051, 9051), Some("hub_user")),
        Self::new("auth-service", "EH_AUTH", (50052, 9052), Some("hub_auth")),
        Self::new("order-service", "EH_ORDER", (50053, 9053), Some("hub_order")),
        Self::new("payment-service", "EH_PAYMENT", (50054, 9054), Some("hub_payment")),
        Self::new("notify-service", "EH_NOTIFY", (50055, 9055), Some("hub_notify")),
    ];

    const fn new(
        name: &'static str,
        variable: &'static str,
        (port, internal_port): (u16, u16),
        schema: Option<&'static str>,
    ) -> Self {
        Self { name, variable, port, internal_port, schema }
    }

    /// Finds a service by name.
    pub fn find(name: &str) -> Option<&'static Self> {
        Self::ALL.iter().find(|service| service.name == name)
    }

    /// Finds the service that a process belongs to by the process' name.
    pub fn of_process(name: &str) -> Option<&'static Self> {
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let base = name.rsplit_once('-').filter(|(_, last)| is_number(last));
        Self::find(base.map_or(name, |(base, _)| base))
    }

    /// The name of one of its processes: the first bears the service's own.
    pub fn instance_name(&self, replica: usize) -> String {
        if replica == 0 { self.name.to_owned() } else { format!("{}-{}", self.name, replica + 1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_services_share_a_port_or_a_schema() {
        let mut ports: Vec<u16> =
            Service::ALL.iter().flat_map(|service| [service.port, service.internal_port]).collect();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 2 * Service::ALL.len());
        assert!(Service::find("order-service").is_some() && Service::find("order").is_none());
    }

    #[test]
    fn replicas_are_numbered_from_the_second_on() {
        let order = Service::find("order-service").unwrap();
        assert_eq!(order.instance_name(0), "order-service");
        assert_eq!(order.instance_name(1), "order-service-2");
        assert_eq!(Service::of_process("order-service-2"), Some(order));
        assert_eq!(Service::of_process("order-service"), Some(order));
        for other in ["order", "order-service-", "order-service-x", "redis", "epmd-1"] {
            assert_eq!(Service::of_process(other), None, "{other}");
        }
    }
}
