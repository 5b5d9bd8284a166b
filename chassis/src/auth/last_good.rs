//! The last good key set and revocations on disk, for a process that starts while the issuer of
//! tokens is away.
//!
//! What the folder holds is no secret: public keys, and identities of sessions that ended. But whoever
//! can write to it chooses the keys that are believed, and with them who everybody is, until the
//! issuer answers again. Hence: the folder and its files belong to the account of this process and are
//! closed to everybody else (0700, 0600), and a file that is not so, or is a link, is not read; a set is
//! believed for `max_age_s` only, so that a retired key does not come back with an old file; and the
//! issuer's own answer replaces it at once. An attacker who has the account of the process itself is not
//! kept out by any of this, and could as well change its memory.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use jsonwebtoken::jwk::JwkSet;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::revocation::RevocationSet;
use crate::clock::Clock;

/// The largest file that is read, in bytes: far more than a set in force can have.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
const KEYS: &str = "keys.json";
const REVOCATIONS: &str = "revocations.json";
/// Rights of everybody but the owner.
const RIGHTS_OF_OTHERS: u32 = 0o077;

/// A folder with what the issuer said last.
pub struct LastGood {
    folder: PathBuf,
    max_age_s: i64,
    clock: Arc<dyn Clock>,
    /// The account that files have to belong to.
    owner: u32,
}

#[derive(Serialize, Deserialize)]
struct Saved<T> {
    /// Seconds since the epoch.
    saved_at: i64,
    content: T,
}

impl LastGood {
    /// Opens the folder, which is made when it is not there. What is in it is believed for
    /// `max_age_s` seconds.
    pub fn open(folder: &Path, max_age_s: u32, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        let shown = folder.display();
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .with_context(|| format!("the folder {shown} cannot be made"))?;
        let owner = own_account(folder).with_context(|| format!("{shown} cannot be written to"))?;
        let about = fs::symlink_metadata(folder)?;
        if !about.is_dir() || about.uid() != owner || about.mode() & 0o022 != 0 {
            bail!("{shown} must be a folder of this account that nobody else may write to");
        }
        Ok(Self { folder: folder.to_owned(), max_age_s: i64::from(max_age_s), clock, owner })
    }

    /// The key set that was saved last, if it may be believed.
    pub(super) fn keys(&self) -> Option<JwkSet> {
        self.load(KEYS)
    }

    /// The revocations that were saved last, if they may be believed.
    pub(super) fn revocations(&self) -> Option<RevocationSet> {
        self.load(REVOCATIONS)
    }

    /// Saves a key set; only public keys have a form here.
    pub(super) fn save_keys(&self, keys: &JwkSet) {
        self.save(KEYS, keys);
    }

    /// Saves revocations.
    pub(super) fn save_revocations(&self, set: &RevocationSet) {
        self.save(REVOCATIONS, set);
    }

    fn load<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        match self.try_load(name) {
            Ok(content) => content,
            Err(error) => {
                tracing::warn!(file = name, error = format!("{error:#}"), "last good set not read");
                None
            }
        }
    }

    fn try_load<T: DeserializeOwned>(&self, name: &str) -> anyhow::Result<Option<T>> {
        let path = self.folder.join(name);
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
        let mut text = Vec::new();
        file.take(FILE_BYTES_MAX).read_to_end(&mut text)?;
        let saved: Saved<T> = serde_json::from_slice(&text)?;
        let age_s = self.clock.now().timestamp() - saved.saved_at;
        if !(0..=self.max_age_s).contains(&age_s) {
            bail!("it is {age_s} s old");
        }
        Ok(Some(saved.content))
    }

    fn save<T: Serialize>(&self, name: &str, content: &T) {
        if let Err(error) = self.try_save(name, content) {
            tracing::warn!(file = name, error = %error, "last good set not saved");
        }
    }

    /// The file is replaced whole, so that a crash leaves the old one or the new one.
    fn try_save<T: Serialize>(&self, name: &str, content: &T) -> io::Result<()> {
        let saved = Saved { saved_at: self.clock.now().timestamp(), content };
        let text = serde_json::to_vec(&saved)?;
        let temporary = self.folder.join(format!("{name}.{}", crate::id::new_id()));
        let written = create(&temporary)
            .and_then(|mut file| file.write_all(&text).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&temporary, self.folder.join(name)));
        if written.is_err() {
            let _best_effort = fs::remove_file(&temporary);
        }
        written
    }
}

/// Makes a file that was not there, for this account alone.
fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// The account of this process, as the file system knows it.
fn own_account(folder: &Path) -> io::Result<u32> {
    let probe = folder.join(format!("probe.{}", crate::id::new_id()));
    let owner = create(&probe)?.metadata()?.uid();
    fs::remove_file(&probe)?;
    Ok(owner)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use chrono::TimeDelta;

    use super::*;
    use crate::testing::clock::FixedClock;
    use crate::testing::tokens::TestIssuer;

    /// A folder that goes with the test.
    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            Self(std::env::temp_dir().join(format!("eh-last-good-{}", crate::id::new_id())))
        }

        fn open(&self, clock: &Arc<FixedClock>) -> LastGood {
            LastGood::open(&self.0, 3600, clock.clone()).unwrap()
        }

        fn keys(&self) -> PathBuf {
            self.0.join(KEYS)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn what_was_saved_is_read_by_the_next_process_and_holds_no_private_key() {
        let (folder, clock) = (Folder::new(), Arc::new(FixedClock::default()));
        let issuer = TestIssuer::new();
        assert_eq!(folder.open(&clock).keys(), None);
        folder.open(&clock).save_keys(&issuer.key_set());
        assert_eq!(folder.open(&clock).keys(), Some(issuer.key_set()));
        let text = fs::read_to_string(folder.keys()).unwrap();
        assert!(!text.contains("\"d\""), "{text}");
        assert_eq!(fs::metadata(folder.keys()).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(&folder.0).unwrap().mode() & 0o777, 0o700);
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1, "nothing else is left behind");
    }

    #[test]
    fn what_others_could_have_written_is_not_believed() {
        let (folder, clock) = (Folder::new(), Arc::new(FixedClock::default()));
        folder.open(&clock).save_keys(&TestIssuer::new().key_set());
        for mode in [0o620, 0o602, 0o640, 0o604, 0o666] {
            fs::set_permissions(folder.keys(), fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(folder.open(&clock).keys(), None, "{mode:o}");
        }
        fs::set_permissions(folder.keys(), fs::Permissions::from_mode(0o600)).unwrap();
        assert!(folder.open(&clock).keys().is_some());
        fs::rename(folder.keys(), folder.0.join("elsewhere")).unwrap();
        symlink(folder.0.join("elsewhere"), folder.keys()).unwrap();
        assert_eq!(folder.open(&clock).keys(), None, "a link");
        fs::set_permissions(&folder.0, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(LastGood::open(&folder.0, 3600, clock).is_err());
    }

    #[test]
    fn what_is_old_or_damaged_or_from_the_future_is_not_believed() {
        let (folder, clock) = (Folder::new(), Arc::new(FixedClock::default()));
        let last_good = folder.open(&clock);
        last_good.save_keys(&TestIssuer::new().key_set());
        clock.advance(TimeDelta::seconds(3600));
        assert!(last_good.keys().is_some());
        clock.advance(TimeDelta::seconds(1));
        assert_eq!(last_good.keys(), None);
        clock.advance(TimeDelta::seconds(-3602));
        assert_eq!(last_good.keys(), None);
        clock.advance(TimeDelta::seconds(1));
        fs::write(folder.keys(), "{").unwrap();
        assert_eq!(last_good.keys(), None);
    }
}
