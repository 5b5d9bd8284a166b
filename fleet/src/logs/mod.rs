//! What the running fleet has written: the logs of all its services as one, in the order of time.
//!
//! Files are read from their ends, and of each no more is kept than is shown: a log may be larger
//! than the memory. The log of the run before (`*.log.old`) stands in front of that of this run.

mod backward;
mod entry;
mod follow;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use chrono::{DateTime, Utc};

use self::backward::Entries;
pub use self::entry::{Entry, Level, is_trace};
use self::follow::Follower;
use crate::layout::Layout;
use crate::services::Service;

/// Which entries are shown.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only those of this trace.
    pub trace: Option<String>,
    /// Only those of this level and graver ones; what tells no level is always shown.
    pub level: Option<Level>,
    /// Only those from this time on.
    pub since: Option<DateTime<Utc>>,
}

impl Filter {
    fn fits(&self, entry: &Entry) -> bool {
        let trace = self.trace.as_ref().is_none_or(|trace| entry.trace.as_ref() == Some(trace));
        let level = self.level.is_none_or(|level| entry.level.is_none_or(|own| own >= level));
        trace && level && !self.is_before(entry)
    }

    fn is_before(&self, entry: &Entry) -> bool {
        self.since.is_some_and(|since| entry.time.is_some_and(|time| time < since))
    }
}

/// An entry with the process that has written it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Name of the process.
    pub process: String,
    /// What it has written.
    pub entry: Entry,
}

/// The logs of some processes.
#[derive(Debug)]
pub struct Logs {
    logs: Vec<Log>,
}

#[derive(Debug)]
struct Log {
    process: String,
    service: &'static Service,
    path: PathBuf,
    follower: Option<Follower>,
}

impl Logs {
    /// Those of the named services or processes, of all where none is named. `-service` may be left
    /// out of a name.
    pub fn open(layout: &Layout, names: &[String]) -> Result<Self> {
        let known = processes(&layout.logs())?;
        let mut chosen = BTreeSet::new();
        for name in names {
            let found = find(&known, name);
            if found.is_empty() {
                bail!("{}", unknown(name, &known, layout));
            }
            chosen.extend(found);
        }
        if names.is_empty() {
            chosen = known;
        }
        if chosen.is_empty() {
            let folder = layout.logs();
            bail!("{} holds no log of a service; start the fleet: cargo ehub up", folder.display());
        }
        let logs = chosen.into_iter().filter_map(|process| {
            let (service, path) = (Service::of_process(&process)?, layout.log(&process));
            Some(Log { process, service, path, follower: None })
        });
        Ok(Self { logs: logs.collect() })
    }

    /// The last entries that fit, at most so many of all logs together, in the order of time.
    pub fn last(&mut self, filter: &Filter, count: usize) -> Result<Vec<Line>> {
        let mut lines = Vec::new();
        for log in &mut self.logs {
            let entries = log.last(filter, count);
            let entries = entries.with_context(|| unreadable(&log.path))?;
            let process = &log.process;
            lines.extend(entries.into_iter().map(|entry| Line { process: process.clone(), entry }));
        }
        sort(&mut lines);
        let more = lines.len().saturating_sub(count);
        Ok(lines.split_off(more))
    }

    /// What was added since [`Logs::last`] or the last look, in the order of time, with remarks on
    /// logs that were cut off. `true` when there may be more at once.
    pub fn news(&mut self, filter: &Filter) -> Result<(Vec<Line>, Vec<String>, bool)> {
        let (mut lines, mut remarks, mut has_more) = (Vec::new(), Vec::new(), false);
        for log in &mut self.logs {
            let Some(follower) = &mut log.follower else { continue };
            let news = follower.look().with_context(|| unreadable(&log.path))?;
            if news.is_cut {
                remarks.push(format!("{} was cut off; reading it anew", log.path.display()));
            }
            has_more |= news.has_more;
            let fitting = news.entries.into_iter().filter(|entry| filter.fits(entry));
            let process = &log.process;
            lines.extend(fitting.map(|entry| Line { process: process.clone(), entry }));
        }
        sort(&mut lines);
        Ok((lines, remarks, has_more))
    }
}

