//! The last good key set and revocations on disk, for a process that starts while the issuer of
//! tokens is away.
//!
//! What the folder holds is no secret: public keys, and identities of sessions that ended. But whoever
//! can write to it chooses the keys that are believed, and with them who everybody is, until the
//! issuer answers again. Hence: the folder and its files belong to the account of this process and are
//! closed to everybody else (0700, 0600), and a file that is not so, or is a link, is not read; a set is
//! believed for `max_age_s` after the issuer has told it, so that a withdrawn key does not come back
//! with an old file; and the issuer's own answer replaces it at once. An attacker who has the account
//! of the process itself is not kept out by any of this, and could as well change its memory.
//!
//! Nobody who serves waits for the disk: what is to be saved is put down, the latest of each kind, and
//! [`LastGood::keep`] writes it on a thread that may wait.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, bail};
use jsonwebtoken::jwk::JwkSet;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::revocation::RevocationSet;
use crate::clock::Clock;
use crate::folder::Folder;

const KEYS: &str = "keys.json";
const REVOCATIONS: &str = "revocations.json";
/// The largest file that is read, in bytes: far more than a set in force can have.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// How far a clock may have been put back since a set was saved, in seconds: more is a file from the
/// future, of which nobody knows how old it is.
const STEP_BACK_MAX_S: i64 = 60;

/// A folder with what the issuer said last.
pub struct LastGood {
    folder: Arc<Folder>,
    max_age_s: i64,
    clock: Arc<dyn Clock>,
    waiting: Mutex<Waiting>,
    /// Something waits to be written.
    news: Notify,
}

/// What is to be written, the latest of each kind.
#[derive(Default)]
struct Waiting {
    keys: Option<Saved<JwkSet>>,
    revocations: Option<Saved<RevocationSet>>,
}

#[derive(Serialize, Deserialize)]
struct Saved<T> {
    /// When the issuer told this, in seconds since the epoch.
    saved_at: i64,
    content: T,
}

impl LastGood {
    /// Opens the folder, which is made when it is not there. What is in it is believed for
    /// `max_age_s` seconds. It must be of one process alone.
    pub fn open(folder: &Path, max_age_s: u32, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        Ok(Self {
            folder: Arc::new(Folder::open(folder, &[KEYS, REVOCATIONS], FILE_BYTES_MAX)?),
            max_age_s: i64::from(max_age_s),
            clock,
            waiting: Mutex::default(),
            news: Notify::new(),
        })
    }

    /// Writes what is to be saved until `stop` is cancelled, and what is left then.
    pub async fn keep(&self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = self.news.notified() => {}
                () = stop.cancelled() => break,
            }
            self.write().await;
        }
        self.write().await;
    }

    /// The key set that was saved last, if it may be believed.
    pub(super) async fn keys(&self) -> Option<JwkSet> {
        self.load(KEYS).await
    }

    /// The revocations that were saved last, if they may be believed.
    pub(super) async fn revocations(&self) -> Option<RevocationSet> {
        self.load(REVOCATIONS).await
    }

    /// Has the key set that the issuer just told saved; only public keys have a form here.
    pub(super) fn save_keys(&self, keys: &JwkSet) {
        let saved_at = self.clock.now().timestamp();
        self.waiting().keys = Some(Saved { saved_at, content: keys.clone() });
        self.news.notify_one();
    }

    /// Has revocations saved that the issuer told at `read_at`, seconds since the epoch.
    pub(super) fn save_revocations(&self, set: RevocationSet, read_at: i64) {
        self.waiting().revocations = Some(Saved { saved_at: read_at, content: set });
        self.news.notify_one();
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn write(&self) {
        let Waiting { keys, revocations } = std::mem::take(&mut *self.waiting());
        if let Some(keys) = keys {
            self.replace(KEYS, keys).await;
        }
        if let Some(revocations) = revocations {
            self.replace(REVOCATIONS, revocations).await;
        }
    }

    async fn replace<T: Serialize + Send + 'static>(&self, name: &'static str, saved: Saved<T>) {
        let folder = Arc::clone(&self.folder);
        let written = at_the_disk(move || Ok(folder.replace(name, &serde_json::to_vec(&saved)?)?));
        if let Err(error) = written.await {
            tracing::warn!(file = name, error = format!("{error:#}"), "last good set not saved");
        }
    }

    async fn load<T: DeserializeOwned + Send + 'static>(&self, name: &'static str) -> Option<T> {
        let folder = Arc::clone(&self.folder);
        let read = at_the_disk(move || {
            let bytes = folder.read(name)?;
            Ok(bytes.map(|bytes| serde_json::from_slice::<Saved<T>>(&bytes)).transpose()?)
        });
        match read.await.and_then(|saved| saved.map(|saved| self.believe(saved)).transpose()) {
            Ok(content) => content,
            Err(error) => {
                tracing::warn!(file = name, error = format!("{error:#}"), "last good set not read");
                None
            }
        }
    }

    fn believe<T>(&self, saved: Saved<T>) -> anyhow::Result<T> {
        let age_s = self.clock.now().timestamp() - saved.saved_at;
        if !(-STEP_BACK_MAX_S..=self.max_age_s).contains(&age_s) {
            bail!("it is {age_s} s old");
        }
        Ok(saved.content)
    }
}

