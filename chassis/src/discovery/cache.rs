//! The last good endpoints on disk, for a process that starts while its registry is away.
//!
//! What the files hold is no secret, and little is believed of it: whoever could write there would
//! say where calls go, but not who answers, which is proven by certificates. Hence the folder and
//! its files belong to the account of this process alone. A file that is older than
//! `discovery.cache_max_age_s`, of another form, about another service or from another registry
//! than the configured one is as good as absent, and so is one that cannot be read.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use serde::{Deserialize, Serialize};

use super::Endpoint;
use crate::clock::Clock;
use crate::config::{ConfigError, DiscoveryConfig};
use crate::folder::Folder;

/// The form of the files; another one is not read.
const VERSION: u32 = 1;
/// The largest file that is read, in bytes: more than the largest set needs.
const FILE_BYTES_MAX: u64 = 512 * 1024;
/// Endpoints that are kept of a service: any of them leads to it.
const ENDPOINTS_MAX: usize = 1_000;
/// How far a clock may have been put back since a set was saved, in seconds.
const STEP_BACK_MAX_S: i64 = 60;

/// A folder with what the registry said last, a file for each service.
pub struct EndpointCache {
    folder: Arc<Folder>,
    registry: String,
    max_age_s: i64,
    clock: Arc<dyn Clock>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    version: u32,
    /// The registry that told this; by it fleets are told apart.
    registry: String,
    service: String,
    /// When the registry told this, in seconds since the epoch.
    told_at: i64,
    endpoints: Vec<String>,
}

impl EndpointCache {
    /// Opens the configured folder, which is made when it is not there; `None` when there is to be
    /// none. It must be of one process alone.
    pub fn open(
        config: &DiscoveryConfig,
        clock: Arc<dyn Clock>,
    ) -> Result<Option<Self>, ConfigError> {
        if config.cache_dir.is_empty() {
            return Ok(None);
        }
        let folder = Folder::open(Path::new(&config.cache_dir), &[], FILE_BYTES_MAX)
            .map_err(|error| ConfigError::value("discovery.cache_dir", format!("{error:#}")))?;
        Ok(Some(Self {
            folder: Arc::new(folder),
            registry: config.consul_url.trim_end_matches('/').to_owned(),
            max_age_s: i64::from(config.cache_max_age_s),
            clock,
        }))
    }

    /// The endpoints of `service` that were saved last, if they may be believed.
    pub(super) async fn recall(&self, service: &str) -> Option<Vec<Endpoint>> {
        let (folder, file) = (Arc::clone(&self.folder), file_of(service)?);
        let read = at_the_disk(move || {
            // Here and not on opening, because the names of services are not known there.
            folder.clean(&[&file])?;
            folder.read(&file)
        });
        let believed = match read.await {
            Ok(None) => return None,
            Ok(Some(bytes)) => self.believe(service, &bytes),
            Err(error) => Err(error),
        };
        believed
            .inspect_err(|error| {
                let error = format!("{error:#}");
                tracing::warn!(service, error, "saved endpoints not used");
            })
            .ok()
    }

    /// Saves endpoints that the registry told just now.
    pub(super) async fn save(&self, service: &str, endpoints: &[Endpoint]) {
        let Some(file) = file_of(service) else { return };
        let saved = Saved {
            version: VERSION,
            registry: self.registry.clone(),
            service: service.to_owned(),
            told_at: self.clock.now().timestamp(),
            endpoints: endpoints.iter().take(ENDPOINTS_MAX).map(Endpoint::to_string).collect(),
        };
        let folder = Arc::clone(&self.folder);
        let written =
            at_the_disk(move || Ok(folder.replace(&file, &serde_json::to_vec(&saved)?)?)).await;
        if let Err(error) = written {
            tracing::warn!(service, error = format!("{error:#}"), "endpoints not saved");
        }
    }

    fn believe(&self, service: &str, bytes: &[u8]) -> anyhow::Result<Vec<Endpoint>> {
        let saved: Saved = serde_json::from_slice(bytes)?;
        ensure!(saved.version == VERSION, "its form is {}", saved.version);
        ensure!(saved.registry == self.registry, "it is from another registry");
        ensure!(saved.service == service, "it is about another service");
        let age_s = self.clock.now().timestamp().saturating_sub(saved.told_at);
        if !(-STEP_BACK_MAX_S..=self.max_age_s).contains(&age_s) {
            bail!("it is {age_s} s old");
        }
        let count = saved.endpoints.len();
        ensure!((1..=ENDPOINTS_MAX).contains(&count), "it has {count} endpoints");
        saved.endpoints.iter().map(|text| Ok(Endpoint::parse(text)?)).collect()
    }
}

/// The file of a service; none for a name that no service of a fleet has, which might lead elsewhere.
fn file_of(service: &str) -> Option<String> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let is_known = !service.is_empty() && service.len() <= 64 && service.bytes().all(is_name);
    is_known.then(|| format!("{service}.json"))
}

/// Does `work` on a thread that may wait for the disk.
async fn at_the_disk<T: Send + 'static>(
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(work).await.context("the thread ended")?
}

#[cfg(test)]
pub(super) mod tests {
    use std::fs;
    use std::path::PathBuf;

