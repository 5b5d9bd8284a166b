//! Sheds requests beyond what the process can work on.
//!
//! Waiting for a body is no work: a client that sends one byte a second would hold a place for
//! seconds, and a few hundred of them all there are. So a request steps out while its body is on
//! the way, and in again when it has arrived.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use chassis::error::codes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::ApiError;

const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A bounded number of requests at once. More are refused immediately: one that queued here would
/// be answered after its client has gone.
#[derive(Clone)]
pub(crate) struct Admission(Arc<Semaphore>);

impl Admission {
    pub(crate) fn new(max_concurrency: usize) -> Self {
        Self(Arc::new(Semaphore::new(max_concurrency.min(Semaphore::MAX_PERMITS))))
    }

    fn enter(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        Arc::clone(&self.0).try_acquire_owned().map_err(|_| overloaded())
    }
}

/// The place of one request; it ends with the request.
#[derive(Clone)]
pub(crate) struct Admitted(Arc<Seat>);

struct Seat {
    admission: Admission,
    /// `None` while the request has stepped out.
    permit: Mutex<Option<OwnedSemaphorePermit>>,
}

impl Admitted {
    /// Gives the place to others while `wait` is not done.
    pub(crate) async fn step_out<T>(&self, wait: impl Future<Output = T>) -> Result<T, ApiError> {
        let mut wait = pin!(wait);
        // Most bodies arrive together with their head.
        let first = std::future::poll_fn(|context| Poll::Ready(wait.as_mut().poll(context))).await;
        if let Poll::Ready(done) = first {
            return Ok(done);
        }
        drop(self.permit().take());
        let done = wait.await;
        *self.permit() = Some(self.0.admission.enter()?);
        Ok(done)
    }

    fn permit(&self) -> MutexGuard<'_, Option<OwnedSemaphorePermit>> {
        self.0.permit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is said to a request for which there is no room.
pub(crate) fn overloaded() -> ApiError {
    let text = "the service is overloaded at the moment";
    ApiError::new(codes::SERVICE_UNAVAILABLE, text).retry_after(RETRY_AFTER)
}

/// Lets a request in, if there is room.
pub(crate) async fn admit(
    State(admission): State<Admission>,
    mut request: Request,
    next: Next,
) -> Response {
    let permit = match admission.enter() {
        Ok(permit) => permit,
        Err(refusal) => return refusal.into_response(),
    };
    let seat = Arc::new(Seat { admission, permit: Mutex::new(Some(permit)) });
    request.extensions_mut().insert(Admitted(Arc::clone(&seat)));
    let response = next.run(request).await;
    drop(seat);
    response
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn who_waits_holds_no_place() {
        let admission = Admission::new(1);
        let permit = Mutex::new(Some(admission.enter().unwrap()));
        let admitted = Admitted(Arc::new(Seat { admission: admission.clone(), permit }));
        assert!(admission.enter().is_err());
        assert_eq!(admitted.step_out(std::future::ready(1)).await.unwrap(), 1);
        assert!(admission.enter().is_err(), "there was nothing to wait for");
        let (arrive, arrival) = oneshot::channel::<u8>();
        let waiting = admitted.step_out(arrival);
        let others = async {
            let entered = admission.enter().unwrap();
            drop(entered);
            arrive.send(2).unwrap();
        };
        let (arrived, ()) = tokio::join!(waiting, others);
        assert_eq!(arrived.unwrap(), Ok(2));
        assert!(admission.enter().is_err(), "it is in again");
    }

    #[tokio::test]
    async fn who_comes_back_to_a_full_house_is_refused() {
        let admission = Admission::new(1);
        let permit = Mutex::new(Some(admission.enter().unwrap()));
        let admitted = Admitted(Arc::new(Seat { admission: admission.clone(), permit }));
        let (arrive, arrival) = oneshot::channel::<u8>();
        let others = async {
            let entered = admission.enter().unwrap();
            arrive.send(2).unwrap();
            entered
        };
        let (refused, _entered) = tokio::join!(admitted.step_out(arrival), others);
        assert_eq!(refused.unwrap_err().code(), "SERVICE_UNAVAILABLE");
    }
}
