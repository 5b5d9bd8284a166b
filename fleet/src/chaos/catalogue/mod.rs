//! The catalogue of faults: what each one is, how it is made, and how it ends.
//!
//! What a single machine without special rights cannot do is listed with the reason, so that the
//! gaps are known. `docs/CHAOS.md` shows all of it, generated from here.

mod page;
mod points;
mod table;

pub use self::page::{PAGE, fill};
pub use self::table::ALL;
use super::act::Does;

/// The ground of everything that happens to the provider.
const PROVIDER: &str = "provider";

/// A fault.
#[derive(Debug)]
pub struct Fault {
    /// Its number, such as `F01`.
    pub id: &'static str,
    /// What goes wrong.
    pub name: &'static str,
    /// How it is made.
    pub how: &'static str,
    /// How it ends.
    pub heal: &'static str,
    /// What the schedule does about it.
    pub means: Means,
}

/// How the schedule makes a fault.
#[derive(Debug, PartialEq, Eq)]
pub enum Means {
    /// Armed failpoints, and a kill at random, in the processes of a service.
    Crash(&'static str, &'static [&'static str]),
    /// A process is dead for the whole time.
    Away(&'static [&'static str]),
    /// A process is frozen for the whole time.
    Freeze(&'static [&'static str]),
    /// Processes are replaced one after the other.
    Roll,
    /// All processes are killed at once.
    Storm,
    /// The broker is stopped in order.
    BrokerStopped,
    /// The broker is killed and started, again and again.
    BrokerKilled,
    /// The broker blocks publishers.
    BrokerAlarm,
    /// The queue of a consumer is deleted with what is in it.
    QueueDeleted,
    /// Poisonous messages arrive among the good ones.
    Poison,
    /// The links of one service, or of all that have such a link, misbehave.
    Links(Kind, &'static [Does]),
    /// The database server is killed and started, again and again.
    DatabaseKilled,
    /// The database server is frozen.
    DatabaseFrozen,
    /// Rows that every order needs are locked, again and again.
    LocksHeld,
    /// Redis forgets everything.
    CacheFlushed,
    /// The provider misbehaves as one of these scripts says.
    Provider(&'static [&'static str]),
    /// The provider is killed and started, again and again.
    ProviderKilled,
    /// It cannot be made here; the text says why, and what covers it instead.
    LeftOut(&'static str),
}

/// A kind of link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Service to schema.
    Mysql,
    /// Service to broker.
    Amqp,
    /// Gateway to Redis.
    Redis,
    /// Services to Consul.
    Consul,
    /// Callers to a service.
    Grpc,
    /// payment-service to the provider.
    Provider,
    /// The provider to the gateways, with its callbacks.
    Callbacks,
    /// Callers to payment-service alone, which only order-service and the gateway call.
    Payment,
}

impl Means {
    /// What two faults must not quarrel about: only one of them at a time may use it.
    pub fn ground(&self) -> &'static str {
        match self {
            Self::Crash(service, _) => service,
            Self::Away(_) | Self::Freeze(_) | Self::Roll | Self::Storm => "processes",
            Self::BrokerStopped
            | Self::BrokerKilled
            | Self::BrokerAlarm
            | Self::QueueDeleted
            | Self::Links(Kind::Amqp, _) => "broker",
            Self::Poison => "queues",
            Self::Links(Kind::Mysql, _) | Self::DatabaseKilled | Self::DatabaseFrozen => "database",
            Self::LocksHeld => "locks",
            Self::Links(Kind::Redis, _) | Self::CacheFlushed => "cache",
            Self::Links(Kind::Consul, _) => "registry",
            Self::Links(Kind::Grpc | Kind::Payment, _) => "calls",
            Self::Provider(_)
            | Self::ProviderKilled
            | Self::Links(Kind::Provider | Kind::Callbacks, _) => PROVIDER,
            Self::LeftOut(_) => "none",
        }
    }

    /// Whether it needs the provider that is a process of its own: whatever has its ground there.
    pub fn needs_sandbox(&self) -> bool {
        self.ground() == PROVIDER
    }

    /// Whether this machine can make it.
    pub fn is_possible(&self) -> bool {
        !matches!(self, Self::LeftOut(_))
    }
}

/// Finds a fault by its number.
pub fn find(id: &str) -> Option<&'static Fault> {
    ALL.iter().find(|fault| fault.id.eq_ignore_ascii_case(id))
}

/// All numbers that a schedule may draw.
pub fn possible() -> Vec<&'static Fault> {
    ALL.iter().filter(|fault| fault.means.is_possible()).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_number_of_the_catalogue_is_there_once() {
        let ids: BTreeSet<&str> = ALL.iter().map(|fault| fault.id).collect();
        assert_eq!(ids.len(), ALL.len());
        let missing: Vec<String> = (1..=46)
            .map(|number| format!("F{number:02}"))
            .filter(|id| !ids.contains(id.as_str()))
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn what_is_left_out_has_a_reason_and_the_rest_a_way_to_heal() {
        for fault in ALL {
            match fault.means {
                Means::LeftOut(reason) => assert!(reason.len() > 20, "{}", fault.id),
                _ => assert!(fault.how.len() > 5 && fault.heal.len() > 5, "{}", fault.id),
            }
        }
    }

    #[test]
    fn every_way_to_break_a_link_is_in_a_fault() {
        let links = ALL.iter().filter_map(|fault| match &fault.means {
            Means::Links(_, does) => Some(*does),
            _ => None,
        });
        let drawn: Vec<String> = links.flatten().map(|does| format!("{does:?}")).collect();
        for way in [
            "Refuse",
            "Reset",
            "Blackhole",
            "Latency",
            "Throttle",
            "Slice",
            "CutAfter",
            "LoseReplies",
        ] {
            assert!(drawn.iter().any(|does| does.starts_with(way)), "{way}");
        }
    }

    #[test]
    fn scripts_of_the_provider_are_json_objects() {
        for fault in ALL {
            let Means::Provider(scripts) = fault.means else { continue };
            for script in scripts {
                let value: serde_json::Value = serde_json::from_str(script).unwrap();
                assert!(value.is_object(), "{}: {script}", fault.id);
            }
        }
    }
}