    use chrono::TimeDelta;

    use super::*;
    use crate::testing::clock::FixedClock;

    /// A folder that goes with the test.
    pub(in crate::discovery) struct Place(PathBuf);

    impl Place {
        pub(in crate::discovery) fn new() -> Self {
            Self(std::env::temp_dir().join(format!("eh-endpoints-{}", crate::id::new_id())))
        }

        pub(in crate::discovery) fn open(&self, clock: &Arc<FixedClock>) -> EndpointCache {
            self.open_for("http://127.0.0.1:8500", clock)
        }

        fn open_for(&self, consul_url: &str, clock: &Arc<FixedClock>) -> EndpointCache {
            let config = DiscoveryConfig {
                consul_url: consul_url.to_owned(),
                cache_dir: self.0.display().to_string(),
                cache_max_age_s: 3_600,
                ..DiscoveryConfig::default()
            };
            EndpointCache::open(&config, clock.clone()).unwrap().unwrap()
        }

        fn file(&self) -> PathBuf {
            self.0.join("order-service.json")
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn endpoints() -> Vec<Endpoint> {
        vec![Endpoint::new("10.0.0.7", 50_053), Endpoint::new("::1", 50_053)]
    }

    #[test]
    fn without_a_folder_nothing_is_kept() {
        let clock = Arc::new(FixedClock::default());
        assert!(EndpointCache::open(&DiscoveryConfig::default(), clock).unwrap().is_none());
    }

    #[tokio::test]
    async fn what_was_saved_is_read_by_the_next_process() {
        let (place, clock) = (Place::new(), Arc::new(FixedClock::default()));
        assert_eq!(place.open(&clock).recall("order-service").await, None);
        place.open(&clock).save("order-service", &endpoints()).await;
        assert_eq!(place.open(&clock).recall("order-service").await, Some(endpoints()));
        assert_eq!(place.open(&clock).recall("user-service").await, None);
        // A slash at the end is no other registry.
        let same = place.open_for("http://127.0.0.1:8500/", &clock);
        assert_eq!(same.recall("order-service").await, Some(endpoints()));
    }

    #[tokio::test]
    async fn what_is_old_or_from_the_future_is_not_believed() {
        let (place, clock) = (Place::new(), Arc::new(FixedClock::default()));
        let cache = place.open(&clock);
        cache.save("order-service", &endpoints()).await;
        for (step_s, is_believed) in [(3_600, true), (1, false), (-3_661, true), (-1, false)] {
            clock.advance(TimeDelta::seconds(step_s));
            assert_eq!(cache.recall("order-service").await.is_some(), is_believed, "{step_s}");
        }
    }

    #[tokio::test]
    async fn what_is_about_others_is_not_believed() {
        let (place, clock) = (Place::new(), Arc::new(FixedClock::default()));
        place.open(&clock).save("order-service", &endpoints()).await;
        let elsewhere = place.open_for("http://192.0.2.1:8500", &clock);
        assert_eq!(elsewhere.recall("order-service").await, None, "another registry");
        fs::rename(place.file(), place.0.join("user-service.json")).unwrap();
        assert_eq!(place.open(&clock).recall("user-service").await, None, "another service");
    }

    #[tokio::test]
    async fn what_is_damaged_is_not_believed_and_is_overwritten() {
        let (place, clock) = (Place::new(), Arc::new(FixedClock::default()));
        let cache = place.open(&clock);
        cache.save("order-service", &endpoints()).await;
        let good = fs::read_to_string(place.file()).unwrap();
        let huge = " ".repeat(usize::try_from(FILE_BYTES_MAX).unwrap() + 1);
        for bad in [
            "",
            "{",
            &good[..good.len() / 2],
            &good.replace("\"version\":1", "\"version\":2"),
            &good.replace("\"version\"", "\"surplus\":1,\"version\""),
            &good.replace("10.0.0.7:50053", "10.0.0.7"),
            &good.replace("\"10.0.0.7:50053\",\"[::1]:50053\"", ""),
            &format!("{good}{huge}"),
        ] {
            fs::write(place.file(), bad).unwrap();
            assert_eq!(cache.recall("order-service").await, None, "{bad:.200}");
        }
        cache.save("order-service", &endpoints()).await;
        assert_eq!(cache.recall("order-service").await, Some(endpoints()));
    }

    #[tokio::test]
    async fn a_large_set_is_cut_and_the_names_of_files_are_those_of_services() {
        let (place, clock) = (Place::new(), Arc::new(FixedClock::default()));
        let cache = place.open(&clock);
        let many: Vec<_> = (1..=2_000).map(|port| Endpoint::new("10.0.0.7", port)).collect();
        cache.save("order-service", &many).await;
        assert_eq!(cache.recall("order-service").await.unwrap(), many[..ENDPOINTS_MAX]);
        for odd in ["", "../order-service", "a/b", "a.b", &"a".repeat(65)] {
            cache.save(odd, &endpoints()).await;
            assert_eq!(cache.recall(odd).await, None, "{odd}");
        }
        assert_eq!(fs::read_dir(&place.0).unwrap().count(), 1);
    }
}
