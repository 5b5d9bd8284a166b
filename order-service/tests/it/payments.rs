//! A stand-in for payment-service: its contract over gRPC, on books that a test looks into.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use chassis::error::{ErrorCode, Kind, grpc::status};
use chassis::grpc::GrpcApp;
use proto::payment::v1::payment_service_server::{PaymentService, PaymentServiceServer};
use proto::payment::v1::{self as pb, PaymentStatus};
use tokio::sync::watch;
use tonic::{Request, Response, Status};

use crate::harness::PATIENCE;

const STATE_CONFLICT: ErrorCode =
    ErrorCode::new("PAYMENT_STATE_CONFLICT", Kind::FailedPrecondition);

/// How calls are answered.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Mood {
    /// By the books.
    #[default]
    Well,
    /// With this error, and without an effect.
    Failing(ErrorCode),
    /// By the books, but the answer never leaves.
    Mute,
    /// With an answer that has no payment in it.
    Empty,
    /// By the books, once the mood is another one.
    Held,
}

/// How the provider decides on payments and refunds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Provider {
    /// At once.
    #[default]
    Quick,
    /// Refunds only when a test says so.
    SlowToRefund,
}

#[derive(Debug, Default)]
struct Books {
    payments: BTreeMap<String, pb::Payment>,
    provider: Provider,
    credentials: Vec<Option<String>>,
    complaints: Vec<String>,
}

/// How many calls came, and how many of them are being worked on.
#[derive(Clone, Copy, Debug, Default)]
struct Traffic {
    calls: usize,
    running: usize,
}

/// The stand-in; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Payments {
    books: Arc<Mutex<Books>>,
    mood: watch::Sender<Mood>,
    traffic: watch::Sender<Traffic>,
}

impl Payments {
    pub(crate) fn new() -> Self {
        let (mood, traffic) = (watch::Sender::default(), watch::Sender::default());
        Self { books: Arc::default(), mood, traffic }
    }

    pub(crate) fn app(&self) -> GrpcApp {
        GrpcApp::new(tonic::service::Routes::new(PaymentServiceServer::new(self.clone())))
    }

    pub(crate) fn set_mood(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    pub(crate) fn set_provider(&self, provider: Provider) {
        self.books().provider = provider;
    }

    /// Lets the provider decide.
    pub(crate) fn decide(&self, id: &str, status: PaymentStatus) {
        self.books().payments.get_mut(id).unwrap().set_status(status);
    }

    /// How often it was called so far.
    pub(crate) fn calls(&self) -> usize {
        self.traffic.borrow().calls
    }

    /// Waits until so many calls have come in all.
    pub(crate) async fn until_calls(&self, calls: usize) {
        self.until(|traffic| traffic.calls >= calls).await;
    }

    /// Waits until no call is worked on, because all were answered or their callers are gone.
    pub(crate) async fn until_idle(&self) {
        self.until(|traffic| traffic.running == 0).await;
    }

    pub(crate) fn find(&self, id: &str) -> Option<pb::Payment> {
        self.books().payments.get(id).cloned()
    }

    /// The ids of the payments that stand so, oldest first.
    pub(crate) fn that_are(&self, status: PaymentStatus) -> Vec<String> {
        let books = self.books();
        let found = books.payments.values().filter(|payment| payment.status() == status);
        found.map(|payment| payment.id.clone()).collect()
    }

    /// The `authorization` of every call so far.
    pub(crate) fn credentials(&self) -> Vec<Option<String>> {
        self.books().credentials.clone()
    }

    /// What order-service did against the contract.
    pub(crate) fn complaints(&self) -> Vec<String> {
        self.books().complaints.clone()
    }

    async fn until(&self, is_so: impl Fn(&Traffic) -> bool) {
        let mut traffic = self.traffic.subscribe();
        tokio::time::timeout(PATIENCE, traffic.wait_for(is_so)).await.unwrap().unwrap();
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap()
    }

    /// Does `work` and answers according to the mood.
    async fn serve<T>(
        &self,
        request: &Request<T>,
        work: impl FnOnce(&mut Books) -> Result<pb::Payment, Status> + Send,
    ) -> Result<Option<pb::Payment>, Status> {
        let _visit = Visit::begin(&self.traffic);
        let credential = request.metadata().get("authorization");
        let credential = credential.map(|value| value.to_str().unwrap().to_owned());
        self.books().credentials.push(credential);
        let mut moods = self.mood.subscribe();
        let mood = *moods.wait_for(|mood| *mood != Mood::Held).await.unwrap();
        match mood {
            Mood::Well | Mood::Held => work(&mut self.books()).map(Some),
            Mood::Failing(code) => Err(refusal(code)),
            Mood::Mute => {
                work(&mut self.books())?;
                std::future::pending().await
            }
            Mood::Empty => Ok(None),
        }
    }
}

/// Counts a call for as long as it is worked on.
struct Visit<'t>(&'t watch::Sender<Traffic>);

