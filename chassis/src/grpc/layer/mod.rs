//! The layers around every handler, each one an async function around the rest.

mod admission;
mod authn;
mod callers;
mod deadline;
mod measure;
mod panic;
mod size;
mod trace;

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use tower::{Layer, Service, ServiceExt};

pub(super) use admission::Admission;
pub(super) use authn::Authn;
pub(super) use callers::{Admitted, Proof};
pub(super) use deadline::Deadline;
pub(super) use measure::Measured;
pub(super) use panic::CatchPanic;
pub(super) use size::MessageSize;
pub(super) use trace::Traced;

use crate::error::{ServiceError, to_status};

/// What a layer does around the rest of the stack.
pub(super) trait Around: Clone + Send + Sync + 'static {
    /// Handles `request`, usually by passing it to `next`.
    fn around<N: Next>(&self, request: Request, next: N) -> impl Future<Output = Response> + Send;
}

/// The rest of the stack.
pub(super) trait Next:
    Service<Request, Response = Response, Error = Infallible, Future: Send>
    + Clone
    + Send
    + Sync
    + 'static
{
    /// Passes `request` on.
    fn run(self, request: Request) -> impl Future<Output = Response> + Send {
        async move {
            let Ok(response) = self.oneshot(request).await;
            response
        }
    }
}

impl<S> Next for S where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// Makes an [`Around`] a layer.
#[derive(Clone)]
pub(super) struct Wrap<A>(pub(super) A);

impl<A: Around, S> Layer<S> for Wrap<A> {
    type Service = Wrapped<A, S>;

    fn layer(&self, inner: S) -> Self::Service {
        Wrapped { around: self.0.clone(), inner }
    }
}

/// A service inside a layer.
#[derive(Clone)]
pub(super) struct Wrapped<A, S> {
    around: A,
    inner: S,
}

impl<A: Around, S: Next> Service<Request> for Wrapped<A, S> {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // The clone that gets the request is driven to readiness in `Next::run`.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let Self { around, inner } = self.clone();
        Box::pin(async move { Ok(around.around(request, inner).await) })
    }
}

/// Answers with the gRPC image of `error`.
fn refuse<E: ServiceError + ?Sized>(error: &E) -> Response {
    to_status(error).into_http::<Body>()
}
