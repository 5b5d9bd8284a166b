//! By what the services of a fleet prove who they are: certificates, and keys that sign events, for
//! development and tests.
//!
//! They lie in a folder of their own, readable by this account alone, with a folder for each
//! service that holds what this service needs and nothing of another's:
//!
//! | file | what |
//! |---|---|
//! | `NAME/certificate.pem`, `NAME/key.pem` | who the service is |
//! | `NAME/ca.pem` | whose certificates it believes |
//! | `NAME/events.key`, `NAME/events.pub` | by what it signs events, if it tells of any |
//! | `NAME/PRODUCER.pub` | by what it knows the events of a producer that it listens to |
//! | `authority/` | the authority's key, and a record of what is finished; for no service |
//!
//! Certificates are renewed while the services run, which take them up by themselves. The record
//! is withdrawn before anything changes and written when all is done, so that whoever comes after
//! an interrupted process finishes its work.

mod authority;
mod events;
mod files;
mod life;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

pub use self::authority::{Authority, Issued};
use self::files::Step;
use self::life::DAY;
pub use self::life::Life;
use crate::services::Service;

/// How long the certificate of a service is good for.
const CERTIFICATE_LIFE: u64 = 14 * DAY;

/// How long the authority is good for: longer than any checkout, because services that run would
/// not know a new one at the moment in which the others have certificates of it.
const AUTHORITY_LIFE: u64 = 3_650 * DAY;

/// The folder of a fleet's certificates.
#[derive(Clone, Debug)]
pub struct Credentials {
    folder: PathBuf,
}

/// What is finished in a folder, and how long it is good for.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Lives {
    authority: Life,
    /// `None` while certificates are issued.
    certificates: Option<Life>,
}

impl Credentials {
    /// Those in `folder`; what is missing there, or near its end, is made. Waits for another
    /// process that does the same.
    pub fn provide(folder: &Path) -> Result<Self> {
        let credentials = Self::at(folder);
        files::make_folder(&credentials.of_authority())?;
        for service in Service::ALL {
            files::make_folder(&credentials.of(service.name))?;
        }
        let _alone = credentials.lock()?;
        files::perform(&credentials.due()?)?;
        files::perform(&credentials.due_event_keys()?)?;
        Ok(credentials)
    }

