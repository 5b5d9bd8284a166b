//! Who may connect to whom, and call what.

use std::sync::Arc;

use chassis::config::{ServerConfig, TlsConfig, UpstreamConfig};
use chassis::error::RemoteError;
use chassis::grpc::{Callers, Channel, GrpcApp};
use chassis::identity::{Identity, Peer};
use chassis::testing::grpc::{Server, channel, channel_as};
use rcgen::SanType;
use rustls::SupportedProtocolVersion;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::{Code, Request};

use crate::certificates::{Folder, expired};
use crate::support::{Echo, METHOD, say};

const CALLERS: Callers = Callers::new(&[(METHOD, &["gateway-service"])]);

/// order-service, which answers with the name of its caller.
pub(crate) async fn order_service(identity: Option<Arc<Identity>>) -> Server {
    let routes = Echo::routes(|request: Request<String>| async move {
        Ok(match request.extensions().get::<Peer>() {
            Some(Peer::Service(name)) => name.to_string(),
            other => format!("{other:?}"),
        })
    });
    let app = GrpcApp::new(routes).callers(CALLERS);
    Server::start_as(app, ServerConfig::default(), identity).await
}

/// Time enough on a busy machine.
pub(crate) fn patient() -> UpstreamConfig {
    UpstreamConfig { connect_timeout_ms: 10_000, timeout_ms: 20_000, ..UpstreamConfig::default() }
}

pub(crate) fn channel_to(
    server: &Server,
    service: &'static str,
    own: Option<Arc<Identity>>,
) -> Channel {
    channel_as(own, service, &[server.endpoint()], &patient())
}

pub(crate) async fn code_of(channel: &Channel) -> Code {
    say(channel, Request::new(String::new()))
        .await
        .map_or_else(|status| status.code(), |_| Code::Ok)
}

#[tokio::test]
async fn a_caller_is_known_by_its_certificate() {
    let folder = Folder::new();
    let server = order_service(folder.identity("order-service")).await;
    let channel = channel_to(&server, "order-service", folder.identity("gateway-service"));
    let said = say(&channel, Request::new(String::new())).await.unwrap();
    assert_eq!(said, "gateway-service");
    server.stop().await;
}

#[tokio::test]
async fn a_caller_that_is_not_in_the_table_is_refused() {
    let folder = Folder::new();
    let server = order_service(folder.identity("order-service")).await;
    let channel = channel_to(&server, "order-service", folder.identity("notify-service"));
    let refused = say(&channel, Request::new(String::new())).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert_eq!(RemoteError::from_status(&refused).reason, "CALLER_NOT_ALLOWED");
}

#[tokio::test]
async fn a_caller_without_a_certificate_of_the_authority_is_nobody() {
    let folder = Folder::new();
    let server = order_service(folder.identity("order-service")).await;
    let plain = channel(&[server.endpoint()], &patient());
    assert_eq!(code_of(&plain).await, Code::Unavailable, "plain text");
    let stranger = Folder::new().identity("gateway-service");
    let strange = channel_to(&server, "order-service", stranger);
    assert_eq!(code_of(&strange).await, Code::Unavailable, "another authority");
}