impl Log {
    /// Its last entries that fit, oldest first; follows it from where they end.
    fn last(&mut self, filter: &Filter, count: usize) -> std::io::Result<Vec<Entry>> {
        let mut found = Vec::new();
        let current = open(&self.path)?;
        let mut end = 0;
        let mut wants_more = true;
        if let Some(file) = &current {
            end = backward::end_of_lines(file, file.metadata()?.len())?;
            let entries = Entries::before(file.try_clone()?, end, self.service.name);
            wants_more = collect(entries, filter, count, &mut found)?;
        }
        self.follower = Some(Follower::new(self.service.name, self.path.clone(), current, end));
        if let Some(old) = open(&self.path.with_extension("log.old"))?.filter(|_| wants_more) {
            let end = old.metadata()?.len();
            collect(Entries::before(old, end, self.service.name), filter, count, &mut found)?;
        }
        found.reverse();
        Ok(found)
    }
}

/// Adds what fits; `false` when there are enough, or all the others are too old.
fn collect(
    mut entries: Entries,
    filter: &Filter,
    count: usize,
    found: &mut Vec<Entry>,
) -> std::io::Result<bool> {
    while found.len() < count {
        let Some(entry) = entries.next()? else { return Ok(true) };
        if filter.is_before(&entry) {
            break;
        }
        if filter.fits(&entry) {
            found.push(entry);
        }
    }
    Ok(false)
}

fn open(path: &Path) -> std::io::Result<Option<File>> {
    match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        file => file.map(Some),
    }
}

/// Stable, so that what a process has written stays in its order.
fn sort(lines: &mut [Line]) {
    lines.sort_by_key(|line| line.entry.time);
}

/// The processes of services that have a log in this folder, or had one in the run before.
fn processes(folder: &Path) -> Result<BTreeSet<String>> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeSet::new()),
        entries => entries.with_context(|| unreadable(folder))?,
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let stems = names.filter_map(|name| {
        let stem = name.strip_suffix(".log").or_else(|| name.strip_suffix(".log.old"))?;
        Service::of_process(stem).map(|_| stem.to_owned())
    });
    Ok(stems.collect())
}

/// The processes that a name stands for: one, or all of a service.
fn find(known: &BTreeSet<String>, name: &str) -> Vec<String> {
    let full = format!("{name}-service");
    let is_meant = |process: &&String| {
        let service = Service::of_process(process).map(|service| service.name);
        *process == name || service == Some(name) || service == Some(full.as_str())
    };
    known.iter().filter(is_meant).cloned().collect()
}

fn unknown(name: &str, known: &BTreeSet<String>, layout: &Layout) -> String {
    if layout.log(name).exists() {
        let log = layout.log(name);
        return format!("{name} is no service; what it has written is in {}", log.display());
    }
    if Service::find(name).or_else(|| Service::find(&format!("{name}-service"))).is_some() {
        return format!("{name} has written nothing; look at cargo ehub status");
    }
    let known: Vec<&str> = match known.len() {
        0 => Service::ALL.iter().map(|service| service.name).collect(),
        _ => known.iter().map(String::as_str).collect(),
    };
    format!("there is no service {name:?}; there are {}", known.join(", "))
}

fn unreadable(path: &Path) -> String {
    format!("{} cannot be read", path.display())
}

#[cfg(test)]
mod fixtures {
    use super::{Layout, PathBuf};

    /// A folder of logs of one test, gone when dropped.
    pub(super) struct Folder(pub(super) Layout);

    impl Folder {
        pub(super) fn new() -> Self {
            let name = format!("ehub-logs-{}", crate::random::token());
            let layout = Layout::discover().unwrap().with_state(std::env::temp_dir().join(name));
            std::fs::create_dir_all(layout.logs()).unwrap();
            Self(layout)
        }

        pub(super) fn path(&self, name: &str) -> PathBuf {
            self.0.logs().join(name)
        }

