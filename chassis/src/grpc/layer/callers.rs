//! Lets a call in only if its method is for the service that makes it.

use std::borrow::Cow;

use axum::extract::Request;
use axum::response::Response;

use super::{Around, Next, refuse};
use crate::error::{ErrorCode, ServiceError, codes};
use crate::grpc::Callers;
use crate::identity::Peer;

/// Stands before everything that looks into a call, because a service that may not make it has no
/// business in there.
#[derive(Clone)]
pub(crate) struct Admitted {
    /// `None`: the app has no table, and is for nobody who has to prove who it is.
    callers: Option<Callers>,
    proof: Proof,
}

/// Whether callers have to prove who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// The connections are mutual TLS.
    Demanded,
    /// They may be plain text: on loopback in development, and on the way to certificates.
    Optional,
}

impl Admitted {
    pub(crate) fn new(callers: Option<Callers>, proof: Proof) -> Self {
        Self { callers, proof }
    }

    fn check(&self, path: &str, peer: &Peer) -> Result<(), Refused> {
        let is_allowed = match (peer, &self.callers) {
            (Peer::Service(name), Some(callers)) => callers.allows(path, name),
            (Peer::Service(_), None) => false,
            (Peer::Unproven, _) if self.proof == Proof::Demanded => false,
            // Nobody has a name, but what nobody may call stays so.
            (Peer::Unproven, Some(callers)) => callers.knows(path),
            (Peer::Unproven, None) => true,
        };
        if is_allowed { Ok(()) } else { Err(Refused) }
    }
}

impl Around for Admitted {
    async fn around<N: Next>(&self, request: Request, next: N) -> Response {
        let peer = request.extensions().get::<Peer>().cloned().unwrap_or(Peer::Unproven);
        if let Err(refused) = self.check(request.uri().path(), &peer) {
            tracing::warn!(?peer, rpc.path = request.uri().path(), "caller refused");
            metrics::counter!("eh_rpc_callers_refused_total").increment(1);
            return refuse(&refused);
        }
        next.run(request).await
    }
}

/// The method is not for this caller, or for nobody.
#[derive(Debug, thiserror::Error)]
#[error("the method is not for this caller")]
struct Refused;

impl ServiceError for Refused {
    fn code(&self) -> ErrorCode {
        codes::CALLER_NOT_ALLOWED
    }

    fn detail(&self) -> Cow<'_, str> {
        Cow::Borrowed("This service may not call this method.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALLERS: Callers = Callers::new(&[("/a.B/C", &["order-service"]), ("/a.B/Off", &[])]);

    #[test]
    fn a_method_is_for_the_services_in_its_line() {
        let table = Admitted::new(Some(CALLERS), Proof::Demanded);
        let peer = |name: &str| Peer::Service(name.into());
        assert!(table.check("/a.B/C", &peer("order-service")).is_ok());
        for (path, name) in [
            ("/a.B/C", "notify-service"),
            ("/a.B/C", ""),
            ("/a.B/Off", "order-service"),
            ("/a.B/D", "order-service"),
            ("/a.B/c", "order-service"),
            ("/a.B/C/", "order-service"),
            ("a.B/C", "order-service"),
        ] {
            assert!(table.check(path, &peer(name)).is_err(), "{path} by {name}");
        }
        assert!(table.check("/a.B/C", &Peer::Unproven).is_err(), "nobody got through like that");
    }

    #[test]
    fn without_names_only_what_is_listed_is_open() {
        let table = Admitted::new(Some(CALLERS), Proof::Optional);
        assert!(table.check("/a.B/C", &Peer::Unproven).is_ok());
        assert!(table.check("/a.B/D", &Peer::Unproven).is_err());
    }

    #[test]
    fn who_has_a_name_is_held_to_it_also_where_others_need_none() {
        let table = Admitted::new(Some(CALLERS), Proof::Optional);
        let peer = |name: &str| Peer::Service(name.into());
        assert!(table.check("/a.B/C", &peer("order-service")).is_ok());
        assert!(table.check("/a.B/C", &peer("notify-service")).is_err());
    }

    #[test]
    fn without_a_table_nothing_is_open_to_anybody_with_a_name() {
        let peer = Peer::Service("order-service".into());
        assert!(Admitted::new(None, Proof::Demanded).check("/a.B/C", &peer).is_err());
        assert!(Admitted::new(None, Proof::Optional).check("/a.B/C", &Peer::Unproven).is_ok());
    }
}
