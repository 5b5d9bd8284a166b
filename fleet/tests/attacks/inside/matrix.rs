//! Every service calls every method of every service.

use anyhow::{Result, ensure};
use fleet::services::Service;

use super::wire::{Inside, SERVED, call, paths, reason};
use crate::support::stage::Stage;

/// Methods of which the gateway has no business, and who has.
const PRIVATE: [(&str, &str); 5] = [
    ("/enterprisehub.user.v1.UserService/VerifyCredentials", "auth-service"),
    ("/enterprisehub.user.v1.UserService/GetAccess", "auth-service"),
    ("/enterprisehub.user.v1.UserService/ListAccessChanges", "auth-service"),
    ("/enterprisehub.payment.v1.PaymentService/CreatePayment", "order-service"),
    ("/enterprisehub.payment.v1.PaymentService/RefundPayment", "order-service"),
];

/// What everybody who verifies tokens needs, and auth-service has itself.
const KEYS: &str = "/enterprisehub.auth.v1.AuthService/GetJwks";

/// Written down here once more, so that a slip in a service's table shows.
fn is_allowed(caller: &str, path: &str) -> bool {
    if path == KEYS {
        return caller != "auth-service";
    }
    match PRIVATE.iter().find(|(method, _)| *method == path) {
        Some((_, only)) => caller == *only,
        None => caller == Service::GATEWAY,
    }
}

pub(super) async fn a131_least_privilege(stage: &Stage) -> Result<()> {
    let inside = Inside::of(stage).await?;
    let mut calls = 0;
    for (service, served) in SERVED {
        for caller in Service::ALL {
            let way = inside.channel(Some(caller.name), service)?;
            for path in paths(served) {
                let outcome = call(way.clone(), &path, None).await;
                let is_refused = reason(&outcome) == "CALLER_NOT_ALLOWED";
                let expected = !is_allowed(caller.name, &path);
                ensure!(is_refused == expected, "{} calls {path}: {outcome:?}", caller.name);
                let code = outcome.map_or_else(|status| status.code(), |()| tonic::Code::Ok);
                ensure!(code != tonic::Code::Unimplemented, "{path} is not served");
                ensure!(code != tonic::Code::Unavailable, "{path} was not reached");
                calls += 1;
            }
            // What is in no contract is for nobody.
            let nothing = call(way, &format!("/{served}/NoSuchMethod"), None).await;
            ensure!(reason(&nothing) == "CALLER_NOT_ALLOWED", "{nothing:?}");
        }
    }
    ensure!(calls >= 6 * 45, "only {calls} calls");
    Ok(())
}
