//! The gRPC service: parse, call, render.
//!
//! A call with an access token is made for that user, and what belongs to others does not exist. A
//! payment is started or refunded without one too, by order-service on its own behalf: its workers
//! and event handlers do so while no user waits. Nobody else may call these two methods (see
//! [`super::callers`]). Reading is for users, and takes a token.

use std::sync::Arc;

use chassis::auth::Caller;
use chassis::error::to_status;
use proto::payment::v1 as pb;
use proto::payment::v1::payment_service_server::PaymentService as PaymentRpc;
use tonic::{Request, Response, Status};
use tracing::instrument;

use crate::api::convert;
use crate::model::UserId;
use crate::service::{Actor, HandleCallback, PaymentService};

/// The rpcs of payments.
#[derive(Clone)]
pub struct PaymentApi {
    service: Arc<PaymentService>,
}

impl PaymentApi {
    /// Serves the use cases.
    pub fn new(service: Arc<PaymentService>) -> Self {
        Self { service }
    }
}

#[tonic::async_trait]
impl PaymentRpc for PaymentApi {
    #[instrument(name = "PaymentService/CreatePayment", skip_all)]
    async fn create_payment(
        &self,
        request: Request<pb::CreatePaymentRequest>,
    ) -> Result<Response<pb::CreatePaymentResponse>, Status> {
        let actor = actor(&request);
        let command = convert::create_payment(actor, request.into_inner())?;
        let payment = Some(convert::payment(&self.service.create_payment(command).await?));
        Ok(Response::new(pb::CreatePaymentResponse { payment }))
    }

    #[instrument(name = "PaymentService/GetPayment", skip_all)]
    async fn get_payment(
        &self,
        request: Request<pb::GetPaymentRequest>,
    ) -> Result<Response<pb::GetPaymentResponse>, Status> {
        let actor = reader(&request)?;
        let query = convert::get_payment(actor, &request.into_inner())?;
        let view = self.service.get_payment(query).await?;
        let payment = Some(convert::payment(&view.payment));
        let attempts = view.attempts.iter().map(convert::payment).collect();
        Ok(Response::new(pb::GetPaymentResponse { payment, attempts }))
    }

    #[instrument(name = "PaymentService/RefundPayment", skip_all)]
    async fn refund_payment(
        &self,
        request: Request<pb::RefundPaymentRequest>,
    ) -> Result<Response<pb::RefundPaymentResponse>, Status> {
        let actor = actor(&request);
        let command = convert::refund_payment(actor, request.into_inner())?;
        let payment = Some(convert::payment(&self.service.refund_payment(command).await?));
        Ok(Response::new(pb::RefundPaymentResponse { payment }))
    }

    #[instrument(name = "PaymentService/HandleCallback", skip_all)]
    async fn handle_callback(
        &self,
        request: Request<pb::HandleCallbackRequest>,
    ) -> Result<Response<pb::HandleCallbackResponse>, Status> {
        let pb::HandleCallbackRequest { body, signature } = request.into_inner();
        self.service.handle_callback(HandleCallback { body, signature }).await?;
        Ok(Response::new(pb::HandleCallbackResponse {}))
    }

    #[instrument(name = "PaymentService/ListCallbacks", skip_all)]
    async fn list_callbacks(
        &self,
        request: Request<pb::ListCallbacksRequest>,
    ) -> Result<Response<pb::ListCallbacksResponse>, Status> {
        let actor = reader(&request)?;
        let query = convert::list_callbacks(actor, &request.into_inner())?;
        let found = self.service.list_callbacks(query).await?;
        let callbacks = found.into_iter().map(convert::receipt).collect();
        Ok(Response::new(pb::ListCallbacksResponse { callbacks }))
    }

    #[instrument(name = "PaymentService/GetReconciliation", skip_all)]
    async fn get_reconciliation(
        &self,
        request: Request<pb::GetReconciliationRequest>,
    ) -> Result<Response<pb::GetReconciliationResponse>, Status> {
        let caller = Caller::from_request(&request).map_err(|error| to_status(&error))?;
        caller.require_admin().map_err(|error| to_status(&error))?;
        let query = convert::get_reconciliation(Actor::Admin, &request.into_inner())?;
        let report = self.service.get_reconciliation(query).await?;
        Ok(Response::new(convert::reconciliation(report)))
    }
}

/// Who reads.
fn reader<T>(request: &Request<T>) -> Result<Actor, Status> {
    Caller::from_request(request).map_err(|error| to_status(&error))?;
    Ok(actor(request))
}

/// Who asks; without a token it is order-service.
fn actor<T>(request: &Request<T>) -> Actor {
    match Caller::from_request(request) {
        Ok(caller) if caller.is_admin() => Actor::Admin,
        Ok(caller) => Actor::User(UserId::from_uuid(caller.user_id)),
        Err(_) => Actor::Service,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(roles: &[&str]) -> (Request<()>, UserId) {
        let user = UserId::generate();
        let mut request = Request::new(());
        request.extensions_mut().insert(Caller {
            user_id: user.as_uuid(),
            session_id: chassis::id::new_id(),
            roles: roles.iter().map(ToString::to_string).collect(),
        });
        (request, user)
    }

    #[test]
    fn the_token_says_who_asks() {
        let (customer, user) = request(&["customer"]);
        assert_eq!(actor(&customer), Actor::User(user));
        let (admin, _) = request(&["customer", "admin"]);
        assert_eq!(actor(&admin), Actor::Admin);
        assert_eq!(actor(&Request::new(())), Actor::Service);
        assert_eq!(reader(&admin).unwrap(), Actor::Admin);
        assert_eq!(reader(&Request::new(())).unwrap_err().code(), tonic::Code::Unauthenticated);
    }
}
