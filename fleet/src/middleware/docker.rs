//! The servers as containers, for machines that have a container engine and no packages.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::{Addresses, Part, Site, probe};
use crate::layout::Layout;
use crate::{address, port};

const START_LIMIT: Duration = Duration::from_mins(3);
/// A container on a developer's machine, reachable from 127.0.0.1 only.
const MYSQL_PASSWORD: &str = "enterprisehub";

pub(super) fn is_available(layout: &Layout) -> bool {
    let Some(docker) = layout.find_program("docker") else {
        return false;
    };
    let mut info = Command::new(docker);
    info.arg("info").stdout(Stdio::null()).stderr(Stdio::null());
    info.status().is_ok_and(|status| status.success())
}

/// Starts the containers and waits until the servers answer.
pub(super) async fn start(site: &Site, parts: &[Part]) -> Result<Addresses> {
    let chosen = Ports::choose()?;
    std::fs::create_dir_all(site.layout.state())?;
    std::fs::write(file(&site.layout), chosen.compose_file(parts))?;
    compose(&site.layout, &["up", "--detach"])?;
    let addresses = chosen.addresses();
    for part in parts {
        let text = match part {
            Part::MySql => &addresses.mysql,
            Part::Redis => &addresses.redis,
            Part::RabbitMq => &addresses.amqp,
            Part::Consul => &addresses.consul,
        };
        let url = address::parse(text, part.schemes())?;
        probe::until_answering(*part, &url, START_LIMIT)
            .await
            .with_context(|| format!("the container of {part} does not answer"))?;
    }
    Ok(addresses)
}

/// Stops the containers of an earlier start, if there was one.
pub fn stop_containers(layout: &Layout, with_data: bool) -> Result<()> {
    if !file(layout).exists() {
        return Ok(());
    }
    compose(layout, if with_data { &["down", "--volumes"] } else { &["down"] })?;
    Ok(std::fs::remove_file(file(layout))?)
}

fn file(layout: &Layout) -> PathBuf {
    layout.state().join("compose.yml")
}

fn compose(layout: &Layout, args: &[&str]) -> Result<()> {
    let status = Command::new("docker")
        .args(["compose", "--project-name", &project(layout), "--file"])
        .arg(file(layout))
        .args(args)
        .status()
        .context("docker cannot be run")?;
    if !status.success() {
        bail!("docker compose {} failed ({status})", args.join(" "));
    }
    Ok(())
}

/// One project per state folder: `up`, each test run and each checkout have their own. Not the
/// standard library's hash, which may differ from one build of this tool to the next.
fn project(layout: &Layout) -> String {
    let path = layout.state().as_os_str().as_encoded_bytes();
    // FNV-1a, 64 bits.
    let hash = path.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("ehub-{hash:016x}")
}

struct Ports {
    mysql: u16,
    redis: u16,
    amqp: u16,
    management: u16,
    consul: u16,
    consul_server: u16,
    consul_serf: u16,
}

impl Ports {
    fn choose() -> Result<Self> {
        Ok(Self {
            mysql: port::preferred(23_306)?,
            redis: port::preferred(26_379)?,
            amqp: port::preferred(25_673)?,
            management: port::preferred(25_674)?,
            consul: port::preferred(28_500)?,
            consul_server: port::free()?,
            consul_serf: port::free()?,
        })
    }

    fn addresses(&self) -> Addresses {
        Addresses {
            mysql: format!("mysql://root:{MYSQL_PASSWORD}@127.0.0.1:{}", self.mysql),
            redis: format!("redis://127.0.0.1:{}", self.redis),
            amqp: format!("amqp://guest:guest@127.0.0.1:{}/%2f", self.amqp),
            amqp_management: Some(format!("http://guest:guest@127.0.0.1:{}", self.management)),
            consul: format!("http://127.0.0.1:{}", self.consul),
        }
    }

    fn compose_file(&self, parts: &[Part]) -> String {
        let services: String = parts.iter().map(|part| self.service(*part)).collect();
        format!("services:\n{services}volumes:\n  mysql:\n  rabbitmq:\n")
    }

    /// Consul shares the machine's network, because it checks services that listen on 127.0.0.1.
    fn service(&self, part: Part) -> String {
        let Self { mysql, redis, amqp, management, consul, consul_server, consul_serf } = self;
        match part {
            Part::MySql => format!(
                "  mysql:\n    image: mysql:8.4\n    environment: {{ MYSQL_ROOT_PASSWORD: \
                 {MYSQL_PASSWORD} }}\n    ports: [\"127.0.0.1:{mysql}:3306\"]\n    \
                 volumes: [\"mysql:/var/lib/mysql\"]\n"
            ),
            Part::Redis => {
                format!("  redis:\n    image: redis:7.4\n    ports: [\"127.0.0.1:{redis}:6379\"]\n")
            }
            Part::RabbitMq => format!(
                "  rabbitmq:\n    image: rabbitmq:4.0-management\n    hostname: ehub\n    \
                 ports: [\"127.0.0.1:{amqp}:5672\", \"127.0.0.1:{management}:15672\"]\n    \
                 volumes: [\"rabbitmq:/var/lib/rabbitmq\"]\n"
            ),
            Part::Consul => format!(
                "  consul:\n    image: hashicorp/consul:1.20\n    network_mode: host\n    \
                 command: [agent, -dev, -bind=127.0.0.1, -client=127.0.0.1, -dns-port=-1, \
                 -grpc-port=-1, -grpc-tls-port=-1, -serf-wan-port=-1, -http-port={consul}, \
                 -server-port={consul_server}, -serf-lan-port={consul_serf}]\n"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports() -> Ports {
        Ports {
            mysql: 1,
            redis: 2,
            amqp: 3,
            management: 4,
            consul: 5,
            consul_server: 6,
            consul_serf: 7,
        }
    }

    #[test]
    fn each_state_folder_has_containers_of_its_own() {
        let layout = Layout::discover().unwrap();
        let of_a_test = project(&layout.with_state("/elsewhere/.ehub/test/7".into()));
        assert_ne!(project(&layout), of_a_test);
        assert_eq!(of_a_test.len(), "ehub-".len() + 16);
    }

    #[test]
    fn only_the_wanted_servers_are_in_the_file_and_none_is_open_to_the_network() {
        let ports = ports();
        let text = ports.compose_file(&[Part::MySql, Part::RabbitMq]);
        assert!(text.contains("image: mysql:8.4") && !text.contains("consul"), "{text}");
        assert_eq!(text.matches("127.0.0.1:").count(), 3, "{text}");
    }
}
