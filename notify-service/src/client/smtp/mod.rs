//! Adapter: a server that takes messages for delivery (RFC 6409), spoken to by lettre, one connection per
//! message. Few messages are sent, and a connection that is kept is one that breaks.
//!
//! lettre's connections are used, not its transport: what a refusal means depends on what was refused. And
//! nothing that the server says leaves this module but its codes: servers repeat addresses.

#[cfg(test)]
mod fake;
mod plain;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::io;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use chassis::config::Secret;
use futures::FutureExt as _;
use lettre::message::header::ContentTransferEncoding;
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{
    AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters, TlsParametersBuilder,
};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailParameter};
use lettre::transport::smtp::response::{Response, Severity};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tokio::net::TcpStream;

use self::plain::PlainStream;
pub use super::mime::Sender;
use super::mime::{self, ADDRESS_NOT_ALLOWED};
use super::{MailError, Mailer};
use crate::model::Letter;

/// Longest farewell: the message is handed over by then.
const FAREWELL_MAX: Duration = Duration::from_secs(1);
/// "Start mail input".
const GO_ON: u16 = 354;
/// lettre's words for a connection that ended before the answer did.
const BROKEN_OFF: &str = "incomplete response";

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
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// A server answered with an unexpected code.
#[derive(Debug, thiserror::Error)]
#[error("the server answered with code {0}")]
struct Unexpected(u16);

/// A server does not speak as expected.
#[derive(Debug, thiserror::Error)]
#[error("the server does not speak SMTP")]
struct Malformed;

/// There is a password, and nothing that hides it.
#[derive(Debug, thiserror::Error)]
#[error("a password is not said in plain text")]
struct InPlainText;

/// Hands messages to a server.
pub struct SmtpMailer {
    server: Server,
    sender: Sender,
    tls: Option<TlsParameters>,
}

impl SmtpMailer {
    /// Hands messages of `sender` to `server`, whose certificate one of the authorities in the file
    /// `roots` has signed.
    pub fn new(server: Server, sender: Sender, roots: &Path) -> Result<Self, NoRoots> {
        let tls = match server.security {
            Security::None => None,
            Security::Tls | Security::StartTls => {
                let no_roots = |source| NoRoots { path: roots.display().to_string(), source };
                let found = authorities(roots).map_err(|error| no_roots(Some(error)))?;
                if found.is_empty() {
                    return Err(no_roots(None));
                }
                let tls = believing(found, &server.host);
                Some(tls.map_err(|error| no_roots(Some(error.into())))?)
            }
        };
        Ok(Self { server, sender, tls })
    }

    /// Says everything up to the acceptance of the message.
    async fn hand_over(&self, letter: &Letter) -> Result<AsyncSmtpConnection, MailError> {
        let message = mime::write(letter, &self.sender, ContentTransferEncoding::Base64)?;
        let mut connection = self.connect().await?;
        self.log_in(&mut connection).await?;
        let mut parameters = Vec::new();
        if !letter.to.is_ascii() {
            if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
                return Err(MailError::Refused { code: ADDRESS_NOT_ALLOWED });
            }
            parameters.push(MailParameter::SmtpUtfEight);
        }
        let mail = Mail::new(Some(message.from), parameters);
        done(&connection.command(mail).await.map_err(may_pass)?)?;
        let recipient = Rcpt::new(message.to, Vec::new());
        done(&connection.command(recipient).await.map_err(refusal)?)?;
        let answer = connection.command(Data).await.map_err(may_pass)?;
        if !answer.has_code(GO_ON) {
            return Err(MailError::unavailable(Unexpected(answer.code().into())));
        }
        done(&connection.message(&message.bytes).await.map_err(verdict)?)?;
        Ok(connection)
    }

    /// Opens a connection that is protected as it has to be, and introduces this side.
    async fn connect(&self) -> Result<AsyncSmtpConnection, MailError> {
        let Server { host, port, security, timeout, .. } = &self.server;
        let (address, me) =
            ((host.as_str(), *port), ClientId::Domain(self.sender.domain().to_owned()));
        if let (Security::Tls, Some(tls)) = (security, &self.tls) {
            let (longest, tls) = (Some(*timeout), Some(tls.clone()));
            let connected = AsyncSmtpConnection::connect_tokio1(address, longest, &me, tls, None);
            return connected.await.map_err(may_pass);
        }
        let stream = TcpStream::connect(address).await.map_err(MailError::unavailable)?;
        let stream = Box::new(PlainStream::new(stream));
        let connected = AsyncSmtpConnection::connect_with_transport(stream, &me).await;
        let mut connection = connected.map_err(may_pass)?;
        if let Some(tls) = &self.tls {
            connection.starttls(tls.clone(), &me).await.map_err(may_pass)?;
        }
        Ok(connection)
    }

    async fn log_in(&self, connection: &mut AsyncSmtpConnection) -> Result<(), MailError> {
        let Some(Account { name, password }) = &self.server.account else { return Ok(()) };
        if !connection.is_encrypted() {
            return Err(MailError::unavailable(InPlainText));
        }
        let credentials = Credentials::new(name.clone(), password.expose().to_owned());
        done(&connection.auth(DEFAULT_MECHANISMS, &credentials).await.map_err(may_pass)?)
    }
}

