//! Files that several processes write and read, any of which may be interrupted: each is replaced
//! as a whole, in the order of a list of steps, by one process at a time.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// One change of a folder: done, or not done.
#[derive(Debug)]
pub(super) enum Step {
    /// The file is there no more.
    Remove(PathBuf),
    /// The file holds this, and nobody else can read it.
    Write(PathBuf, String),
}

impl Step {
    pub(super) fn perform(&self) -> Result<()> {
        let (path, outcome) = match self {
            Self::Remove(path) => (path, remove(path)),
            Self::Write(path, text) => (path, write(path, text)),
        };
        outcome.with_context(|| format!("{} cannot be written", path.display()))
    }
}

/// Performs all steps, in order.
pub(super) fn perform(steps: &[Step]) -> Result<()> {
    steps.iter().try_for_each(Step::perform)
}

/// Makes a folder that nobody else can look into, unless it is there.
pub(super) fn make_folder(path: &Path) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("{} cannot be made", path.display()))
}

/// Waits until no other process writes, and keeps others from it until dropped.
pub(super) fn lock(path: &Path) -> Result<File> {
    let lock = || {
        let file =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
        file.lock().map(|()| file)
    };
    lock().with_context(|| format!("{} cannot be locked", path.display()))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Until the name leads to the new content, which is then whole and on the disk, it leads to the
/// old one.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    // Left by somebody who was interrupted.
    remove(&beside)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_data()?;
    fs::rename(&beside, path)
}
