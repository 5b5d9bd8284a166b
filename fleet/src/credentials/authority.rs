//! An authority of a fleet's own, and the certificates that it issues.

use std::time::Duration;

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};

use super::Life;

/// What stands before the name of a service: the fleet's trust domain.
const TRUST_DOMAIN: &str = "spiffe://enterprisehub/";

/// Whoever signs the certificates of a fleet.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate, in PEM.
    pub certificate: String,
}

/// A certificate with its private key, both in PEM.
#[derive(Clone)]
pub struct Issued {
    /// The certificate.
    pub certificate: String,
    /// The key.
    pub key: String,
}

impl Authority {
    /// Makes a new one.
    pub fn new(life: Life) -> Result<Self> {
        Self::with_key(&KeyPair::generate()?.serialize_pem(), life)
    }

    /// The one with this private key. Two of the same key are one to whoever verifies.
    pub fn with_key(key: &str, life: Life) -> Result<Self> {
        let key = KeyPair::from_pem(key).context("the authority's key is damaged")?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "EnterpriseHub development authority");
        // No further authorities below this one.
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        set_life(&mut params, life);
        let certificate = params.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), certificate })
    }

    /// Its private key in PEM.
    pub fn key(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// Issues a certificate for a service under both of its names: the URI by which servers know
    /// their callers, and the DNS name by which clients know the server that they wanted.
    pub fn issue(&self, service: &str, life: Life) -> Result<Issued> {
        let mut params = CertificateParams::new(vec![service.to_owned()])?;
        let uri = format!("{TRUST_DOMAIN}{service}");
        params.subject_alt_names.push(SanType::URI(uri.as_str().try_into()?));
        params.distinguished_name.push(DnType::CommonName, service);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        set_life(&mut params, life);
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Issued { certificate, key: key.serialize_pem() })
    }
}

fn set_life(params: &mut CertificateParams, life: Life) {
    let at = |unix: u64| date_time_ymd(1970, 1, 1) + Duration::from_secs(unix);
    params.not_before = at(life.from);
    params.not_after = at(life.until);
}
