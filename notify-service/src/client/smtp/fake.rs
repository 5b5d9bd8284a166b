//! The server that the tests hand messages to.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::{Account, Security, Server};

/// A server on loopback that answers as it is told, and remembers what it was told.
pub(super) struct Fake {
    listener: TcpListener,
    security: Security,
    heard: Mutex<Vec<String>>,
}

/// What a server says to what begins so; else 250. U+FFFD stands for a byte that is no text, and an empty
/// answer for a connection that is broken off.
pub(super) type Script = &'static [(&'static str, &'static str)];

pub(super) const GREETING: &str = "220 mx.example";
const USUAL: Script = &[
    ("EHLO", "250-mx.example\r\n250-SMTPUTF8\r\n250 AUTH PLAIN"),
    ("STARTTLS", "220 begin"),
    ("AUTH", "235 welcome"),
    ("DATA", "354 go on"),
    ("QUIT", "221 bye"),
];
/// How a server begins that offers TLS.
pub(super) const OFFERS_TLS: (&str, &str) =
    ("EHLO", "250-mx.example\r\n250-STARTTLS\r\n250 AUTH PLAIN");

impl Fake {
    pub(super) async fn bind(security: Security) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { listener, security, heard: Mutex::default() }
    }

    pub(super) fn server(&self, account: Option<Account>) -> Server {
        Server {
            host: "127.0.0.1".to_owned(),
            port: self.listener.local_addr().unwrap().port(),
            security: self.security,
            account,
            timeout: Duration::from_secs(30),
        }
    }

    /// Serves one connection to its end, in plain text.
    pub(super) async fn serve(&self, greeting: &str, script: Script) {
        let (stream, _) = self.listener.accept().await.unwrap();
        self.talk(stream, Some(greeting), script).await;
    }

    /// Serves one connection to its end, under TLS as soon as it should be.
    pub(super) async fn serve_tls(&self, identity: &Identity, script: Script) {
        let (stream, _) = self.listener.accept().await.unwrap();
        let (stream, greeting) = match self.security {
            Security::StartTls => (self.talk(stream, Some(GREETING), script).await, None),
            Security::Tls | Security::None => (Some(stream), Some(GREETING)),
        };
        let Some(stream) = stream else { return };
        if let Ok(stream) = identity.acceptor.accept(stream).await {
            self.talk(stream, greeting, script).await;
        }
    }

    /// Answers what is said on a stream, and hands it out when TLS follows.
    async fn talk<S>(&self, stream: S, greeting: Option<&str>, script: Script) -> Option<S>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut stream = BufReader::new(stream);
        if let Some(greeting) = greeting {
            stream.write_all(format!("{greeting}\r\n").as_bytes()).await.ok()?;
            stream.flush().await.ok()?;
        }
        let mut in_text = false;
        loop {
            let mut line = String::new();
            match stream.read_line(&mut line).await {
                Ok(1..) => self.heard.lock().unwrap().push(line.trim_end().to_owned()),
                _ => return None,
            }
            let line = line.trim_end();
            if in_text && line != "." {
                continue;
            }
            let step = if in_text { "." } else { line };
            let known = script.iter().chain(USUAL).find(|(start, _)| step.starts_with(start));
            let answer = known.map_or("250 ok", |(_, answer)| *answer);
            if answer.is_empty() {
                return None;
            }
            in_text = step == "DATA" && answer.starts_with("354");
            stream.write_all(&bytes_of(answer)).await.ok()?;
            stream.flush().await.ok()?;
            if step == "STARTTLS" && answer.starts_with("220") {
                return Some(stream.into_inner());
            }
        }
    }

    pub(super) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

fn bytes_of(answer: &str) -> Vec<u8> {
    let parts: Vec<&[u8]> = answer.split('\u{fffd}').map(str::as_bytes).collect();
    [&parts.join(&0xff_u8)[..], b"\r\n"].concat()
}

/// Who a server proves to be, and the file with the authority that vouches for it.
pub(super) struct Identity {
    acceptor: TlsAcceptor,
    pub(super) roots: PathBuf,
}

impl Identity {
    pub(super) fn of(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = params.self_signed(&key).unwrap();
        let issuer = Issuer::new(params, key);
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider);
        let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let config = config.with_single_cert(vec![certificate.der().clone()], key.into()).unwrap();
        let id = crate::model::MailId::generate();
        let roots = std::env::temp_dir().join(format!("roots-{id}.pem"));
        std::fs::write(&roots, authority.pem()).unwrap();
        Self { acceptor: TlsAcceptor::from(Arc::new(config)), roots }
    }
}

impl Drop for Identity {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.roots);
    }
}
