//! What each route demands before its handler runs, in this order: a deadline for all of it, the
//! caller's identity, the caller's budget, the right to be here, and only documented parameters.
//!
//! The budget comes before the refusals, so that guessing tokens is limited too.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use chassis::auth::{ACCOUNT_DISABLED, AuthError};
use chassis::error::codes;
use chassis::grpc::context::{self, CallContext, DeadlineExceeded};
use http::{HeaderMap, Uri};
use tokio::time::{Instant, timeout_at};

use super::authn::{self, Age, Identity};
use super::client_address::client_address;
use super::rate_limit::{self, Policy};
use super::trace::REQUEST_ID;
use crate::error::{self, ApiError};
use crate::state::Shared;

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Anyone; a token is not looked at.
    Anyone,
    /// Whoever has a token of ours, be it over or revoked: to end a session needs no more.
    Holder,
    /// Whoever has a valid token.
    User,
    /// Administrators.
    Admin,
}

/// The demands of one route.
pub(crate) struct Guard {
    pub(crate) gateway: Shared,
    pub(crate) access: Access,
    /// `None`: not limited (probes).
    pub(crate) policy: Option<Policy>,
    /// Names of the query parameters in the route's documentation.
    pub(crate) parameters: BTreeSet<String>,
}

/// Lets a request through to its handler, or refuses it.
pub(crate) async fn guard(
    State(guard): State<Arc<Guard>>,
    request: Request,
    next: Next,
) -> Response {
    let deadline = Instant::now() + guard.gateway.request_timeout;
    let served = timeout_at(deadline, guard.serve(request, next, deadline)).await;
    served.unwrap_or_else(|_| ApiError::from(&DeadlineExceeded).into_response())
}

impl Guard {
    async fn serve(&self, mut request: Request, next: Next, deadline: Instant) -> Response {
        let identity = self.identify(request.headers()).await;
        let Some(policy) = &self.policy else {
            return self.admit(identity, &mut request, deadline, next).await;
        };
        let trusted = &self.gateway.trusted_proxies;
        let address = client_address(request.headers(), request.extensions(), trusted);
        let verdict = policy.take(&self.gateway.limiter, &identity, address).await;
        let mut response = if verdict.decision.is_allowed {
            self.admit(identity, &mut request, deadline, next).await
        } else {
            rate_limit::refusal(&verdict.decision).into_response()
        };
        verdict.describe(&mut response);
        response
    }

    async fn identify(&self, headers: &HeaderMap) -> Identity {
        match self.access {
            Access::Anyone => Identity::Anonymous,
            Access::Holder => authn::identify(&self.gateway.verifier, headers, Age::Any).await,
            Access::User | Access::Admin => {
                authn::identify(&self.gateway.verifier, headers, Age::InForce).await
            }
        }
    }

    async fn admit(
        &self,
        identity: Identity,
        request: &mut Request,
        deadline: Instant,
        next: Next,
    ) -> Response {
        let checked = self
            .check(&identity)
            .map_err(|error| ApiError::from(&error))
            .and_then(|()| self.check_query(request.uri()));
        if let Err(error) = checked {
            return error.into_response();
        }
        let mut context = CallContext {
            deadline: Some(deadline),
            request_id: request.headers().get(REQUEST_ID).cloned(),
            ..CallContext::default()
        };
        match identity {
            Identity::Known { caller, token } => {
                request.extensions_mut().insert(caller);
                context.authorization = Some(token);
            }
            Identity::Spent { token } => context.authorization = Some(token),
            Identity::Anonymous | Identity::Refused(_) => {}
        }
        context::scope(context, next.run(std::mem::take(request))).await
    }

    fn check(&self, identity: &Identity) -> Result<(), AuthError> {
        match (self.access, identity) {
            (Access::Anyone, _)
            | (Access::Holder | Access::User, Identity::Known { .. })
            | (Access::Holder, Identity::Spent { .. }) => Ok(()),
            (Access::Admin, Identity::Known { caller, .. }) => caller.require_admin(),
            (_, Identity::Refused(error)) => Err(*error),
            (_, Identity::Spent { .. }) => Err(AuthError::Expired),
            (_, Identity::Anonymous) => Err(AuthError::Missing),
        }
    }

    /// Refuses parameters that are not documented, and any that comes twice: two readers could
    /// disagree about which one counts.
    fn check_query(&self, uri: &Uri) -> Result<(), ApiError> {
        let Some(query) = uri.query().filter(|query| !query.is_empty()) else { return Ok(()) };
        let invalid = |name: &str, reason, text: &str| {
            Err(ApiError::field(error::codes::QUERY_INVALID, name, reason, text))
        };
        let mut seen = BTreeSet::new();
        for pair in query.split('&') {
            let name = pair.split_once('=').map_or(pair, |(name, _)| name);
            let Some(name) = self.parameters.get(name) else {
                return invalid(&printable(name), "UNKNOWN", "this parameter is not known");
            };
            if !seen.insert(name) {
                return invalid(name, "DUPLICATE", "may be given once only");
            }
        }
        Ok(())
    }
}

/// What is shown of a name that the client made up.
fn printable(name: &str) -> String {
    name.chars().filter(char::is_ascii_graphic).take(64).collect()
}

/// Marks the documented codes that this middleware answers with, per access.
pub(crate) fn codes_of(access: Access) -> &'static [&'static str] {
    const HOLDER: &[&str] = &[
        codes::TOKEN_MISSING.reason,
        codes::TOKEN_INVALID.reason,
        codes::TOKEN_NOT_YET_VALID.reason,
    ];
    const USER: &[&str] = &[
        codes::TOKEN_MISSING.reason,
        codes::TOKEN_INVALID.reason,
        codes::TOKEN_EXPIRED.reason,
        codes::TOKEN_NOT_YET_VALID.reason,
        codes::TOKEN_REVOKED.reason,
        ACCOUNT_DISABLED.reason,
    ];
    const ADMIN: &[&str] =
        &[USER[0], USER[1], USER[2], USER[3], USER[4], USER[5], codes::PERMISSION_DENIED.reason];
    match access {
        Access::Anyone => &[],
        Access::Holder => HOLDER,
        Access::User => USER,
        Access::Admin => ADMIN,
    }
}
