//! Ends the children of a process that died without a chance to do so itself.
//!
//! A test that is killed runs no destructor. The reaper is a small shell that reads from a pipe
//! which only this process holds: the kernel closes it whatever the cause of death, and the shell
//! then kills the process groups that are still on its list.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

const SCRIPT: &str = r#"
groups=
while read -r sign group; do
    others=
    for known in $groups; do [ "$known" = "$group" ] || others="$others $known"; done
    groups=$others
    [ "$sign" = "-" ] || groups="$groups $group"
done
for group in $groups; do kill -s KILL -- "-$group" 2>/dev/null; done
"#;

static REAPER: Mutex<Option<Reaper>> = Mutex::new(None);

/// The shell and the pipe to it; one per process, on demand.
#[derive(Debug)]
pub struct Reaper {
    pipe: ChildStdin,
    #[cfg_attr(not(test), expect(dead_code, reason = "held, so that it is not awaited"))]
    shell: Child,
}

impl Reaper {
    /// From now on, the death of this process ends every process it started and did not detach.
    pub fn install() -> Result<()> {
        let mut slot = REAPER.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.is_none() {
            *slot = Some(Self::start()?);
        }
        Ok(())
    }

    /// Puts a process group on the list; nothing happens without [`Reaper::install`].
    pub fn watch(group: u32) {
        Self::tell('+', group);
    }

    /// Takes a process group from the list.
    pub fn forget(group: u32) {
        Self::tell('-', group);
    }

    fn start() -> Result<Self> {
        let mut shell = Command::new("/bin/sh")
            .args(["-c", SCRIPT])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Out of reach of a Ctrl-C that ends its parent.
            .process_group(0)
            .spawn()
            .context("/bin/sh cannot be started")?;
        let pipe = shell.stdin.take().context("the shell has no input")?;
        Ok(Self { pipe, shell })
    }

    fn tell(sign: char, group: u32) {
        let mut slot = REAPER.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reaper) = slot.as_mut() {
            let _ = writeln!(reaper.pipe, "{sign} {group}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::process::identity;
    use crate::wait;

    fn sleeper() -> Child {
        Command::new("sleep").arg("600").process_group(0).spawn().unwrap()
    }

    #[test]
    fn a_closed_pipe_ends_what_is_still_on_the_list() {
        let mut reaper = Reaper::start().unwrap();
        let (mut watched, mut forgotten) = (sleeper(), sleeper());
        writeln!(reaper.pipe, "+ {}\n+ {}", watched.id(), forgotten.id()).unwrap();
        writeln!(reaper.pipe, "- {}", forgotten.id()).unwrap();
        let Reaper { pipe, mut shell } = reaper;
        drop(pipe);
        shell.wait().unwrap();
        assert!(wait::until_blocking(Duration::from_secs(5), || {
            watched.try_wait().unwrap().is_some()
        }));
        assert!(identity(forgotten.id()).is_some());
        forgotten.kill().unwrap();
        forgotten.wait().unwrap();
    }
}
