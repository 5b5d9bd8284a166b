//! Failpoints of a fleet's processes; see `chassis::failpoint`.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use super::{Fleet, FleetOptions};
use crate::layout::Layout;
use crate::services::{Seat, Service};
use crate::wait;

/// Names the folder of armed points to a process.
const FOLDER: &str = "EH_FAILPOINTS";
/// How long a process may take to reach the point that it is to die at.
const DEATH_LIMIT: Duration = Duration::from_secs(20);

impl Fleet {
    /// Makes a process die when it next reaches that point. Its binary must have failpoints.
    pub fn arm(&self, service: &str, replica: usize, point: &str) -> Result<()> {
        let file = self.failpoint(service, replica, point)?;
        fs::write(&file, "").with_context(|| format!("{} cannot be written", file.display()))
    }

    /// Takes that back; whether the process has died of it already does not matter.
    pub fn disarm(&self, service: &str, replica: usize, point: &str) -> Result<()> {
        match fs::remove_file(self.failpoint(service, replica, point)?) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Whether the point is still armed: nobody has come by.
    pub fn is_armed(&self, service: &str, replica: usize, point: &str) -> Result<bool> {
        Ok(self.failpoint(service, replica, point)?.exists())
    }

    /// Waits until a process has died.
    pub async fn until_dead(&mut self, service: &str, replica: usize) -> Result<()> {
        let process = self.stack.instance(service, replica)?.process();
        let what = format!("the end of {}", process.name());
        wait::until(&what, DEATH_LIMIT, || {
            let ended = !process.is_running() || process.exit_status().is_some();
            async move { Ok(ended.then_some(())) }
        })
        .await
    }

    fn failpoint(&self, service: &str, replica: usize, point: &str) -> Result<PathBuf> {
        let service = Service::find(service).context("no such service")?;
        Ok(folder(&self.layout, &service.instance_name(replica)).join(point))
    }
}

/// Gives each process a folder of its own for its armed points.
pub(super) fn prepare(
    options: &FleetOptions,
    layout: &Layout,
    seats: &mut BTreeMap<String, Seat>,
) -> Result<()> {
    let counts = options.replica_counts();
    for service in Service::ALL {
        for replica in 0..counts.get(service.name).copied().unwrap_or(1) {
            let name = service.instance_name(replica);
            let folder = folder(layout, &name);
            fs::create_dir_all(&folder)?;
            let variable = (FOLDER.to_owned(), path_text(&folder));
            seats.entry(name).or_default().variables.push(variable);
        }
    }
    Ok(())
}

fn folder(layout: &Layout, process: &str) -> PathBuf {
    layout.state().join("failpoints").join(process)
}

fn path_text(path: &Path) -> String {
    path.display().to_string()
}
