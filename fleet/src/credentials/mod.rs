//! By what the services of a fleet prove who they are: certificates, and keys that sign events, for
//! development and tests.
//!
//! They lie in a folder of their own, readable by this account alone: `ca.pem`, `NAME.pem` with
//! `NAME.key` for each service, and `NAME.events.key` with `NAME.events.pub` for each producer. The authority's key stays there too, so that certificates can be
//! renewed while the services run, which take them up by themselves.

mod authority;
mod events;

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use chrono::Utc;
use serde::{Deserialize, Serialize};

pub use self::authority::{Authority, Issued};
use crate::services::Service;

/// Seconds of a day.
const DAY: u64 = 86_400;

/// How long the certificate of a service is good for.
const CERTIFICATE_LIFE: u64 = 14 * DAY;

/// How long the authority is good for.
const AUTHORITY_LIFE: u64 = 365 * DAY;

/// From when on before its end something is made anew.
const MARGIN: u64 = 7 * DAY;

/// How far back a life begins, for clocks that are behind ours.
const BACKDATED: u64 = 3_600;

/// From when to when a certificate is good, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    /// The beginning.
    pub from: u64,
    /// The end.
    pub until: u64,
}

impl Life {
    /// From now on for so many seconds.
    pub fn of(seconds: u64) -> Self {
        let now = now();
        Self { from: now.saturating_sub(BACKDATED), until: now + seconds }
    }

    /// One that is over.
    pub fn past() -> Self {
        let now = now();
        Self { from: now - 2 * DAY, until: now - DAY }
    }

    fn is_near_its_end(&self) -> bool {
        self.until < now() + MARGIN
    }
}

/// The folder of a fleet's certificates.
#[derive(Clone, Debug)]
pub struct Credentials {
    folder: PathBuf,
}

/// How long the files in a folder are good for.
#[derive(Serialize, Deserialize)]
struct Lives {
    authority: Life,
    certificates: Life,
}

impl Credentials {
    /// Those in `folder`; what is missing there, or near its end, is made.
    pub fn provide(folder: &Path) -> Result<Self> {
        let credentials = Self { folder: folder.to_owned() };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .with_context(|| format!("{} cannot be made", folder.display()))?;
        match credentials.lives() {
            Some(lives) if !lives.authority.is_near_its_end() => credentials.renew_if_due()?,
            _ => credentials.make(&Authority::new(Life::of(AUTHORITY_LIFE))?)?,
        }
        credentials.provide_event_keys()?;
        Ok(credentials)
    }

    /// Issues new certificates when the present ones come near their end. Running services take
    /// them up.
    pub fn renew_if_due(&self) -> Result<()> {
        match self.lives() {
            Some(lives) if lives.certificates.is_near_its_end() => {
                self.issue(&self.authority()?, lives.authority)
            }
            _ => Ok(()),
        }
    }

    /// The authority that issues in this folder.
    pub fn authority(&self) -> Result<Authority> {
        let key = fs::read_to_string(self.folder.join("ca.key"));
        let lives = self.lives().context("there are no certificates")?;
        Authority::with_key(&key.context("the authority's key cannot be read")?, lives.authority)
    }

    /// The file of the authority's certificate.
    pub fn ca(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// The file of a service's certificate.
    pub fn certificate(&self, service: &str) -> PathBuf {
        self.folder.join(format!("{service}.pem"))
    }

    /// The file of its private key.
    pub fn key(&self, service: &str) -> PathBuf {
        self.folder.join(format!("{service}.key"))
    }

    fn make(&self, authority: &Authority) -> Result<()> {
        write(&self.folder.join("ca.key"), &authority.key())?;
        write(&self.ca(), &authority.certificate)?;
        self.issue(authority, Life::of(AUTHORITY_LIFE))
    }

    fn issue(&self, authority: &Authority, authority_life: Life) -> Result<()> {
        let certificates = Life::of(CERTIFICATE_LIFE);
        for service in Service::ALL {
            let Issued { certificate, key } = authority.issue(service.name, certificates)?;
            write(&self.key(service.name), &key)?;
            write(&self.certificate(service.name), &certificate)?;
        }
        // Last: without it all of this is done again.
        let lives = Lives { authority: authority_life, certificates };
        write(&self.lives_file(), &serde_json::to_string(&lives)?)
    }

    fn lives(&self) -> Option<Lives> {
        let all_there = Service::ALL
            .iter()
            .flat_map(|service| [self.certificate(service.name), self.key(service.name)])
            .chain([self.ca(), self.folder.join("ca.key")])
            .all(|file| file.is_file());
        let text = fs::read_to_string(self.lives_file()).ok().filter(|_| all_there)?;
        serde_json::from_str(&text).ok()
    }

    fn lives_file(&self) -> PathBuf {
        self.folder.join("lives.json")
    }
}

/// Replaces a file as a whole, readable by this account alone.
fn write(path: &Path, text: &str) -> Result<()> {
    let beside = path.with_extension("new");
    let _ = fs::remove_file(&beside);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)
        .with_context(|| format!("{} cannot be written", beside.display()))?;
    file.write_all(text.as_bytes())?;
    Ok(fs::rename(&beside, path)?)
}

#[expect(
    clippy::disallowed_methods,
    reason = "certificates are good for the time of the services, which is the machine's"
)]
fn now() -> u64 {
    u64::try_from(Utc::now().timestamp()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

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

    #[test]
    fn every_service_has_a_key_that_others_cannot_read() {
        let folder = Folder::new();
        let credentials = Credentials::provide(&folder.0).unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder.0), 0o700);
        for service in Service::ALL {
            assert!(credentials.certificate(service.name).is_file());
            assert_eq!(mode(&credentials.key(service.name)), 0o600);
        }
        assert_eq!(mode(&folder.0.join("ca.key")), 0o600);
    }

    #[test]
    fn what_is_good_stays_and_what_is_nearly_over_is_made_anew() {
        let folder = Folder::new();
        let credentials = Credentials::provide(&folder.0).unwrap();
        let before = (folder.read("ca.pem"), folder.read("order-service.pem"));
        Credentials::provide(&folder.0).unwrap();
        assert_eq!((folder.read("ca.pem"), folder.read("order-service.pem")), before);

        let authority = Life::of(AUTHORITY_LIFE);
        let lives = Lives { authority, certificates: Life::of(MARGIN / 2) };
        write(&credentials.lives_file(), &serde_json::to_string(&lives).unwrap()).unwrap();
        credentials.renew_if_due().unwrap();
        assert_eq!(folder.read("ca.pem"), before.0, "the authority stays");
        assert_ne!(folder.read("order-service.pem"), before.1);

        let lives = Lives { authority: Life::of(MARGIN / 2), certificates: authority };
        write(&credentials.lives_file(), &serde_json::to_string(&lives).unwrap()).unwrap();
        Credentials::provide(&folder.0).unwrap();
        assert_ne!(folder.read("ca.pem"), before.0);
    }

    #[test]
    fn a_missing_file_has_everything_made_anew() {
        let folder = Folder::new();
        let credentials = Credentials::provide(&folder.0).unwrap();
        fs::remove_file(credentials.key("order-service")).unwrap();
        Credentials::provide(&folder.0).unwrap();
        assert!(credentials.key("order-service").is_file());
    }
}
