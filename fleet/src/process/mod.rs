//! Processes that the tool starts: each leads its own process group, writes to its own log, and is
//! recorded so that it can be ended later, by this run of the tool or by another.

mod group;
mod reaper;
mod record;
mod usage;

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

pub use self::group::Group;
pub use self::reaper::Reaper;
pub use self::record::{Record, Records, identity};
pub use self::usage::{Usage, usage};
use crate::layout::Layout;
use crate::wait;

/// How much of a log an error message shows.
const LINES_SHOWN: usize = 20;

/// What to start.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Name of the process: of its log, of its record and in messages.
    pub name: String,
    /// The program.
    pub program: PathBuf,
    /// Its arguments; never a secret, because every account of the machine can read them.
    pub args: Vec<OsString>,
    /// Added to the environment.
    pub env: Vec<(String, String)>,
    /// Ports it will listen on, so that `down` can verify that they are free again.
    pub ports: Vec<u16>,
}

impl Spec {
    /// A process without arguments.
    pub fn new(name: impl Into<String>, program: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            ports: Vec::new(),
        }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Adds a variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Adds ports.
    #[must_use]
    pub fn ports(mut self, ports: impl IntoIterator<Item = u16>) -> Self {
        self.ports.extend(ports);
        self
    }
}

/// A running child. Dropping it kills it: only [`Process::detach`] lets it live on.
#[derive(Debug)]
pub struct Process {
    spec: Spec,
    layout: Layout,
    child: Child,
    ended: bool,
}

impl Process {
    /// Starts a process; its log of the previous run is kept as `*.log.old`.
    pub fn start(spec: Spec, layout: &Layout) -> Result<Self> {
        set_log_aside(&layout.log(&spec.name))?;
        Self::spawn(spec, layout.clone())
    }

    /// Starts it again as it was started, in the same log, after it has ended.
    pub fn start_again(&mut self) -> Result<()> {
        if !self.ended {
            self.kill()?;
        }
        *self = Self::spawn(self.spec.clone(), self.layout.clone())?;
        Ok(())
    }

    fn spawn(spec: Spec, layout: Layout) -> Result<Self> {
        let output = File::options().create(true).append(true).open(layout.log(&spec.name))?;
        let child = Command::new(&spec.program)
            .args(&spec.args)
            .envs(spec.env.iter().map(|(name, value)| (name, value)))
            .current_dir(layout.root())
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            // Ctrl-C in the terminal reaches the tool alone, which then stops things in order.
            .process_group(0)
            .spawn()
            .with_context(|| format!("{} cannot be started", spec.program.display()))?;
        Reaper::watch(child.id());
        let process = Self { spec, layout, child, ended: false };
        let record = Record::of(&process.spec, process.pid(), &process.log());
        let record = record.with_context(|| process.log_tail(LINES_SHOWN))?;
        process.records().save(&record)?;
        Ok(process)
    }

    /// Has it be another program from the next start on, with the same arguments and environment.
    pub fn set_program(&mut self, program: impl Into<PathBuf>) {
        self.spec.program = program.into();
    }

