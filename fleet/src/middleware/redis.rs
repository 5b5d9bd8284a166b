//! A private Redis: memory only, because the fleet keeps nothing in it that must survive.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::server::START_LIMIT;
use super::{Part, Server, Site, probe};
use crate::layout::Layout;
use crate::process::{Process, Spec};
use crate::{address, port};

const USUAL_PORT: u16 = 26_379;

pub(super) fn find(layout: &Layout) -> Option<PathBuf> {
    layout.find_program("redis-server").or_else(|| layout.find_program("valkey-server"))
}

/// Starts an instance and waits until it answers.
pub async fn start(site: &Site, program: &Path) -> Result<Server> {
    let port = site.port(USUAL_PORT)?;
    let folder = site.layout.data("redis");
    std::fs::create_dir_all(&folder)?;
    let spec = Spec::new("redis", program)
        .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
        .args(["--port".to_owned(), port.to_string()])
        .args(["--dir".into(), folder.into_os_string()])
        .ports([port]);
    let mut process = Process::start(spec, &site.layout)?;
    let address = format!("redis://127.0.0.1:{port}");
    let url = address::parse(&address, Part::Redis.schemes())?;
    process.ready(START_LIMIT, || probe::answers(Part::Redis, &url)).await?;
    Ok(Server { address, management: None, processes: vec![process] })
}

/// A port that certainly has no Redis, for tests of its absence.
pub fn absent_address() -> Result<String> {
    Ok(format!("redis://127.0.0.1:{}", port::free()?))
}
