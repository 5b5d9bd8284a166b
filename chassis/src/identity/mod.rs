//! Who this instance is to the other services, and how it knows who they are.
//!
//! Mutual TLS 1.3 with one certificate per service. A certificate names its service twice: by the
//! URI `spiffe://enterprisehub/NAME` (the form of an [X.509-SVID]), which a server reads of its
//! callers, and by the DNS name `NAME`. A client demands both of the server that it wanted. The
//! address has no say in either: addresses come out of a registry. What a proven caller may do is
//! for the table of each service ([`crate::grpc::Callers`]).
//!
//! Renewed files are taken up without a restart by connections made from then on; connections are
//! renewed at an age. Sessions are not resumed, because a resumed one would skip the proof.
//!
//! [X.509-SVID]: https://github.com/spiffe/spiffe/blob/main/standards/X509-SVID.md

mod material;
mod peer;

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_util::sync::CancellationToken;

pub use self::material::IdentityError;
use self::material::Material;
pub use self::peer::{Peer, service_of};
pub(crate) use self::peer::{demand, peer_of};
use crate::config::{ConfigError, TlsConfig, TlsMode};
use crate::error::Chain;

/// The certificate of this instance and the authorities that it believes.
pub struct Identity {
    service: String,
    config: TlsConfig,
    current: RwLock<Arc<Material>>,
}

impl Identity {
    /// Reads the files of `config` for an instance of `service`; `None` when it names none.
    ///
    /// Refused are files that cannot be read or do not belong together, a certificate of another
    /// service, and one that would not be believed at this time: because no authority vouches for
    /// it, or because it is not good for a caller and for a server of this name.
    pub fn load(service: &str, config: &TlsConfig) -> Result<Option<Arc<Self>>, ConfigError> {
        if config.is_off() {
            return Ok(None);
        }
        let material = Material::load(service, config)
            .map_err(|error| ConfigError::value(error.key(), Chain(&error).to_string()))?;
        let current = RwLock::new(Arc::new(material));
        let (service, config) = (service.to_owned(), config.clone());
        Ok(Some(Arc::new(Self { service, config, current })))
    }

    /// Takes up renewed files; tells whether there were any. After an error those of before stay.
    pub fn reload(&self) -> Result<bool, IdentityError> {
        let material = Material::load(&self.service, &self.config)?;
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let is_new = !material.is_same(&current);
        if is_new {
            *current = Arc::new(material);
        }
        Ok(is_new)
    }

    /// Looks for renewed files until `stop` is cancelled.
    pub async fn keep_fresh(self: Arc<Self>, stop: CancellationToken) {
        let every = self.config.reload_every();
        while stop.run_until_cancelled(tokio::time::sleep(every)).await.is_some() {
            // Three small local files, once in a while: not worth a thread.
            match self.reload() {
                Ok(true) => tracing::info!("certificates renewed"),
                Ok(false) => {}
                // Files are replaced one by one; the next look finds all of them.
                Err(error) => {
                    tracing::warn!(error = %Chain(&error), "certificates not renewed, the former stay");
                }
            }
        }
    }

    /// Accepts connections of services that prove who they are.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.material().server())
    }

    /// Opens connections, and proves who this is.
    pub(crate) fn connector(&self) -> TlsConnector {
        TlsConnector::from(self.material().client())
    }

    /// Whether callers without a certificate are turned away.
    pub(crate) fn demands_proof(&self) -> bool {
        self.config.mode == TlsMode::Require
    }

    /// Whether calls go out with the certificate; otherwise they are plain text.
    pub(crate) fn proves_itself(&self) -> bool {
        self.config.mode != TlsMode::Allow
    }

    /// Time in which a caller must have proven who it is.
    pub(crate) fn handshake_timeout(&self) -> Duration {
        self.config.handshake_timeout()
    }

    /// Age at which a connection is renewed.
    pub(crate) fn connection_max_age(&self) -> Duration {
        self.config.connection_max_age()
    }

    fn material(&self) -> Arc<Material> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("service", &self.service).finish_non_exhaustive()
    }
}

/// What the certificate of `service` must name for a client to speak to it.
pub(crate) fn server_name(service: &str) -> Result<ServerName<'static>, IdentityError> {
    ServerName::try_from(service.to_owned()).map_err(|_| IdentityError::Name(service.to_owned()))
}
