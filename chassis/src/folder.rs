//! A folder of files that belong to this account alone, replaced whole or not at all: what a process
//! keeps for its next life.
//!
//! Everything here waits for the disk; it is called on threads that may.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

/// Rights of everybody but the owner.
const RIGHTS_OF_OTHERS: u32 = 0o077;
/// The file by which this process learns which account it has.
const PROBE: &str = "probe";

/// A folder of this account.
pub(crate) struct Folder {
    path: PathBuf,
    /// The account that files have to belong to.
    owner: u32,
    /// The largest file that is read.
    bytes_max: u64,
}

impl Folder {
    /// Opens the folder, which is made when it is not there. What writes of `names` that were cut off
    /// have left behind is removed. A file of more than `bytes_max` bytes is not read.
    pub(crate) fn open(path: &Path, names: &[&str], bytes_max: u64) -> anyhow::Result<Self> {
        let shown = path.display();
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .with_context(|| format!("the folder {shown} cannot be made"))?;
        let owner = own_account(path).with_context(|| format!("{shown} cannot be written to"))?;
        let about = fs::symlink_metadata(path)?;
        if !about.is_dir() || about.uid() != owner || about.mode() & 0o022 != 0 {
            bail!("{shown} must be a folder of this account that nobody else may write to");
        }
        let folder = Self { path: path.to_owned(), owner, bytes_max };
        if let Err(error) = folder.clean(names) {
            tracing::warn!(error = %error, "left-over files not removed");
        }
        Ok(folder)
    }

    /// Reads a file; `None` when there is none.
    pub(crate) fn read(&self, name: &str) -> anyhow::Result<Option<Vec<u8>>> {
        let path = self.path.join(name);
        // The entry itself is looked at before it is opened, and what was opened once more: a link
        // that is put there in between leads to a file that fails the second look.
        match fs::symlink_metadata(&path) {
            Ok(about) if about.is_file() => {}
            Ok(_) => bail!("it is no plain file"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let file = File::open(&path)?;
        let about = file.metadata()?;
        if !about.is_file() || about.uid() != self.owner || about.mode() & RIGHTS_OF_OTHERS != 0 {
            bail!("it does not belong to this account alone (mode 0600)");
        }
        if about.len() > self.bytes_max {
            bail!("it has {} bytes", about.len());
        }
        let mut bytes = Vec::new();
        file.take(self.bytes_max).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// Replaces a file whole, so that a crash leaves the old one or the new one.
    pub(crate) fn replace(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let temporary = self.path.join(temporary(name));
        let written = create(&temporary)
            .and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&temporary, self.path.join(name)));
        if written.is_err() {
            let _best_effort = fs::remove_file(&temporary);
        }
        written
    }

    /// Removes files that are called as only those are that were not finished: nobody reads them, and
    /// a process that is killed again and again would fill the disk.
    pub(crate) fn clean(&self, names: &[&str]) -> io::Result<()> {
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name();
            let is_left_over = |name: &str| {
                let mut finished = names.iter().chain([&PROBE]);
                finished.any(|finished| is_temporary(name, finished))
            };
            if entry.file_type()?.is_file() && name.to_str().is_some_and(is_left_over) {
                remove(&entry.path())?;
            }
        }
        Ok(())
    }
}

/// What a file is called until it is finished.
fn temporary(name: &str) -> String {
    format!("{name}.{}", crate::id::new_id())
}

fn is_temporary(file: &str, name: &str) -> bool {
    let id = file.strip_prefix(name).and_then(|rest| rest.strip_prefix('.'));
    id.is_some_and(|id| crate::id::parse("file", id).is_ok())
}

/// Makes a file that was not there, for this account alone.
fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// The account of this process, as the file system knows it.
fn own_account(folder: &Path) -> io::Result<u32> {
    let probe = folder.join(temporary(PROBE));
    let owner = create(&probe)?.metadata()?.uid();
    remove(&probe)?;
    Ok(owner)
}

/// Removes a file, unless another process that cleans up has.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cut_off_writes_left_behind_is_removed_and_nothing_else() {
        let path = std::env::temp_dir().join(format!("eh-folder-{}", crate::id::new_id()));
        let folder = Folder::open(&path, &["a.json"], 5).unwrap();
        folder.replace("a.json", b"whole").unwrap();
        for left_over in [temporary("a.json"), temporary(PROBE)] {
            fs::write(path.join(left_over), "half").unwrap();
        }
        let others = ["a.json.bak", "b.json", &temporary("b.json")].map(str::to_owned);
        for other in &others {
            fs::write(path.join(other), "somebody's").unwrap();
        }
        let folder = Folder::open(&path, &["a.json"], 5).unwrap();
        assert_eq!(folder.read("a.json").unwrap().as_deref(), Some(&b"whole"[..]));
        let left = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name());
        let mut left: Vec<_> = left.map(|name| name.into_string().unwrap()).collect();
        let mut expected = others.to_vec();
        expected.push("a.json".to_owned());
        left.sort();
        expected.sort();
        assert_eq!(left, expected);
        fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn processes_that_open_a_folder_at_once_do_not_hinder_each_other() {
        let path = std::env::temp_dir().join(format!("eh-folder-{}", crate::id::new_id()));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let folder = Folder::open(&path, &["a.json"], 5).unwrap();
                        folder.clean(&["a.json"]).unwrap();
                    }
                });
            }
        });
        assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
        fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn a_write_that_fails_leaves_the_old_file_and_no_other() {
        let path = std::env::temp_dir().join(format!("eh-folder-{}", crate::id::new_id()));
        let folder = Folder::open(&path, &["a.json"], 5).unwrap();
        fs::create_dir(path.join("a.json")).unwrap();
        assert!(folder.replace("a.json", b"new").is_err());
        assert_eq!(fs::read_dir(&path).unwrap().count(), 1);
        assert!(folder.read("a.json").is_err(), "no plain file");
        fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn a_file_that_is_too_large_is_not_read() {
        let path = std::env::temp_dir().join(format!("eh-folder-{}", crate::id::new_id()));
        let folder = Folder::open(&path, &["a.json"], 5).unwrap();
        for (content, is_read) in [(&b"12345"[..], true), (b"123456", false)] {
            folder.replace("a.json", content).unwrap();
            assert_eq!(folder.read("a.json").is_ok(), is_read);
        }
        fs::remove_dir_all(path).unwrap();
    }
}
