//! Where things lie: the checkout, and the folder `.ehub` that holds everything the tool writes.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::environment;
use crate::services::Profile;

/// Paths of one set of running things; `cargo ehub up` and each test run have their own.
#[derive(Clone, Debug)]
pub struct Layout {
    root: PathBuf,
    state: PathBuf,
}

impl Layout {
    /// Finds the checkout from the current folder upwards, else takes the one that was built.
    pub fn discover() -> Result<Self> {
        let current = std::env::current_dir().context("the current folder cannot be read")?;
        let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let found = current.ancestors().find(|folder| is_checkout(folder)).map(Path::to_path_buf);
        let root = found.unwrap_or(built);
        let root = root.canonicalize().with_context(|| format!("{} is gone", root.display()))?;
        Ok(Self::at(root))
    }

    /// A checkout that is known.
    pub fn at(root: PathBuf) -> Self {
        Self { state: root.join(".ehub"), root }
    }

    /// The same checkout with another folder for data, logs and records.
    #[must_use]
    pub fn with_state(&self, state: PathBuf) -> Self {
        Self { root: self.root.clone(), state }
    }

    /// The checkout.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Everything the tool writes, `.ehub` by default.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// Programs that the tool installed without touching the system.
    pub fn programs(&self) -> PathBuf {
        self.root.join(".ehub/bin")
    }

    /// Data of a private server.
    pub fn data(&self, server: &str) -> PathBuf {
        self.state.join("data").join(server)
    }

    /// The logs of all processes.
    pub fn logs(&self) -> PathBuf {
        self.state.join("log")
    }

    /// The log of a process.
    pub fn log(&self, process: &str) -> PathBuf {
        self.logs().join(format!("{process}.log"))
    }

    /// Certificates and keys of the services.
    pub fn credentials(&self) -> PathBuf {
        self.state.join("credentials")
    }

    /// Records of running processes.
    pub fn records(&self) -> PathBuf {
        self.state.join("run")
    }

    /// Where cargo puts the binaries of a profile.
    pub fn binaries(&self, profile: Profile) -> PathBuf {
        let target = environment::find("CARGO_TARGET_DIR")
            .map_or_else(|| self.root.join("target"), |folder| self.root.join(folder));
        target.join(profile.folder())
    }

    /// The first executable file of that name in the tool's own folder, on the PATH, or in the
    /// system's folders for servers.
    pub fn find_program(&self, name: &str) -> Option<PathBuf> {
        environment::program_folders(self.programs())
            .into_iter()
            .map(|folder| folder.join(name))
            .find(|path| is_executable(path))
    }
}

fn is_checkout(folder: &Path) -> bool {
    folder.join("Cargo.lock").is_file() && folder.join("fleet/Cargo.toml").is_file()
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checkout_is_found_from_a_folder_inside_it() {
        let layout = Layout::discover().unwrap();
        assert!(layout.root().join("fleet/src/layout.rs").is_file());
        assert_eq!(layout.log("redis"), layout.root().join(".ehub/log/redis.log"));
    }

    #[test]
    fn a_program_on_the_path_is_found_and_a_made_up_one_is_not() {
        let layout = Layout::discover().unwrap();
        assert!(layout.find_program("sh").is_some());
        assert!(layout.find_program("no-such-program-anywhere").is_none());
    }
}
