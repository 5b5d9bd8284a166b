//! A command with everything it starts: cargo, its compilers, and the tests that they become.

use std::process::ExitStatus;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};

use super::Reaper;

/// A running command that leads a process group. Dropping it kills the group.
#[derive(Debug)]
pub struct Group {
    child: Child,
    leader: Option<u32>,
}

impl Group {
    /// Starts a command; its output goes where it says.
    pub fn start(command: &mut Command) -> Result<Self> {
        let program = command.as_std().get_program().display().to_string();
        let child = command.process_group(0).spawn();
        let child = child.with_context(|| format!("{program} cannot be run"))?;
        let leader = child.id();
        if let Some(leader) = leader {
            Reaper::watch(leader);
        }
        Ok(Self { child, leader })
    }

    /// Waits until the command ends, and returns what it wrote to its standard output, if that is a pipe.
    pub async fn output(mut self) -> Result<(ExitStatus, Vec<u8>)> {
        let mut output = Vec::new();
        if let Some(mut pipe) = self.child.stdout.take() {
            pipe.read_to_end(&mut output).await?;
        }
        Ok((self.wait().await?, output))
    }

    /// Waits until the command ends.
    pub async fn wait(mut self) -> Result<ExitStatus> {
        let status = self.child.wait().await?;
        if let Some(leader) = self.leader.take() {
            Reaper::forget(leader);
        }
        Ok(status)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let Some(leader) = self.leader.take() else {
            return;
        };
        let _ = killpg(Pid::from_raw(leader.cast_signed()), Signal::SIGKILL);
        Reaper::forget(leader);
    }
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;
    use std::time::Duration;

    use tokio::io::{AsyncBufReadExt, BufReader};

    use super::*;
    use crate::process::identity;
    use crate::wait;

    #[tokio::test]
    async fn dropping_a_command_ends_what_it_has_started() {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "sleep 600 & echo $!; wait"]).stdout(Stdio::piped());
        let mut group = Group::start(&mut command).unwrap();
        let output = BufReader::new(group.child.stdout.take().unwrap());
        let line = output.lines().next_line().await.unwrap().unwrap();
        let grandchild: u32 = line.parse().unwrap();
        assert!(identity(grandchild).is_some());
        drop(group);
        assert!(wait::until_blocking(Duration::from_secs(5), || identity(grandchild).is_none()));
    }

    #[tokio::test]
    async fn what_a_command_writes_is_read_to_its_end() {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "echo first; echo last; exit 3"]).stdout(Stdio::piped());
        let (status, output) = Group::start(&mut command).unwrap().output().await.unwrap();
        assert_eq!((status.code(), output.as_slice()), (Some(3), &b"first\nlast\n"[..]));
    }

    #[tokio::test]
    async fn the_status_is_that_of_the_command() {
        let mut command = Command::new("/bin/sh");
        let group = Group::start(command.args(["-c", "exit 7"])).unwrap();
        assert_eq!(group.wait().await.unwrap().code(), Some(7));
    }
}
