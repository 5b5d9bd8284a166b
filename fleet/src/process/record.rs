//! Records of running processes on disk.
//!
//! A process id alone does not name a process: after a crash or a reboot it may belong to somebody
//! else. A record therefore holds the id together with the boot and the time of start, and counts
//! as alive only when all of them still match.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::Spec;

/// What is known of a process after the tool that started it has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its name.
    pub name: String,
    /// Its process id, which is also the id of its process group.
    pub pid: u32,
    /// Which boot and which moment it started in; see [`identity`].
    pub identity: String,
    /// The program.
    pub program: PathBuf,
    /// The ports it listens on.
    pub ports: Vec<u16>,
    /// Its log.
    pub log: PathBuf,
}

impl Record {
    /// Describes a process that has just been started.
    pub fn of(spec: &Spec, pid: u32, log: &Path) -> Result<Self> {
        let identity = identity(pid).with_context(|| format!("{} ended at once", spec.name))?;
        Ok(Self {
            name: spec.name.clone(),
            pid,
            identity,
            program: spec.program.clone(),
            ports: spec.ports.clone(),
            log: log.to_path_buf(),
        })
    }

    /// Whether that very process still runs.
    pub fn is_alive(&self) -> bool {
        identity(self.pid).as_deref() == Some(self.identity.as_str())
    }
}

/// The folder of records.
#[derive(Clone, Debug)]
pub struct Records {
    folder: PathBuf,
}

impl Records {
    /// Records in that folder, which need not exist yet.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Writes a record, whole or not at all.
    pub fn save(&self, record: &Record) -> Result<()> {
        fs::create_dir_all(&self.folder)?;
        let file = self.file(&record.name);
        let draft = file.with_extension("json.new");
        fs::write(&draft, serde_json::to_vec_pretty(record)?)?;
        fs::rename(&draft, &file).with_context(|| format!("{} cannot be written", file.display()))
    }

    /// Forgets a process.
    pub fn remove(&self, name: &str) {
        let _ = fs::remove_file(self.file(name));
    }

    /// All records, also those of processes that have ended; unreadable files are skipped.
    pub fn list(&self) -> Result<Vec<Record>> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error).context("the records cannot be read"),
        };
        let mut records: Vec<Record> = entries
            .filter_map(|entry| fs::read(entry.ok()?.path()).ok())
            .filter_map(|text| serde_json::from_slice(&text).ok())
            .collect();
        records.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(records)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.json"))
    }
}

/// What tells a process from a later one with the same id; `None` when it has ended.
pub fn identity(pid: u32) -> Option<String> {
    match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => {
            let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
            let (state, started) = parse_stat(&stat)?;
            (state != 'Z' && state != 'X').then(|| format!("{}/{started}", boot.trim()))
        }
        Err(_) if Path::new("/proc/self").exists() => None,
        Err(_) => identity_by_ps(pid),
    }
}

/// For systems without /proc (macOS).
fn identity_by_ps(pid: u32) -> Option<String> {
    let output =
        Command::new("ps").args(["-o", "lstart=", "-p", &pid.to_string()]).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

/// State and time of start (in ticks after the boot). The name in brackets may hold anything, so
/// fields are counted from the last bracket.
fn parse_stat(stat: &str) -> Option<(char, u64)> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?.chars().next()?;
    let started = fields.nth(18)?.parse().ok()?;
    Some((state, started))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str =
        "4242 (a (b) c) S 1 4242 4242 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1";

    fn record(pid: u32, identity: &str) -> Record {
        Record {
            name: "redis".to_owned(),
            pid,
            identity: identity.to_owned(),
            program: "/usr/bin/redis-server".into(),
            ports: vec![6379],
            log: "redis.log".into(),
        }
    }

    #[test]
    fn the_start_is_read_behind_a_name_with_brackets() {
        assert_eq!(parse_stat(STAT), Some(('S', 987_654)));
        assert_eq!(parse_stat("no bracket"), None);
        assert_eq!(parse_stat("1 (short) S 1"), None);
    }

    #[test]
    fn a_recycled_process_id_is_not_taken_for_the_recorded_process() {
        let own = std::process::id();
        let truth = identity(own).unwrap();
        assert!(record(own, &truth).is_alive());
        assert!(!record(own, "another-boot/1").is_alive());
        assert!(!record(own, &format!("{truth}0")).is_alive());
    }

    #[test]
    fn records_survive_a_round_trip_and_rubbish_beside_them() {
        let folder = std::env::temp_dir().join(format!("ehub-records-{}", std::process::id()));
        let records = Records::new(folder.clone());
        assert!(records.list().unwrap().is_empty());
        records.save(&record(1, "x")).unwrap();
        fs::write(folder.join("half.json"), "{").unwrap();
        assert_eq!(records.list().unwrap(), [record(1, "x")]);
        records.remove("redis");
        assert!(records.list().unwrap().is_empty());
        fs::remove_dir_all(folder).unwrap();
    }
}
