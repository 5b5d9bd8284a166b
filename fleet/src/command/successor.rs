//! Going on as the tool of another build.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::layout::Layout;
use crate::services::Profile;

/// Replaces this process by the tool of that build: its proxies and its load work as hard as the
/// services, and must not be what slows them down.
pub(super) fn go_on_as(layout: &Layout, profile: Profile) -> Result<()> {
    let built = layout.binaries(profile).join("ehub").canonicalize()?;
    let own = std::env::current_exe()?;
    let Some(mut successor) = successor(&own, &built, std::env::args_os()) else {
        return Ok(());
    };
    let error = successor.exec();
    Err(error).with_context(|| format!("{} cannot be run", built.display()))
}

/// The same call of the tool as built, unless that is what runs already.
fn successor(own: &Path, built: &Path, call: impl Iterator<Item = OsString>) -> Option<Command> {
    if own == built {
        return None;
    }
    let mut command = Command::new(built);
    command.args(call.skip(1));
    Some(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tool_of_another_build_hands_its_call_on_and_that_of_this_build_works() {
        let layout = Layout::discover().unwrap();
        let built = layout.binaries(Profile::Chaos).join("ehub");
        let call = || ["ehub", "chaos", "--seed", "7"].map(OsString::from).into_iter();
        for other in [Profile::Debug, Profile::Release] {
            let own = layout.binaries(other).join("ehub");
            let successor = successor(&own, &built, call()).unwrap();
            assert_eq!(successor.get_program(), built.as_os_str());
            assert_eq!(successor.get_args().collect::<Vec<_>>(), ["chaos", "--seed", "7"]);
        }
        assert!(successor(&built, &built, call()).is_none(), "it would hand it on for ever");
    }
}