    /// Those in `folder`, as they are.
    pub fn at(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// Issues new certificates when the present ones come near their end. Running services take
    /// them up.
    pub fn renew_if_due(&self) -> Result<()> {
        if self.are_good() {
            return Ok(());
        }
        let _alone = self.lock()?;
        files::perform(&self.due()?)
    }

    /// Whether all certificates are there, and none is near its end.
    pub fn are_good(&self) -> bool {
        let lives = self.lives();
        lives.is_some_and(|lives| {
            !lives.authority.is_near_its_end()
                && lives.certificates.is_some_and(|life| !life.is_near_its_end())
                && self.are_all_there()
        })
    }

    /// The authority that issues in this folder.
    pub fn authority(&self) -> Result<Authority> {
        let lives = self.lives().context("there are no certificates")?;
        self.stored_authority(lives.authority)
    }

    /// The file of the authority's certificate, as a service has it.
    pub fn ca(&self, service: &str) -> PathBuf {
        self.of(service).join("ca.pem")
    }

    /// The file of a service's certificate.
    pub fn certificate(&self, service: &str) -> PathBuf {
        self.of(service).join("certificate.pem")
    }

    /// The file of its private key.
    pub fn key(&self, service: &str) -> PathBuf {
        self.of(service).join("key.pem")
    }

    /// What is to be done, in this order, for all certificates to be good.
    fn due(&self) -> Result<Vec<Step>> {
        if self.are_good() {
            return Ok(Vec::new());
        }
        let life = self.lives().map(|lives| lives.authority);
        let life = life.filter(|life| !life.is_near_its_end());
        match life.and_then(|life| Some((self.stored_authority(life).ok()?, life))) {
            Some((authority, life)) => self.issue(&authority, life),
            None => self.all_anew(),
        }
    }

    fn all_anew(&self) -> Result<Vec<Step>> {
        let life = Life::of(AUTHORITY_LIFE);
        let authority = Authority::new(life)?;
        let mut steps = vec![
            Step::Remove(self.record()),
            Step::Write(self.authority_key(), authority.key()),
            Step::Write(self.authority_certificate(), authority.certificate.clone()),
        ];
        steps.extend(self.issue(&authority, life)?);
        Ok(steps)
    }

    fn issue(&self, authority: &Authority, life: Life) -> Result<Vec<Step>> {
        let certificates = Life::of(CERTIFICATE_LIFE);
        let record = |certificates| {
            let lives = Lives { authority: life, certificates };
            Ok::<_, anyhow::Error>(Step::Write(self.record(), serde_json::to_string(&lives)?))
        };
        let mut steps = vec![record(None)?];
        for service in Service::ALL {
            let Issued { certificate, key } = authority.issue(service.name, certificates)?;
            steps.extend([
                Step::Write(self.ca(service.name), authority.certificate.clone()),
                Step::Write(self.key(service.name), key),
                Step::Write(self.certificate(service.name), certificate),
            ]);
        }
        steps.push(record(Some(certificates))?);
        Ok(steps)
    }

    fn stored_authority(&self, life: Life) -> Result<Authority> {
        let key = fs::read_to_string(self.authority_key());
        let certificate = fs::read_to_string(self.authority_certificate());
        let certificate = certificate.context("the authority's certificate cannot be read")?;
        let key = key.context("the authority's key cannot be read")?;
        let mut authority = Authority::with_key(&key, life)?;
        authority.certificate = certificate;
        Ok(authority)
    }

    fn are_all_there(&self) -> bool {
        Service::ALL
            .iter()
            .flat_map(|Service { name, .. }| {
                [self.ca(name), self.key(name), self.certificate(name)]
            })
            .chain([self.authority_key(), self.authority_certificate()])
            .all(|file| file.is_file())
    }

    fn lives(&self) -> Option<Lives> {
        serde_json::from_str(&fs::read_to_string(self.record()).ok()?).ok()
    }

    fn lock(&self) -> Result<fs::File> {
        files::lock(&self.of_authority().join("lock"))
    }

    fn of(&self, service: &str) -> PathBuf {
        self.folder.join(service)
    }

    fn of_authority(&self) -> PathBuf {
        self.folder.join("authority")
    }

    fn authority_key(&self) -> PathBuf {
        self.of_authority().join("ca.key")
    }

    fn authority_certificate(&self) -> PathBuf {
        self.of_authority().join("ca.pem")
    }

    fn record(&self) -> PathBuf {
        self.of_authority().join("lives.json")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use chassis::config::TlsConfig;
    use chassis::identity::Identity;

    use super::life::MARGIN;
    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            Self(std::env::temp_dir().join(format!("ehub-certs-{:032x}", rand::random::<u128>())))
        }

        fn read(&self, name: &str) -> String {
            fs::read_to_string(self.0.join(name)).unwrap()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    impl Credentials {
        /// Has the record say that things are good for so long.
        fn pretend(&self, authority: u64, certificates: u64) {
            let lives = Lives {
                authority: Life::of(authority),
                certificates: Some(Life::of(certificates)),
            };
            let text = serde_json::to_string(&lives).unwrap();
            Step::Write(self.record(), text).perform().unwrap();
        }

        /// Looks at everything as the services do, and at what the authority would issue next.
        fn assert_coherent(&self) {
            assert!(self.are_good());
            let text = |path: PathBuf| path.display().to_string();
            for Service { name, .. } in Service::ALL {
                let config = TlsConfig {
                    certificate_path: text(self.certificate(name)),
                    key_path: text(self.key(name)),
                    ca_path: text(self.ca(name)),
                    ..TlsConfig::default()
                };
                Identity::load(name, &config).unwrap();
                let (own, authority) = (self.ca(name), self.authority_certificate());
                assert_eq!(fs::read(own).unwrap(), fs::read(authority).unwrap(), "{name}");
            }
            let next = self.authority().unwrap().issue("order-service", Life::of(DAY)).unwrap();
            let beside = |name: &str, text: &str| {
                let path = self.of_authority().join(name);
                fs::write(&path, text).unwrap();
                path.display().to_string()
            };
            let config = TlsConfig {
                certificate_path: beside("next.pem", &next.certificate),
                key_path: beside("next.key", &next.key),
                ca_path: text(self.ca("order-service")),
                ..TlsConfig::default()
            };
            Identity::load("order-service", &config).unwrap();
        }
    }

    #[test]
    fn every_service_has_a_folder_that_others_cannot_read() {
        let folder = Folder::new();
        let credentials = Credentials::provide(&folder.0).unwrap();
        credentials.assert_coherent();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder.0), 0o700);
        for service in Service::ALL {
            assert_eq!(mode(&credentials.of(service.name)), 0o700);
            for file in fs::read_dir(credentials.of(service.name)).unwrap() {
                assert_eq!(mode(&file.unwrap().path()), 0o600);
            }
        }
        assert_eq!(mode(&credentials.authority_key()), 0o600);
    }

