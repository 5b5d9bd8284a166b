//! Who goes away, in which way, and what is promised meanwhile.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use serde::Serialize;
use tokio::time::{Instant, sleep};

use crate::harness::Fleet;
use crate::middleware::{self, Part};

const AUTH: &str = "auth-service";
const NOTIFY: &str = "notify-service";
/// How long who is there may take to say so.
const PROBE_LIMIT: Duration = Duration::from_secs(1);
/// Within this time after it left, a neighbour may still be seen to answer.
const LAST_ANSWER: Duration = Duration::from_secs(1);
/// Pause between two looks whether it does.
const PAUSE: Duration = Duration::from_millis(20);
/// What is refused at once is refused within this time.
const AT_ONCE: Duration = Duration::from_secs(1);

/// A part that others use, and how it goes away.
///
/// Frozen (SIGSTOP) is the hardest way: connections stay open and new ones are accepted by the kernel,
/// so that only time tells who is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Neighbour {
    /// Redis, frozen.
    Redis,
    /// Consul, frozen.
    Consul,
    /// RabbitMQ, frozen.
    #[value(name = "rabbitmq")]
    #[serde(rename = "rabbitmq")]
    RabbitMq,
    /// notify-service, frozen.
    NotifyService,
    /// auth-service, frozen.
    AuthService,
    /// auth-service, killed, and started at its return.
    AuthServiceKilled,
    /// The payment provider, frozen.
    Provider,
}

/// What becomes of logins while a neighbour is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Logins {
    /// They go on.
    Served,
    /// They fail with one of these statuses.
    Refused {
        statuses: &'static [&'static str],
        /// Within this time, where there is a shorter one than the deadline.
        within: Option<Duration>,
    },
}

impl Neighbour {
    /// All of them, in the order in which they go away.
    pub const ALL: [Self; 7] = [
        Self::Redis,
        Self::Consul,
        Self::RabbitMq,
        Self::NotifyService,
        Self::AuthService,
        Self::AuthServiceKilled,
        Self::Provider,
    ];

    pub(super) fn logins(self) -> Logins {
        match self {
            // Nobody can tell a service that is frozen from one that is slow before the deadline.
            Self::AuthService => Logins::Refused { statuses: &["503", "504"], within: None },
            Self::AuthServiceKilled => {
                Logins::Refused { statuses: &["503"], within: Some(AT_ONCE) }
            }
            Self::Redis | Self::Consul | Self::RabbitMq | Self::NotifyService | Self::Provider => {
                Logins::Served
            }
        }
    }

    /// Takes it away.
    pub(super) fn leave(self, fleet: &mut Fleet) -> Result<()> {
        match self {
            Self::Redis => fleet.pause_server(Part::Redis)?,
            Self::Consul => fleet.pause_server(Part::Consul)?,
            Self::RabbitMq => fleet.broker()?.freeze(),
            Self::NotifyService => fleet.pause(NOTIFY, 0)?,
            Self::AuthService => fleet.pause(AUTH, 0)?,
            Self::AuthServiceKilled => fleet.kill(AUTH, 0)?,
            Self::Provider => fleet.provider_mut()?.process().signal(Signal::SIGSTOP),
        }
        Ok(())
    }

    /// Brings it back, without waiting until it serves.
    pub(super) fn come_back(self, fleet: &mut Fleet) -> Result<()> {
        match self {
            Self::Redis => fleet.resume_server(Part::Redis)?,
            Self::Consul => fleet.resume_server(Part::Consul)?,
            Self::RabbitMq => fleet.broker()?.thaw(),
            Self::NotifyService => fleet.resume(NOTIFY, 0)?,
            Self::AuthService => fleet.resume(AUTH, 0)?,
            Self::AuthServiceKilled => fleet.launch(AUTH, 0)?,
            Self::Provider => fleet.provider_mut()?.process().signal(Signal::SIGCONT),
        }
        Ok(())
    }

    /// Whether it answers no more. A signal takes a moment to reach every thread of a process.
    pub(super) async fn is_away(self, fleet: &mut Fleet) -> Result<bool> {
        let end = Instant::now() + LAST_ANSWER;
        while self.answers(fleet).await? {
            if Instant::now() > end {
                return Ok(false);
            }
            sleep(PAUSE).await;
        }
        Ok(true)
    }

    /// Whether it answers now; never takes longer than two seconds.
    async fn answers(self, fleet: &mut Fleet) -> Result<bool> {
        let part = match self {
            Self::Redis => Part::Redis,
            Self::Consul => Part::Consul,
            Self::RabbitMq => Part::RabbitMq,
            Self::NotifyService => return is_alive(&fleet.internal_url(NOTIFY, 0)?).await,
            Self::AuthService | Self::AuthServiceKilled => {
                return is_alive(&fleet.internal_url(AUTH, 0)?).await;
            }
            Self::Provider => {
                let provider = fleet.provider().context("the fleet has no provider")?;
                return is_alive(provider.url()).await;
            }
        };
        Ok(middleware::answers(part, fleet.addresses().of(part)).await)
    }
}

impl fmt::Display for Neighbour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Redis => "Redis, frozen",
            Self::Consul => "Consul, frozen",
            Self::RabbitMq => "RabbitMQ, frozen",
            Self::NotifyService => "notify-service, frozen",
            Self::AuthService => "auth-service, frozen",
            Self::AuthServiceKilled => "auth-service, killed",
            Self::Provider => "payment provider, frozen",
        })
    }
}

/// Services and the provider say so under the same path.
async fn is_alive(base: &str) -> Result<bool> {
    let client = crate::http::client().timeout(PROBE_LIMIT).build()?;
    let reply = client.get(format!("{base}/livez")).send().await;
    Ok(reply.is_ok_and(|reply| reply.status().is_success()))
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn every_neighbour_has_its_turn_and_one_name_for_people_and_programs() {
        assert_eq!(Neighbour::ALL, Neighbour::value_variants());
        for neighbour in Neighbour::ALL {
            let name = neighbour.to_possible_value().unwrap();
            assert_eq!(serde_json::to_value(neighbour).unwrap(), name.get_name());
        }
    }

    #[test]
    fn only_without_auth_service_nobody_logs_in() {
        for neighbour in Neighbour::ALL {
            let is_served = neighbour.logins() == Logins::Served;
            assert_eq!(is_served, !neighbour.to_string().starts_with("auth-service"));
        }
    }
}