impl<'t> Visit<'t> {
    fn begin(traffic: &'t watch::Sender<Traffic>) -> Self {
        traffic.send_modify(|traffic| {
            traffic.calls += 1;
            traffic.running += 1;
        });
        Self(traffic)
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|traffic| traffic.running -= 1);
    }
}

impl Books {
    /// Starts a payment, or tells how it stands. The method decides the outcome; one that is only to
    /// be settled is closed.
    fn pay(&mut self, wanted: pb::CreatePaymentRequest) -> pb::Payment {
        let (status, reason) = match wanted.payment_method.as_str() {
            _ if wanted.only_settle => (PaymentStatus::Failed, "order_closed"),
            "pm_declined" => (PaymentStatus::Failed, "card_declined"),
            "pm_never" => (PaymentStatus::Pending, ""),
            _ => (PaymentStatus::Succeeded, ""),
        };
        let fresh = pb::Payment {
            id: wanted.attempt_id,
            order_id: wanted.order_id,
            user_id: wanted.user_id,
            amount: wanted.amount,
            payment_method: wanted.payment_method,
            status: status.into(),
            failure_reason: reason.to_owned(),
            ..pb::Payment::default()
        };
        let known = self.payments.entry(fresh.id.clone()).or_insert_with(|| fresh.clone());
        if terms(known) != terms(&fresh) {
            self.complaints.push(format!("{} was paid on other terms", fresh.id));
        }
        known.clone()
    }

    fn refund(&mut self, wanted: pb::RefundPaymentRequest) -> Result<pb::Payment, Status> {
        let pb::RefundPaymentRequest { payment_id, refund_id, reason } = wanted;
        let provider = self.provider;
        let known = self.payments.get_mut(&payment_id);
        let is_same = |refund: &pb::Refund| refund.id == refund_id && refund.reason == reason;
        let Some(payment) = known.filter(|payment| match payment.status() {
            PaymentStatus::Succeeded => payment.refunds.is_empty(),
            PaymentStatus::Refunding | PaymentStatus::Refunded => {
                payment.refunds.iter().all(is_same)
            }
            _ => false,
        }) else {
            self.complaints.push(format!("{payment_id} cannot be refunded as {refund_id}"));
            return Err(refusal(STATE_CONFLICT));
        };
        if payment.refunds.is_empty() {
            let amount = payment.amount.clone();
            let refund = pb::Refund { id: refund_id, amount, reason, ..pb::Refund::default() };
            payment.refunds.push(refund);
            payment.set_status(match provider {
                Provider::Quick => PaymentStatus::Refunded,
                Provider::SlowToRefund => PaymentStatus::Refunding,
            });
        }
        Ok(payment.clone())
    }
}

fn terms(payment: &pb::Payment) -> impl PartialEq + '_ {
    (&payment.order_id, &payment.user_id, &payment.amount, &payment.payment_method)
}

fn refusal(code: ErrorCode) -> Status {
    status(code, "refused by the stand-in", Vec::new(), None)
}

#[tonic::async_trait]
impl PaymentService for Payments {
    async fn create_payment(
        &self,
        request: Request<pb::CreatePaymentRequest>,
    ) -> Result<Response<pb::CreatePaymentResponse>, Status> {
        let wanted = request.get_ref().clone();
        let payment = self.serve(&request, |books| Ok(books.pay(wanted))).await?;
        Ok(Response::new(pb::CreatePaymentResponse { payment }))
    }

    async fn refund_payment(
        &self,
        request: Request<pb::RefundPaymentRequest>,
    ) -> Result<Response<pb::RefundPaymentResponse>, Status> {
        let wanted = request.get_ref().clone();
        let payment = self.serve(&request, |books| books.refund(wanted)).await?;
        Ok(Response::new(pb::RefundPaymentResponse { payment }))
    }

    async fn get_payment(
        &self,
        _: Request<pb::GetPaymentRequest>,
    ) -> Result<Response<pb::GetPaymentResponse>, Status> {
        Err(Status::unimplemented("order-service never reads payments"))
    }

    async fn handle_callback(
        &self,
        _: Request<pb::HandleCallbackRequest>,
    ) -> Result<Response<pb::HandleCallbackResponse>, Status> {
        Err(Status::unimplemented("order-service calls nobody back"))
    }
    async fn list_callbacks(
        &self,
        _: Request<pb::ListCallbacksRequest>,
    ) -> Result<Response<pb::ListCallbacksResponse>, Status> {
        Err(Status::unimplemented("order-service asks for no callbacks"))
    }

    async fn get_reconciliation(
        &self,
        _: Request<pb::GetReconciliationRequest>,
    ) -> Result<Response<pb::GetReconciliationResponse>, Status> {
        Err(Status::unimplemented("order-service does not reconcile"))
    }
}
