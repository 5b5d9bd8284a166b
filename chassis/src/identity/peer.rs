//! The name in a certificate.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use webpki::EndEntityCert;

use super::IdentityError;

/// What stands before the name of a service in its certificate: the fleet's trust domain.
const TRUST_DOMAIN: &str = "spiffe://enterprisehub/";

/// Who is at the other end of a connection. Every call that comes in has one among its extensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Nobody has proven anything: the connection is plain text.
    Unproven,
    /// The service that the certificate names.
    Service(Arc<str>),
}

/// Reads which service a certificate is of. Whether to believe it is decided elsewhere.
///
/// There must be exactly one URI among its names, as the X.509-SVID standard demands: of two, one
/// reader might believe the first and another the last.
pub fn service_of(certificate: &CertificateDer<'_>) -> Result<Arc<str>, IdentityError> {
    let certificate = EndEntityCert::try_from(certificate)
        .map_err(|error| IdentityError::NoName(error.to_string()))?;
    let mut uris = certificate.valid_uri_names();
    let (Some(uri), None) = (uris.next(), uris.next()) else {
        return Err(IdentityError::NoName("there is not exactly one URI among its names".into()));
    };
    let name = uri.strip_prefix(TRUST_DOMAIN).filter(|name| is_name(name));
    name.map(Arc::from).ok_or_else(|| IdentityError::NoName(format!("{uri:?} is no service's")))
}

/// Reads which service showed `chain` in a handshake that has verified it.
pub(crate) fn peer_of(chain: Option<&[CertificateDer<'_>]>) -> Result<Arc<str>, IdentityError> {
    let certificate = chain.and_then(<[_]>::first).ok_or(IdentityError::NotShown)?;
    service_of(certificate)
}

/// Makes sure that it was `service` that showed `chain` in a handshake that has verified it.
pub(crate) fn demand(
    service: &str,
    chain: Option<&[CertificateDer<'_>]>,
) -> Result<(), IdentityError> {
    let found = peer_of(chain)?;
    if *found == *service {
        return Ok(());
    }
    Err(IdentityError::OtherPeer { found: found.to_string(), wanted: service.to_owned() })
}

fn is_name(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !name.is_empty() && name.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::*;

    fn named(uris: &[&str]) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(vec!["order-service".to_owned()]).unwrap();
        let uris = uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap()));
        params.subject_alt_names.extend(uris);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    #[test]
    fn the_uri_names_the_service() {
        let certificate = named(&["spiffe://enterprisehub/order-service"]);
        assert_eq!(&*service_of(&certificate).unwrap(), "order-service");
    }

    #[test]
    fn only_the_service_that_is_demanded_will_do() {
        let chain = [named(&["spiffe://enterprisehub/order-service"])];
        demand("order-service", Some(&chain)).unwrap();
        let refused = demand("payment-service", Some(&chain)).unwrap_err().to_string();
        assert!(refused.contains("order-service, and payment-service"), "{refused}");
        let elsewhere = [named(&["spiffe://elsewhere/order-service"])];
        assert!(demand("order-service", Some(&elsewhere)).is_err());
        assert!(demand("order-service", Some(&[])).is_err());
        assert!(demand("order-service", None).is_err());
    }

    #[test]
    fn every_other_name_is_none() {
        let odd: [&[&str]; 8] = [
            &[],
            &["spiffe://enterprisehub/"],
            &["spiffe://enterprisehub/a/b"],
            &["spiffe://enterprisehub/Order-Service"],
            &["spiffe://elsewhere/order-service"],
            &["https://enterprisehub/order-service"],
            &["spiffe://enterprisehub.evil/order-service"],
            &["spiffe://enterprisehub/order-service", "spiffe://enterprisehub/gateway-service"],
        ];
        for uris in odd {
            assert!(service_of(&named(uris)).is_err(), "{uris:?}");
        }
        assert!(service_of(&CertificateDer::from(vec![1, 2, 3])).is_err());
    }
}