/// Does `work` on a thread that may wait for the disk.
async fn at_the_disk<T: Send + 'static>(
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(work).await.context("the thread ended")?
}

#[cfg(test)]
impl LastGood {
    /// Writes what is to be saved, as at the end of a process.
    pub(super) async fn flush(&self) {
        self.write().await;
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
    use std::path::PathBuf;

    use chrono::TimeDelta;

    use super::*;
    use crate::testing::clock::FixedClock;
    use crate::testing::tokens::TestIssuer;

    /// A folder that goes with the test.
    struct Place(PathBuf);

    impl Place {
        fn new() -> Self {
            Self(std::env::temp_dir().join(format!("eh-last-good-{}", crate::id::new_id())))
        }

        fn open(&self, clock: &Arc<FixedClock>) -> LastGood {
            LastGood::open(&self.0, 3600, clock.clone()).unwrap()
        }

        async fn save(&self, clock: &Arc<FixedClock>, keys: &JwkSet) {
            let last_good = self.open(clock);
            last_good.save_keys(keys);
            last_good.flush().await;
        }

        fn keys(&self) -> PathBuf {
            self.0.join(KEYS)
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[tokio::test]
    async fn what_was_saved_is_read_by_the_next_process_and_holds_no_private_key() {
        let (place, clock) = (Place::new(), Arc::new(FixedClock::default()));
        let issuer = TestIssuer::new();
        assert_eq!(place.open(&clock).keys().await, None);
        place.save(&clock, &issuer.key_set()).await;
        assert_eq!(place.open(&clock).keys().await, Some(issuer.key_set()));
        let text = fs::read_to_string(place.keys()).unwrap();
        assert!(!text.contains("\"d\""), "{text}");
        assert_eq!(fs::metadata(place.keys()).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(&place.0).unwrap().mode() & 0o777, 0o700);
        assert_eq!(fs::read_dir(&place.0).unwrap().count(), 1, "nothing else is left behind");
    }

    #[tokio::test]
    async fn what_others_could_have_written_is_not_believed() {
        let (place, clock) = (Place::new(), Arc::new(FixedClock::default()));
        place.save(&clock, &TestIssuer::new().key_set()).await;
        for mode in [0o620, 0o602, 0o640, 0o604, 0o666] {
            fs::set_permissions(place.keys(), fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(place.open(&clock).keys().await, None, "{mode:o}");
        }
        fs::set_permissions(place.keys(), fs::Permissions::from_mode(0o600)).unwrap();
        assert!(place.open(&clock).keys().await.is_some());
        fs::rename(place.keys(), place.0.join("elsewhere")).unwrap();
        symlink(place.0.join("elsewhere"), place.keys()).unwrap();
        assert_eq!(place.open(&clock).keys().await, None, "a link");
        fs::set_permissions(&place.0, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(LastGood::open(&place.0, 3600, clock).is_err());
    }

    #[tokio::test]
    async fn what_is_old_or_damaged_or_from_the_future_is_not_believed() {
        let (place, clock) = (Place::new(), Arc::new(FixedClock::default()));
        place.save(&clock, &TestIssuer::new().key_set()).await;
        let last_good = place.open(&clock);
        clock.advance(TimeDelta::seconds(3600));
        assert!(last_good.keys().await.is_some());
        clock.advance(TimeDelta::seconds(1));
        assert_eq!(last_good.keys().await, None);
        clock.advance(TimeDelta::seconds(-3661));
        assert!(last_good.keys().await.is_some(), "a clock may be put back a little");
        clock.advance(TimeDelta::seconds(-1));
        assert_eq!(last_good.keys().await, None);
        clock.advance(TimeDelta::seconds(61));
        fs::write(place.keys(), "{").unwrap();
        assert_eq!(last_good.keys().await, None);
    }

    #[tokio::test]
    async fn the_age_of_revocations_is_counted_from_when_they_were_read() {
        let (place, clock) = (Place::new(), Arc::new(FixedClock::default()));
        let read_at = clock.now().timestamp() - 3600;
        for (read_at, is_believed) in [(read_at, true), (read_at - 1, false)] {
            let last_good = place.open(&clock);
            last_good.save_revocations(RevocationSet::default(), read_at);
            last_good.flush().await;
            assert_eq!(place.open(&clock).revocations().await.is_some(), is_believed);
        }
    }

    #[tokio::test]
    async fn the_latest_set_is_written_also_when_it_came_with_the_stop() {
        let (place, clock) = (Place::new(), Arc::new(FixedClock::default()));
        let issuers = [TestIssuer::new(), TestIssuer::new()];
        let (last_good, stop) = (place.open(&clock), CancellationToken::new());
        let observed = async {
            last_good.save_keys(&issuers[0].key_set());
            while last_good.keys().await.is_none() {
                tokio::task::yield_now().await;
            }
            last_good.save_keys(&issuers[1].key_set());
            stop.cancel();
        };
        tokio::join!(last_good.keep(stop.clone()), observed);
        assert_eq!(place.open(&clock).keys().await, Some(issuers[1].key_set()));
    }
}