    #[test]
    fn what_is_good_stays_and_what_is_nearly_over_is_made_anew() {
        let folder = Folder::new();
        let credentials = Credentials::provide(&folder.0).unwrap();
        let of_order = |file: &str| folder.read(&format!("order-service/{file}"));
        let before = (of_order("ca.pem"), of_order("certificate.pem"));
        Credentials::provide(&folder.0).unwrap();
        assert_eq!((of_order("ca.pem"), of_order("certificate.pem")), before);

        credentials.pretend(AUTHORITY_LIFE, MARGIN / 2);
        assert!(!credentials.are_good());
        credentials.renew_if_due().unwrap();
        credentials.assert_coherent();
        assert_eq!(of_order("ca.pem"), before.0, "the authority stays");
        assert_ne!(of_order("certificate.pem"), before.1);

        credentials.pretend(MARGIN / 2, AUTHORITY_LIFE);
        Credentials::provide(&folder.0).unwrap();
        credentials.assert_coherent();
        assert_ne!(of_order("ca.pem"), before.0);
    }

    /// Spoils a good folder, has the work interrupted before each of its steps, and lets the next
    /// process finish it.
    fn interrupt(spoil: impl Fn(&Credentials)) {
        let folder = Folder::new();
        let credentials = Credentials::provide(&folder.0).unwrap();
        for done in 0.. {
            spoil(&credentials);
            let steps = credentials.due().unwrap();
            let Some(begun) = steps.get(..done) else { break };
            files::perform(begun).unwrap();
            Credentials::provide(&folder.0).unwrap();
            credentials.assert_coherent();
        }
    }

    #[test]
    fn an_interrupted_renewal_is_finished_by_the_next_run() {
        interrupt(|credentials| credentials.pretend(AUTHORITY_LIFE, MARGIN / 2));
    }

    #[test]
    fn an_interrupted_change_of_the_authority_is_finished_by_the_next_run() {
        // The record still says that all is good, as it did when the key was lost.
        interrupt(|credentials| fs::remove_file(credentials.authority_key()).unwrap());
    }

    #[test]
    fn a_missing_file_is_made_anew() {
        let folder = Folder::new();
        let credentials = Credentials::provide(&folder.0).unwrap();
        let before = folder.read("authority/ca.pem");
        fs::remove_file(credentials.key("order-service")).unwrap();
        Credentials::provide(&folder.0).unwrap();
        credentials.assert_coherent();
        assert_eq!(folder.read("authority/ca.pem"), before, "the authority stays");
    }

    #[test]
    fn runs_at_the_same_time_do_not_mix() {
        let folder = Folder::new();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| Credentials::provide(&folder.0).unwrap());
            }
        });
        Credentials::at(&folder.0).assert_coherent();
    }
}
