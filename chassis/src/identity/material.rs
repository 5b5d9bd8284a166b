//! Certificates, key and authorities, read and made ready for connections in both directions.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{CertificateError, ClientConfig, RootCertStore, ServerConfig};

use super::{server_name, service_of};
use crate::config::TlsConfig;

/// The protocol inside: gRPC is HTTP/2 and nothing else.
const ALPN: &[u8] = b"h2";

/// Why certificates cannot be used. No text repeats what a file holds.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file cannot be read.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// Which configuration key names it.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("{} holds no {what} in PEM", path.display())]
    NotPem {
        /// Which configuration key names it.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
    /// The certificate names no service.
    #[error("the certificate names no service: {0}")]
    NoName(String),
    /// The certificate is another service's.
    #[error("the certificate is that of {found}, and this is {wanted}")]
    OtherService {
        /// Whose it is.
        found: String,
        /// Whose it should be.
        wanted: String,
    },
    /// The other services would not believe the certificate, for want of something in it.
    #[error("the certificate lacks {0}")]
    Lacks(String),
    /// Whoever is at the other end has shown no certificate.
    #[error("no certificate was shown")]
    NotShown,
    /// Whoever was called is another service.
    #[error("it is {found}, and {wanted} was called")]
    OtherPeer {
        /// Who it is.
        found: String,
        /// Who it should be.
        wanted: String,
    },
    /// The name of a service is not one that a certificate can bear.
    #[error("{0:?} is not a name that a certificate can bear")]
    Name(String),
    /// The authorities do not vouch for the certificate, or the key is not its.
    #[error("the certificate is of no use")]
    Tls(#[from] rustls::Error),
    /// There is no usable authority.
    #[error("the authorities are of no use")]
    Authorities(#[from] VerifierBuilderError),
}

impl IdentityError {
    /// The configuration key at fault.
    pub(super) fn key(&self) -> &'static str {
        match self {
            Self::Unreadable { key, .. } | Self::NotPem { key, .. } => key,
            Self::Authorities(_) => "tls.ca_path",
            _ => "tls.certificate_path",
        }
    }
}

/// One state of the files.
pub(super) struct Material {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    /// Of the files' contents, to recognise renewed ones.
    digest: [u8; 32],
}

impl Material {
    pub(super) fn load(service: &str, config: &TlsConfig) -> Result<Self, IdentityError> {
        let certificate = File::read("tls.certificate_path", config.certificate())?;
        let key = File::read("tls.key_path", config.key())?;
        let ca = File::read("tls.ca_path", config.ca())?;
        let chain = certificate.certificates()?;
        let own = service_of(&chain[0])?;
        if *own != *service {
            let (found, wanted) = (own.to_string(), service.to_owned());
            return Err(IdentityError::OtherService { found, wanted });
        }
        let mut roots = RootCertStore::empty();
        for authority in ca.certificates()? {
            roots.add(authority)?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let believed = Believed::new(Arc::new(roots), &provider)?;
        believed.check(service, &chain)?;
        let Believed { callers, servers } = believed;
        Ok(Self {
            server: Arc::new(server(&provider, callers, chain.clone(), key.private_key()?)?),
            client: Arc::new(client(&provider, servers, chain, key.private_key()?)?),
            digest: digest_of(&[&certificate, &key, &ca]),
        })
    }

    pub(super) fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server)
    }

    pub(super) fn client(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.client)
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

/// Who is believed, in both directions.
struct Believed {
    callers: Arc<dyn ClientCertVerifier>,
    servers: Arc<WebPkiServerVerifier>,
}

impl Believed {
    fn new(
        roots: Arc<RootCertStore>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, IdentityError> {
        let callers =
            WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(provider));
        let servers = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider));
        Ok(Self { callers: callers.build()?, servers: servers.build()? })
    }

    /// Looks at this service's own certificate as the others will: what they would not believe is
    /// found out here and not by the first connection.
    fn check(&self, service: &str, chain: &[CertificateDer<'_>]) -> Result<(), IdentityError> {
        let (own, issuers) = chain.split_first().ok_or(IdentityError::NotShown)?;
        let (name, now) = (server_name(service)?, UnixTime::now());
        self.callers
            .verify_client_cert(own, issuers, now)
            .map_err(|error| reason(error, "clientAuth", service))?;
        self.servers
            .verify_server_cert(own, issuers, &name, &[], now)
            .map_err(|error| reason(error, "serverAuth", service))?;
        Ok(())
    }
}

/// Says what is missing where something is; `usage` is what the certificate had to be good for.
fn reason(error: rustls::Error, usage: &str, service: &str) -> IdentityError {
    use CertificateError::{
        InvalidPurpose, InvalidPurposeContext, NotValidForName, NotValidForNameContext,
    };
    match error {
        rustls::Error::InvalidCertificate(InvalidPurpose | InvalidPurposeContext { .. }) => {
            IdentityError::Lacks(format!("the extended key usage {usage}"))
        }
        rustls::Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. }) => {
            IdentityError::Lacks(format!("the DNS name {service}"))
        }
        other => other.into(),
    }
}

/// A caller without a certificate of these authorities does not get through the handshake.
fn server(
    provider: &Arc<CryptoProvider>,
    callers: Arc<dyn ClientCertVerifier>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(callers)
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    // A resumed session would rest on a proof of earlier, perhaps by a certificate since expired.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// The server's chain, its time and its DNS name are checked by the library's own verifier, its URI
/// by whoever opens the connection.
fn client(
    provider: &Arc<CryptoProvider>,
    servers: Arc<WebPkiServerVerifier>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ClientConfig, rustls::Error> {
    let mut config = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&TLS13])?
        .with_webpki_verifier(servers)
        .with_client_auth_cert(chain, key)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}

struct File<'p> {
    key: &'static str,
    path: &'p Path,
    bytes: Vec<u8>,
}

impl<'p> File<'p> {
    fn read(key: &'static str, path: &'p Path) -> Result<Self, IdentityError> {
        match std::fs::read(path) {
            Ok(bytes) => Ok(Self { key, path, bytes }),
            Err(source) => Err(IdentityError::Unreadable { key, path: path.to_owned(), source }),
        }
    }

    /// All certificates in the file, of which there is at least one.
    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.bytes).collect();
        found.ok().filter(|found| !found.is_empty()).ok_or_else(|| self.not_pem("certificate"))
    }

    fn private_key(&self) -> Result<PrivateKeyDer<'static>, IdentityError> {
        PrivateKeyDer::from_pem_slice(&self.bytes).map_err(|_| self.not_pem("private key"))
    }

    fn not_pem(&self, what: &'static str) -> IdentityError {
        IdentityError::NotPem { key: self.key, path: self.path.to_owned(), what }
    }
}

fn digest_of(files: &[&File<'_>]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for file in files {
        context.update(&(file.bytes.len() as u64).to_be_bytes());
        context.update(&file.bytes);
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}
