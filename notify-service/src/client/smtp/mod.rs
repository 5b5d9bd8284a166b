//! Adapter: a server that takes messages for delivery (RFC 6409), one connection per message. Few
//! messages are sent, and a connection that is kept is one that breaks.

mod session;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chassis::config::Secret;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use self::session::Session;
pub use super::mime::Sender;
use super::mime::{self, Encoding};
use super::{MailError, Mailer};
use crate::model::Letter;

/// Longest farewell: the message is handed over by then.
const FAREWELL_MAX: Duration = Duration::from_secs(1);
/// "Mailbox name not allowed": what a server answers who does not know such addresses.
const ADDRESS_NOT_ALLOWED: u16 = 553;

/// How a connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// By TLS from the start (port 465).
    Tls,
    /// By TLS before anything is said (port 587). A server that does not offer it gets no message.
    StartTls,
    /// Not at all: for development.
    None,
}

/// The account to log in with.
#[derive(Debug, Clone)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// Its password.
    pub password: Secret,
}

/// The server, and how it is spoken to.
#[derive(Debug, Clone)]
pub struct Server {
    /// Its host, which its certificate has to name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub security: Security,
    /// The account, if it asks for one.
    pub account: Option<Account>,
    /// Longest handing over of a message.
    pub timeout: Duration,
}

/// Why the authorities whose certificates are believed cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{path} holds no certificates that can be believed")]
pub struct NoRoots {
    path: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Hands messages to a server.
pub struct SmtpMailer {
    server: Server,
    sender: Sender,
    tls: Option<TlsConnector>,
}

impl SmtpMailer {
    /// Hands messages of `sender` to `server`, whose certificate one of the authorities in the file
    /// `roots` has signed.
    pub fn new(server: Server, sender: Sender, roots: &Path) -> Result<Self, NoRoots> {
        let tls = match server.security {
            Security::None => None,
            Security::Tls | Security::StartTls => {
                let no_roots = |source| NoRoots { path: roots.display().to_string(), source };
                let config = client_config(roots).map_err(|error| no_roots(Some(error)))?;
                Some(TlsConnector::from(Arc::new(config.ok_or_else(|| no_roots(None))?)))
            }
        };
        Ok(Self { server, sender, tls })
    }

    /// Says everything up to the acceptance of the message.
    async fn hand_over(&self, letter: &Letter) -> Result<Session, MailError> {
        let mut session = self.connect().await?;
        if let Some(account) = &self.server.account {
            let Account { name, password } = account;
            let plain = format!("\0{name}\0{}", password.expose());
            session.must("AUTH PLAIN ", &STANDARD.encode(plain), &[235]).await?;
        }
        let needs_utf8 = !letter.to.is_ascii();
        if needs_utf8 && !session.offers("SMTPUTF8") {
            return Err(MailError::Refused { code: ADDRESS_NOT_ALLOWED });
        }
        let from =
            format!("<{}>{}", self.sender.address, if needs_utf8 { " SMTPUTF8" } else { "" });
        session.must("MAIL FROM:", &from, &[250]).await?;
        session.may("RCPT TO:", &format!("<{}>", letter.to), &[250, 251]).await?;
        session.must("DATA", "", &[354]).await?;
        session.text(&mime::write(letter, &self.sender, Encoding::Base64)).await?;
        Ok(session)
    }

    async fn connect(&self) -> Result<Session, MailError> {
        let Server { host, port, security, .. } = &self.server;
        let stream = TcpStream::connect((host.as_str(), *port)).await;
        let stream = stream.map_err(MailError::unavailable)?;
        let me = self.sender.domain();
        match (security, &self.tls) {
            (Security::Tls, Some(tls)) => {
                let stream = tls.connect(self.name()?, stream).await;
                Session::begin(Box::new(stream.map_err(MailError::unavailable)?), me).await
            }
            (Security::StartTls, Some(tls)) => {
                let session = Session::begin(Box::new(stream), me).await?;
                let stream = tls.connect(self.name()?, session.start_tls().await?).await;
                Session::resume(Box::new(stream.map_err(MailError::unavailable)?), me).await
            }
            _ => Session::begin(Box::new(stream), me).await,
        }
    }

    fn name(&self) -> Result<ServerName<'static>, MailError> {
        ServerName::try_from(self.server.host.clone()).map_err(MailError::unavailable)
    }
}

/// The authorities in a file; `None` when there are none.
fn client_config(
    roots: &Path,
) -> Result<Option<ClientConfig>, Box<dyn std::error::Error + Send + Sync>> {
    let pem = std::fs::read(roots)?;
    let mut store = RootCertStore::empty();
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>()?;
    let (believed, _) = store.add_parsable_certificates(certificates);
    if believed == 0 {
        return Ok(None);
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions()?;
    Ok(Some(builder.with_root_certificates(store).with_no_client_auth()))
}

#[async_trait]
impl Mailer for SmtpMailer {
    async fn send(&self, letter: &Letter) -> Result<(), MailError> {
        let handed_over = tokio::time::timeout(self.server.timeout, self.hand_over(letter)).await;
        let mut session = handed_over.map_err(MailError::unavailable)??;
        // Whatever becomes of the farewell, the server has the message.
        let _ = tokio::time::timeout(FAREWELL_MAX, session.must("QUIT", "", &[221])).await;
        Ok(())
    }
}
