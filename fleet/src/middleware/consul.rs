//! A private Consul agent in development mode: one node, state in memory.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::server::START_LIMIT;
use super::{Part, Server, Site, probe};
use crate::layout::Layout;
use crate::process::{Process, Spec};
use crate::{address, port};

const USUAL_PORT: u16 = 28_500;
/// From this release on, development mode opens a second gRPC port, which has to be closed by an
/// option that earlier releases refuse.
const GRPC_TLS_SINCE: (u32, u32) = (1, 14);

pub(super) fn find(layout: &Layout) -> Option<PathBuf> {
    layout.find_program("consul")
}

/// Starts an agent and waits until it has elected itself.
pub async fn start(site: &Site, program: &Path) -> Result<Server> {
    let http = site.port(USUAL_PORT)?;
    let (server, serf) = (port::free()?, port::free()?);
    let mut spec = Spec::new("consul", program)
        .args(["agent", "-dev", "-node=ehub", "-log-level=warn"])
        .args(["-bind=127.0.0.1", "-client=127.0.0.1", "-hcl=disable_update_check = true"])
        .args(["-dns-port=-1", "-grpc-port=-1", "-serf-wan-port=-1"])
        .args([format!("-http-port={http}"), format!("-server-port={server}")])
        .args([format!("-serf-lan-port={serf}")])
        .ports([http, server, serf]);
    if version(program)? >= GRPC_TLS_SINCE {
        spec = spec.args(["-grpc-tls-port=-1"]);
    }
    let mut process = Process::start(spec, &site.layout)?;
    let address = format!("http://127.0.0.1:{http}");
    ready(&mut process, &address).await?;
    Ok(Server { address, management: None, processes: vec![process] })
}

/// Waits until an agent that was started has elected itself.
pub async fn ready(process: &mut Process, address: &str) -> Result<()> {
    let url = address::parse(address, Part::Consul.schemes())?;
    process.ready(START_LIMIT, || probe::answers(Part::Consul, &url)).await
}

fn version(program: &Path) -> Result<(u32, u32)> {
    let output = Command::new(program).arg("version").output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    parse_version(&text).with_context(|| format!("consul's version cannot be read from: {text}"))
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let number = text.split_whitespace().nth(1)?.trim_start_matches('v');
    let mut parts = number.split(['.', '-', '+']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_all_releases_are_read() {
        assert_eq!(parse_version("Consul v1.8.7\nProtocol 2"), Some((1, 8)));
        assert_eq!(parse_version("Consul v1.20.1+ent"), Some((1, 20)));
        assert_eq!(parse_version("bash: consul"), None);
    }
}
