//! Ends everything that an earlier run of the tool has recorded, and nothing else.

use std::time::Duration;

use anyhow::{Result, bail};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use super::SUPERVISOR;
use crate::layout::Layout;
use crate::process::{Record, Records};
use crate::services::Service;
use crate::{port, wait};

/// A supervisor stops the services and the servers one after the other.
const SUPERVISOR_LIMIT: Duration = Duration::from_secs(90);
const PROCESS_LIMIT: Duration = Duration::from_secs(30);

/// What was ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Names of the processes.
    pub processes: Vec<String>,
    /// Their ports, none of which listens any more.
    pub ports: Vec<u16>,
}

/// Ends recorded processes that still are the recorded ones, and verifies that they and their
/// ports are gone. The caller decides whether a supervisor may be ended too.
pub fn sweep(layout: &Layout) -> Result<Swept> {
    let records = Records::new(layout.records());
    let mut alive: Vec<Record> =
        records.list()?.into_iter().filter(|record| record.is_alive() && !is_own(record)).collect();
    alive.sort_by_key(stopping_rank);
    for record in &alive {
        end(record);
    }
    let left: Vec<&Record> = alive.iter().filter(|record| record.is_alive()).collect();
    if let Some(record) = left.first() {
        bail!("{} (process {}) does not end", record.name, record.pid);
    }
    let ports: Vec<u16> = alive.iter().flat_map(|record| record.ports.clone()).collect();
    if let Some(port) = ports.iter().find(|port| port::is_listening(**port)) {
        bail!("port {port} still listens although its process has ended");
    }
    for record in records.list()?.iter().filter(|record| !is_own(record)) {
        records.remove(&record.name);
    }
    Ok(Swept { processes: alive.into_iter().map(|record| record.name).collect(), ports })
}

fn is_own(record: &Record) -> bool {
    record.pid == std::process::id()
}

/// A supervisor ends everything in order by itself; then services, before what they need; the
/// name server of Erlang after its node.
fn stopping_rank(record: &Record) -> u8 {
    match record.name.as_str() {
        SUPERVISOR => 0,
        name if name.starts_with(Service::GATEWAY) => 1,
        name if Service::ALL.iter().any(|service| name.starts_with(service.name)) => 2,
        "epmd" => 4,
        _ => 3,
    }
}

fn end(record: &Record) {
    let Ok(pid) = i32::try_from(record.pid).map(Pid::from_raw) else {
        return;
    };
    let is_supervisor = record.name == SUPERVISOR;
    let limit = if is_supervisor { SUPERVISOR_LIMIT } else { PROCESS_LIMIT };
    // Checked anew: ending an earlier one may have ended this one, and its id may be in use again.
    if !record.is_alive() || kill(pid, Signal::SIGTERM).is_err() {
        return;
    }
    if wait::until_blocking(limit, || !record.is_alive()) {
        return;
    }
    // A supervisor shares its group with the shell that started it.
    let _ = if is_supervisor { kill(pid, Signal::SIGKILL) } else { killpg(pid, Signal::SIGKILL) };
    wait::until_blocking(PROCESS_LIMIT, || !record.is_alive());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::{Process, Spec};

    fn layout(name: &str) -> Layout {
        let folder = std::env::temp_dir().join(format!("ehub-sweep-{name}-{}", std::process::id()));
        Layout::discover().unwrap().with_state(folder)
    }

    fn sleeper(name: &str, layout: &Layout) -> Process {
        let spec = Spec::new(name, "/bin/sh").args(["-c", "exec sleep 600"]);
        Process::start(spec, layout).unwrap()
    }

    #[test]
    fn recorded_processes_end_services_first() {
        let layout = layout("order");
        for name in ["epmd", "mysql", "order-service-2", "gateway-service"] {
            sleeper(name, &layout).detach();
        }
        let swept = sweep(&layout).unwrap();
        assert_eq!(swept.processes, ["gateway-service", "order-service-2", "mysql", "epmd"]);
        assert_eq!(sweep(&layout).unwrap(), Swept::default());
        std::fs::remove_dir_all(layout.state()).unwrap();
    }

    #[test]
    fn a_stranger_with_a_recorded_process_id_is_left_alone() {
        let layout = layout("stranger");
        let stranger = sleeper("stranger", &layout);
        let records = Records::new(layout.records());
        let mut record = records.list().unwrap().remove(0);
        record.identity = "an-earlier-boot/7".to_owned();
        records.save(&record).unwrap();
        assert!(sweep(&layout).unwrap().processes.is_empty());
        assert!(stranger.is_running());
        drop(stranger);
        std::fs::remove_dir_all(layout.state()).unwrap();
    }
}
