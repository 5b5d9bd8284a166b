//! Certificates for tests: an authority, and what it issues for services.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chassis::config::{ConfigError, TlsConfig};
use chassis::id::new_id;
use chassis::identity::Identity;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType, date_time_ymd};

/// A folder with an authority and certificates, gone when dropped.
pub(crate) struct Folder {
    path: PathBuf,
    authority: Issuer<'static, KeyPair>,
}

impl Folder {
    pub(crate) fn new() -> Self {
        let path = std::env::temp_dir().join(format!("chassis-tls-{}", new_id()));
        std::fs::create_dir_all(&path).unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        std::fs::write(path.join("ca.pem"), certificate.pem()).unwrap();
        Self { path, authority: Issuer::new(params, key) }
    }

    /// Writes a certificate that names `name`, both ways.
    pub(crate) fn issue(&self, name: &str) {
        self.issue_with(name, |_| {});
    }

    /// The same with a change.
    pub(crate) fn issue_with(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let uri = format!("spiffe://enterprisehub/{name}");
        params.subject_alt_names.push(SanType::URI(uri.as_str().try_into().unwrap()));
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.authority).unwrap();
        std::fs::write(self.file(name, "pem"), certificate.pem()).unwrap();
        std::fs::write(self.file(name, "key"), key.serialize_pem()).unwrap();
    }

    pub(crate) fn config(&self, name: &str) -> TlsConfig {
        let text = |path: &Path| path.display().to_string();
        TlsConfig {
            certificate_path: text(&self.file(name, "pem")),
            key_path: text(&self.file(name, "key")),
            ca_path: text(&self.path.join("ca.pem")),
            ..TlsConfig::default()
        }
    }

    /// The identity of `name`, issued anew.
    pub(crate) fn identity(&self, name: &str) -> Option<Arc<Identity>> {
        self.issue(name);
        self.load(name).unwrap()
    }

    /// The identity that the files of `name` give.
    pub(crate) fn load(&self, name: &str) -> Result<Option<Arc<Identity>>, ConfigError> {
        Identity::load(name, &self.config(name))
    }

    pub(crate) fn file(&self, name: &str, extension: &str) -> PathBuf {
        self.path.join(format!("{name}.{extension}"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// Makes a certificate whose time is over.
pub(crate) fn expired(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2020, 2, 1);
}