        pub(super) fn write(&self, name: &str, text: &[u8]) -> PathBuf {
            std::fs::write(self.path(name), text).unwrap();
            self.path(name)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(self.0.state());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::fixtures::Folder;
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    fn line(second: u32, level: &str, text: &str) -> String {
        format!("2026-01-02T03:04:{second:02}Z {level:>5} t: {text}\n")
    }

    /// The last word of each line, with the process.
    fn shown(lines: &[Line]) -> Vec<String> {
        let word = |line: &Line| line.entry.text.rsplit(' ').next().unwrap().to_owned();
        lines.iter().map(|line| format!("{} {}", line.process, word(line))).collect()
    }

    fn last(folder: &Folder, filter: &Filter, count: usize) -> Vec<String> {
        shown(&Logs::open(&folder.0, &[]).unwrap().last(filter, count).unwrap())
    }

    fn two_services() -> Folder {
        let folder = Folder::new();
        let traced = line(2, "WARN", &format!("two trace_id={TRACE}"));
        let order = line(1, "INFO", "one") + &traced + &line(5, "ERROR", "five");
        folder.write("order-service.log", order.as_bytes());
        let user = line(3, "DEBUG", "three") + &line(4, "INFO", "four");
        folder.write("user-service-2.log", user.as_bytes());
        folder.write("redis.log", b"not a service\n");
        folder
    }

    #[test]
    fn logs_are_merged_by_time_and_the_last_entries_shown() {
        let folder = two_services();
        let all = last(&folder, &Filter::default(), 100);
        let order = "order-service";
        let expected = [
            format!("{order} one"),
            format!("{order} trace_id={TRACE}"),
            "user-service-2 three".to_owned(),
            "user-service-2 four".to_owned(),
            format!("{order} five"),
        ];
        assert_eq!(all, expected);
        assert_eq!(last(&folder, &Filter::default(), 2), expected[3..]);
        assert!(last(&folder, &Filter::default(), 0).is_empty());
    }

    #[test]
    fn entries_are_chosen_by_trace_level_and_time() {
        let folder = two_services();
        let filter = Filter { trace: Some(TRACE.to_owned()), ..Filter::default() };
        assert_eq!(last(&folder, &filter, 9).len(), 1);
        let filter = Filter { level: Some(Level::Warn), ..Filter::default() };
        assert_eq!(last(&folder, &filter, 9).len(), 2);
        let since = DateTime::parse_from_rfc3339("2026-01-02T03:04:04Z").unwrap().to_utc();
        let filter = Filter { since: Some(since), ..Filter::default() };
        assert_eq!(last(&folder, &filter, 9), ["user-service-2 four", "order-service five"]);
    }

    #[test]
    fn the_run_before_stands_in_front_of_this_one() {
        let folder = Folder::new();
        folder.write("order-service.log.old", line(1, "INFO", "old").as_bytes());
        assert_eq!(last(&folder, &Filter::default(), 9), ["order-service old"]);
        folder.write("order-service.log", line(2, "INFO", "new").as_bytes());
        assert_eq!(
            last(&folder, &Filter::default(), 9),
            ["order-service old", "order-service new"]
        );
        assert_eq!(last(&folder, &Filter::default(), 1), ["order-service new"]);
    }

    #[test]
    fn following_begins_where_the_last_entries_end() {
        let folder = Folder::new();
        let half = "2026-01-02T03:04:09Z  INFO t: ni";
        let path = folder.write("order-service.log", (line(1, "INFO", "one") + half).as_bytes());
        let mut logs = Logs::open(&folder.0, &["order".to_owned()]).unwrap();
        let filter = Filter::default();
        assert_eq!(shown(&logs.last(&filter, 9).unwrap()), ["order-service one"]);
        let whole = line(1, "INFO", "one") + half + "ne\n";
        std::fs::write(path, whole).unwrap();
        let mut seen = Vec::new();
        for _ in 0..3 {
            seen.extend(shown(&logs.news(&filter).unwrap().0));
        }
        assert_eq!(seen, ["order-service nine"]);
    }

    #[test]
    fn services_are_named_with_or_without_their_ending() {
        let folder = two_services();
        let open = |name: &str| Logs::open(&folder.0, &[name.to_owned()]);
        for name in ["user", "user-service", "user-service-2"] {
            assert_eq!(open(name).unwrap().logs.len(), 1, "{name}");
        }
        for (name, said) in [
            ("nobody", "there are order-service, user-service-2"),
            ("payment", "has written nothing"),
            ("redis", "redis.log"),
        ] {
            let error = open(name).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        let error = Logs::open(&Folder::new().0, &[]).unwrap_err().to_string();
        assert!(error.contains("cargo ehub up"), "{error}");
    }
}
