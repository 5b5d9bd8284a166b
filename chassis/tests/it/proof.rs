//! What counts as proof, what is missing where it does not, and how a fleet comes by it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chassis::config::{TlsConfig, TlsMode};
use chassis::discovery::Endpoint;
use chassis::identity::Identity;
use chassis::testing::grpc::channel_as;
use rcgen::{ExtendedKeyUsagePurpose, SanType};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_rustls::TlsAcceptor;
use tonic::Code;

use crate::certificates::Folder;
use crate::identity::{channel_to, code_of, handshake, order_service, patient};

#[tokio::test]
async fn a_server_is_the_one_that_its_uri_names() {
    let folder = Folder::new();
    folder.issue_with("payment-service", |params| {
        params.subject_alt_names.push(SanType::DnsName("order-service".try_into().unwrap()));
    });
    let server = order_service(folder.load("payment-service").unwrap()).await;
    let gateway = folder.identity("gateway-service");
    let as_payment = channel_to(&server, "payment-service", gateway.clone());
    assert_eq!(code_of(&as_payment).await, Code::Ok);
    let as_order = channel_to(&server, "order-service", gateway);
    assert_eq!(code_of(&as_order).await, Code::Unavailable, "its DNS name alone does not do");
}

/// TLS with the certificate of `name`, whatever that says, and without asking who calls.
fn acceptor(folder: &Folder, name: &str) -> TlsAcceptor {
    let chain = vec![CertificateDer::from_pem_file(folder.file(name, "pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(folder.file(name, "key")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

#[tokio::test]
async fn nothing_is_said_to_a_server_of_another_trust_domain() {
    let folder = Folder::new();
    folder.issue_with("order-service", |params| {
        let uri = "spiffe://elsewhere/order-service".try_into().unwrap();
        params.subject_alt_names.truncate(1);
        params.subject_alt_names.push(SanType::URI(uri));
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint::new("127.0.0.1", listener.local_addr().unwrap().port());
    let hearing = async {
        let (tcp, _) = listener.accept().await.unwrap();
        let mut stream = acceptor(&folder, "order-service").accept(tcp).await.unwrap();
        stream.read(&mut [0; 24]).await.unwrap_or(0)
    };
    let gateway = folder.identity("gateway-service");
    let channel = channel_as(gateway, "order-service", &[endpoint], &patient());
    let (heard, code) = tokio::join!(hearing, code_of(&channel));
    assert_eq!((heard, code), (0, Code::Unavailable));
}

#[test]
fn a_certificate_that_lacks_something_is_refused_by_what_it_lacks() {
    use ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
    let folder = Folder::new();
    let refusal = || folder.load("order-service").unwrap_err().to_string();
    folder.issue_with("order-service", |params| params.extended_key_usages = vec![ClientAuth]);
    assert!(refusal().contains("lacks the extended key usage serverAuth"), "{}", refusal());
    folder.issue_with("order-service", |params| params.extended_key_usages = vec![ServerAuth]);
    assert!(refusal().contains("lacks the extended key usage clientAuth"), "{}", refusal());
    folder.issue_with("order-service", |params| drop(params.subject_alt_names.remove(0)));
    assert!(refusal().contains("lacks the DNS name order-service"), "{}", refusal());
    assert!(refusal().contains("tls.certificate_path"), "{}", refusal());
    folder.issue_with("order-service", |params| {
        params.extended_key_usages = vec![ServerAuth, ClientAuth];
    });
    assert!(folder.load("order-service").is_ok());
}

async fn connect_from(from: [u8; 4], to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    socket.connect(to).await.unwrap()
}

#[tokio::test]
async fn silent_connections_of_one_address_close_the_port_to_nobody_else() {
    const MORE_THAN_ALL: usize = 300;
    const DEADLINE: Duration = Duration::from_secs(20);
    let folder = Folder::new();
    folder.issue("order-service");
    // Longer than this test may take: that the silent ones are cut in the end does not count.
    let config = TlsConfig { handshake_timeout_ms: 120_000, ..folder.config("order-service") };
    let server = order_service(Identity::load("order-service", &config).unwrap()).await;
    let mut silent = Vec::new();
    for _ in 0..MORE_THAN_ALL {
        silent.push(connect_from([127, 0, 0, 1], server.address()).await);
    }
    folder.issue("gateway-service");
    let honest = async {
        let tcp = connect_from([127, 0, 0, 2], server.address()).await;
        handshake(&folder, tcp, Some("gateway-service"), &[&rustls::version::TLS13]).await
    };
    tokio::time::timeout(DEADLINE, honest).await.expect("the port is closed").unwrap();
    let mut byte = [0];
    let last = silent.last_mut().unwrap().read(&mut byte);
    let closed = tokio::time::timeout(DEADLINE, last).await.expect("it is kept waiting");
    assert!(matches!(closed, Ok(0) | Err(_)), "beyond its share an address is turned away");
}

/// An instance at a stage of the way from plain text to certificates.
fn at(folder: &Folder, service: &str, stage: Option<TlsMode>) -> Option<Arc<Identity>> {
    let mode = stage?;
    folder.issue(service);
    Identity::load(service, &TlsConfig { mode, ..folder.config(service) }).unwrap()
}

async fn talk(folder: &Folder, caller: Option<TlsMode>, called: Option<TlsMode>) -> Code {
    let server = order_service(at(folder, "order-service", called)).await;
    let caller = at(folder, "gateway-service", caller);
    code_of(&channel_to(&server, "order-service", caller)).await
}

#[tokio::test]
async fn a_fleet_gets_certificates_without_a_moment_in_which_it_does_not_talk() {
    let folder = Folder::new();
    let stages = [None, Some(TlsMode::Allow), Some(TlsMode::Prefer), Some(TlsMode::Require)];
    for step in stages.windows(2) {
        for (caller, called) in [(step[0], step[1]), (step[1], step[0]), (step[1], step[1])] {
            let code = talk(&folder, caller, called).await;
            assert_eq!(code, Code::Ok, "{caller:?} calls {called:?}");
        }
    }
    for (caller, called) in [(None, stages[3]), (stages[1], stages[3]), (stages[3], None)] {
        let code = talk(&folder, caller, called).await;
        assert_eq!(code, Code::Unavailable, "{caller:?} calls {called:?}");
    }
}

#[tokio::test]
async fn on_the_way_to_certificates_who_has_a_name_is_held_to_it() {
    let folder = Folder::new();
    let server = order_service(at(&folder, "order-service", Some(TlsMode::Allow))).await;
    let stranger = channel_to(&server, "order-service", folder.identity("notify-service"));
    assert_eq!(code_of(&stranger).await, Code::PermissionDenied);
}