    /// The name given at the start.
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// What was started.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// The ports given at the start.
    pub fn ports(&self) -> &[u16] {
        &self.spec.ports
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has been seen to run and not been seen to end.
    pub fn is_running(&self) -> bool {
        !self.ended
    }

    /// The file its output goes to.
    pub fn log(&self) -> PathBuf {
        self.layout.log(&self.spec.name)
    }

    /// The last lines of its output.
    pub fn log_tail(&self, lines: usize) -> String {
        tail(&self.log(), lines)
    }

    /// Its exit status once it has ended by itself.
    pub fn exit_status(&mut self) -> Option<ExitStatus> {
        let status = self.child.try_wait().ok().flatten();
        if status.is_some() {
            self.forget();
        }
        status
    }

    /// Waits until the probe says yes; fails at once, with the end of its log, when it ends first.
    pub async fn ready<F, Fut>(&mut self, limit: Duration, mut probe: F) -> Result<()>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = bool>,
    {
        let what = format!("{} being ready", self.name());
        let answered = wait::until(&what, limit, || {
            let ended = self.exit_status();
            let answer = probe();
            async move {
                match ended {
                    Some(status) => bail!("it ended early ({status})"),
                    None => Ok(answer.await.then_some(())),
                }
            }
        });
        answered.await.map_err(|error| self.explain(&error))
    }

    /// The error together with the end of the log, which usually holds the cause.
    fn explain(&self, error: &anyhow::Error) -> anyhow::Error {
        let (log, tail) = (self.log(), self.log_tail(LINES_SHOWN));
        anyhow!("{}: {error:#}\n--- last lines of {} ---\n{tail}", self.name(), log.display())
    }

    /// Asks it to end, waits, and kills it when it does not.
    pub async fn stop(&mut self, grace: Duration) -> Result<ExitStatus> {
        self.signal(Signal::SIGTERM);
        let name = self.name().to_owned();
        let ended = wait::until(&name, grace, || {
            let status = self.exit_status();
            async move { Ok(status) }
        });
        match ended.await {
            Ok(status) => Ok(status),
            Err(_) => self.kill().with_context(|| format!("{name} cannot be killed")),
        }
    }

    /// Kills it with its whole group, as a crash would.
    pub fn kill(&mut self) -> Result<ExitStatus> {
        let _ = killpg(self.group(), Signal::SIGKILL);
        let status = self.child.wait()?;
        self.forget();
        Ok(status)
    }

    /// Sends a signal to the process.
    pub fn signal(&self, signal: Signal) {
        if !self.ended {
            let _ = kill(self.group(), signal);
        }
    }

    /// Lets it run on after this value, recorded for `down`.
    pub fn detach(mut self) {
        Reaper::forget(self.pid());
        self.ended = true;
    }

    fn forget(&mut self) {
        if !self.ended {
            self.ended = true;
            Reaper::forget(self.pid());
            self.records().remove(&self.spec.name);
        }
    }

    fn records(&self) -> Records {
        Records::new(self.layout.records())
    }

    fn group(&self) -> Pid {
        Pid::from_raw(self.pid().cast_signed())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.ended {
            let _ = self.kill();
        }
    }
}

/// The last lines of a file.
pub fn tail(file: &Path, lines: usize) -> String {
    let text = fs::read(file).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

fn set_log_aside(log: &Path) -> Result<()> {
    if let Some(folder) = log.parent() {
        fs::create_dir_all(folder)?;
    }
    if log.exists() {
        fs::rename(log, log.with_extension("log.old"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(name: &str) -> Layout {
        let folder = std::env::temp_dir().join(format!("ehub-{name}-{}", std::process::id()));
        Layout::discover().unwrap().with_state(folder)
    }

    #[tokio::test]
    async fn a_process_is_recorded_while_it_runs_and_forgotten_afterwards() {
        let layout = layout("recorded");
        let spec = Spec::new("sleeper", "/bin/sh").args(["-c", "echo started; exec sleep 600"]);
        let mut process = Process::start(spec, &layout).unwrap();
        let records = Records::new(layout.records());
        assert!(records.list().unwrap()[0].is_alive());
        let written = || async { Ok((!process.log_tail(1).is_empty()).then_some(())) };
        wait::until("output", Duration::from_secs(5), written).await.unwrap();
        assert_eq!(process.log_tail(1), "started");
        process.stop(Duration::from_secs(5)).await.unwrap();
        assert!(records.list().unwrap().is_empty());
        fs::remove_dir_all(layout.state()).unwrap();
    }

    #[tokio::test]
    async fn another_program_takes_over_at_the_next_start() {
        let layout = layout("renewed");
        let spec = Spec::new("shell", "/bin/sh").args(["-c", "echo \"$0\"; exec sleep 600"]);
        let mut process = Process::start(spec, &layout).unwrap();
        process.set_program("/bin/bash");
        for expected in ["/bin/sh", "/bin/bash"] {
            let said = || async { Ok((process.log_tail(1) == expected).then_some(())) };
            wait::until(expected, Duration::from_secs(5), said).await.unwrap();
            process.start_again().unwrap();
        }
        drop(process);
        fs::remove_dir_all(layout.state()).unwrap();
    }

    #[test]
    fn dropping_a_process_ends_it_with_its_children() {
        let layout = layout("dropped");
        let spec = Spec::new("parent", "/bin/sh").args(["-c", "sleep 600 & wait"]);
        let process = Process::start(spec, &layout).unwrap();
        let pid = process.pid();
        drop(process);
        assert_eq!(identity(pid), None);
        fs::remove_dir_all(layout.state()).unwrap();
    }
}