/// A client that checks its server as it should, and is itself whoever a test wants.
pub(crate) async fn handshake(
    folder: &Folder,
    tcp: TcpStream,
    who: Option<&str>,
    versions: &[&'static SupportedProtocolVersion],
) -> std::io::Result<()> {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let mut roots = rustls::RootCertStore::empty();
    let ca = folder.config("order-service").ca_path;
    roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match who {
        None => config.with_no_client_auth(),
        Some(name) => {
            let chain = vec![CertificateDer::from_pem_file(folder.file(name, "pem")).unwrap()];
            let key = PrivateKeyDer::from_pem_file(folder.file(name, "key")).unwrap();
            config.with_client_auth_cert(chain, key).unwrap()
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let name = ServerName::try_from("order-service").unwrap();
    let mut stream = connector.connect(name, tcp).await?;
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await?;
    // The server's settings come only to a caller that it has accepted.
    let mut answer = [0; 9];
    stream.read_exact(&mut answer).await.map(|_| ())
}

#[tokio::test]
async fn the_handshake_lets_only_proven_services_through() {
    let folder = Folder::new();
    let server = order_service(folder.identity("order-service")).await;
    let connect = async |who: Option<&str>, versions: &[&'static SupportedProtocolVersion]| {
        let tcp = TcpStream::connect(server.address()).await?;
        handshake(&folder, tcp, who, versions).await
    };
    let (new, old) = (&rustls::version::TLS13, &rustls::version::TLS12);
    folder.issue("gateway-service");
    connect(Some("gateway-service"), &[new]).await.unwrap();
    folder.issue_with("late", expired);
    folder.issue_with("nameless", |params| params.subject_alt_names.truncate(1));
    folder.issue_with("twofold", |params| {
        let second = "spiffe://enterprisehub/gateway-service".try_into().unwrap();
        params.subject_alt_names.push(SanType::URI(second));
    });
    folder.issue_with("for-servers", |params| {
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    });
    for who in [None, Some("late"), Some("nameless"), Some("twofold"), Some("for-servers")] {
        assert!(connect(who, &[new]).await.is_err(), "{who:?}");
    }
    let outdated = connect(Some("gateway-service"), &[old]).await;
    assert!(outdated.is_err(), "TLS 1.2");
}

#[tokio::test]
async fn a_client_speaks_only_to_the_service_that_it_wants() {
    let folder = Folder::new();
    let own = folder.identity("gateway-service");
    let order = order_service(folder.identity("order-service")).await;
    let as_if_payment = channel_to(&order, "payment-service", own.clone());
    assert_eq!(code_of(&as_if_payment).await, Code::Unavailable, "another service");
    let plain = order_service(None).await;
    let unproven = channel_to(&plain, "order-service", own.clone());
    assert_eq!(code_of(&unproven).await, Code::Unavailable, "a server of plain text");
    let impostor = order_service(Folder::new().identity("order-service")).await;
    let impostor = channel_to(&impostor, "order-service", own);
    assert_eq!(code_of(&impostor).await, Code::Unavailable, "another authority");
}

#[tokio::test]
async fn on_loopback_without_certificates_only_what_is_listed_is_open() {
    let server = order_service(None).await;
    let channel = channel(&[server.endpoint()], &patient());
    assert_eq!(say(&channel, Request::new(String::new())).await.unwrap(), "Some(Unproven)");
    let closed = GrpcApp::new(Echo::routes(|_| async { Ok(String::new()) }))
        .callers(Callers::new(&[("/test.Echo/Other", &["gateway-service"])]));
    let server = Server::start(closed, ServerConfig::default()).await;
    let channel = self::channel(&[server.endpoint()], &patient());
    assert_eq!(code_of(&channel).await, Code::PermissionDenied);
}

#[tokio::test]
async fn renewed_files_are_taken_up_and_broken_ones_are_not() {
    let folder = Folder::new();
    let own = folder.identity("order-service").unwrap();
    assert!(!own.reload().unwrap(), "the same files");
    let server = order_service(Some(own.clone())).await;
    let gateway = folder.identity("gateway-service");
    let talk = async || code_of(&channel_to(&server, "order-service", gateway.clone())).await;

    std::fs::write(folder.file("order-service", "pem"), "half a fi").unwrap();
    assert!(own.reload().is_err());
    assert_eq!(talk().await, Code::Ok, "the former ones stay");
    folder.issue_with("order-service", |params| params.subject_alt_names.clear());
    assert!(own.reload().is_err());

    folder.issue("order-service");
    assert!(own.reload().unwrap());
    assert_eq!(talk().await, Code::Ok);
}

#[test]
fn files_that_do_not_fit_are_refused_by_the_keys_name() {
    let folder = Folder::new();
    folder.issue("order-service");
    folder.issue("payment-service");
    folder.issue_with("late", expired);
    let good = folder.config("order-service");
    let payment = folder.config("payment-service");
    let nowhere = "/nonexistent/file".to_owned();
    let refusal = |service: &str, config: &TlsConfig| {
        Identity::load(service, config).unwrap_err().to_string()
    };
    for (config, named) in [
        (TlsConfig { key_path: nowhere.clone(), ..good.clone() }, "tls.key_path"),
        (TlsConfig { ca_path: nowhere, ..good.clone() }, "tls.ca_path"),
        (TlsConfig { ca_path: good.key_path.clone(), ..good.clone() }, "tls.ca_path"),
        (TlsConfig { key_path: good.ca_path.clone(), ..good.clone() }, "tls.key_path"),
        (TlsConfig { key_path: payment.key_path.clone(), ..good.clone() }, "certificate"),
        (payment, "that of payment-service, and this is order-service"),
    ] {
        let refused = refusal("order-service", &config);
        assert!(refused.contains(named), "{refused}");
        assert!(!refused.contains("PRIVATE"), "{refused}");
    }
    assert!(refusal("late", &folder.config("late")).contains("tls.certificate_path"));
    assert!(Identity::load("order-service", &TlsConfig::default()).unwrap().is_none());
}
