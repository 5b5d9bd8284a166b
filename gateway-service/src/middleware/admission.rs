//! Sheds requests beyond what the process can work on.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use chassis::error::codes;
use tokio::sync::Semaphore;

use crate::error::ApiError;

const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A bounded number of requests at once. More are refused immediately: one that queued here would
/// be answered after its client has gone.
pub(crate) struct Admission(Semaphore);

impl Admission {
    pub(crate) fn new(max_concurrency: usize) -> Self {
        Self(Semaphore::new(max_concurrency.min(Semaphore::MAX_PERMITS)))
    }
}

/// Lets a request in, if there is room.
pub(crate) async fn admit(
    State(admission): State<Arc<Admission>>,
    request: Request,
    next: Next,
) -> Response {
    let Ok(_permit) = admission.0.try_acquire() else {
        let text = "the service is overloaded at the moment";
        let refusal = ApiError::new(codes::SERVICE_UNAVAILABLE, text);
        return refusal.retry_after(RETRY_AFTER).into_response();
    };
    next.run(request).await
}