/// The authorities in a file. Those that cannot be read as one vouch for nobody.
fn authorities(roots: &Path) -> Result<Vec<Certificate>, Box<dyn Error + Send + Sync>> {
    let pem = std::fs::read(roots)?;
    let mut store = RootCertStore::empty();
    let mut believed = Vec::new();
    for found in CertificateDer::pem_slice_iter(&pem) {
        let certificate = found?;
        if store.add(certificate.clone()).is_ok() {
            believed.push(Certificate::from_der(certificate.to_vec())?);
        }
    }
    Ok(believed)
}

/// TLS with a host that one of these authorities has to vouch for, and no other.
fn believing(authorities: Vec<Certificate>, host: &str) -> Result<TlsParameters, SmtpError> {
    let nobody = TlsParameters::builder(host.to_owned()).certificate_store(CertificateStore::None);
    let builder = authorities.into_iter().fold(nobody, TlsParametersBuilder::add_root_certificate);
    builder.build_rustls()
}

/// Whether what was asked for is done. lettre takes "go on" (3yz) for agreement as well, and a server that
/// answers a message so has not accepted it.
fn done(answer: &Response) -> Result<(), MailError> {
    let code = answer.code();
    if code.severity == Severity::PositiveCompletion {
        return Ok(());
    }
    Err(MailError::unavailable(Unexpected(code.into())))
}

/// What has failed but may go better at another time, as soon as somebody has repaired it.
fn may_pass(error: SmtpError) -> MailError {
    match error.status() {
        Some(code) => MailError::unavailable(Unexpected(code.into())),
        None if error.is_response() => MailError::unavailable(Malformed),
        None => MailError::unavailable(error),
    }
}

/// What has failed, and the message is what was refused if the server says that it is for good.
fn refusal(error: SmtpError) -> MailError {
    match error.status() {
        Some(code) if error.is_permanent() => MailError::Refused { code: code.into() },
        _ => may_pass(error),
    }
}

/// What has failed after the message was said whole: the server may have it if its answer cannot be read,
/// and has not said so if there was none.
fn verdict(error: SmtpError) -> MailError {
    if is_unreadable(&error) { MailError::Unclear } else { refusal(error) }
}

/// Whether there was an answer, and none that can be read.
fn is_unreadable(error: &SmtpError) -> bool {
    let Some(source) = error.source() else { return false };
    if error.is_response() {
        return source.to_string() != BROKEN_OFF;
    }
    // What rustls cannot read is no answer of the server.
    let of_tls = |error: &io::Error| {
        error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()).is_some()
    };
    source
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::InvalidData && !of_tls(error))
}

#[async_trait]
impl Mailer for SmtpMailer {
    async fn send(&self, letter: &Letter) -> Result<(), MailError> {
        // lettre panics at some answers, such as a line of nothing but a blank to `EHLO`, and a worker
        // that panics takes its process with it. Nothing of the conversation is used after a panic.
        let handing_over = AssertUnwindSafe(self.hand_over(letter)).catch_unwind();
        let handed_over = tokio::time::timeout(self.server.timeout, handing_over).await;
        let handed_over = handed_over.map_err(MailError::unavailable)?;
        let mut connection = handed_over.map_err(|_| MailError::unavailable(Malformed))??;
        // Whatever becomes of the farewell, the server has the message.
        let _ = tokio::time::timeout(FAREWELL_MAX, connection.abort()).await;
        Ok(())
    }
}
