//! Builds the services with cargo.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Result, bail};
use tokio::process::Command;

use crate::environment;
use crate::process::Group;

/// The arguments of cargo that build services and tests with failpoints and planted bugs: one build for
/// all that runs tests.
pub const TEST_BUILD: [&str; 4] = ["build", "--all-features", "--bins", "--tests"];

/// How the services are compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Quick to build.
    Debug,
    /// Quick to run.
    Release,
    /// Quick to run, with failpoints and planted bugs; never in the folder of what is shipped.
    Chaos,
}

impl Profile {
    /// The folder below `target` that holds its binaries.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Release => "release",
            Self::Chaos => "chaos",
        }
    }

    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Debug => &[],
            Self::Release => &["--release"],
            Self::Chaos => &["--profile", "chaos", "--all-features"],
        }
    }
}

/// The cargo that runs this tool, else the one on the PATH.
pub fn cargo(root: &Path) -> Command {
    let mut command =
        Command::new(environment::find("CARGO").unwrap_or_else(|| "cargo".to_owned()));
    command.current_dir(root).stdin(Stdio::null());
    // Left by `cargo run`: they tell about the package of this tool, and a dependency whose build
    // script watches them would be compiled anew each time cargo is called with and without.
    for name in environment::names_with(&["CARGO_PKG_", "CARGO_MANIFEST_"]) {
        command.env_remove(name);
    }
    command
}

/// Builds the whole workspace: building one package alone would resolve other features and compile
/// most dependencies a second time.
pub async fn build(root: &Path, profile: Profile) -> Result<()> {
    let mut command = cargo(root);
    command.args(["build", "--workspace", "--bins"]).args(profile.arguments());
    let status = Group::start(&mut command)?.wait().await?;
    if !status.success() {
        bail!("the services do not build ({status}); the compiler's message is above");
    }
    Ok(())
}
