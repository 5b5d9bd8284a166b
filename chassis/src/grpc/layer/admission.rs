//! Sheds calls beyond the concurrency that the instance can work on.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::response::Response;
use tokio::sync::Semaphore;

use super::{Around, Next, refuse};
use crate::error::{ErrorCode, ServiceError, codes};

/// Admits a bounded number of calls and refuses the others at once: a call that queues here would
/// be answered after its caller has gone, at the expense of one that could still be in time.
#[derive(Clone)]
pub(crate) struct Admission {
    permits: Arc<Semaphore>,
}

impl Admission {
    pub(crate) fn new(max_concurrency: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(max_concurrency.min(Semaphore::MAX_PERMITS))) }
    }
}

impl Around for Admission {
    async fn around<N: Next>(&self, request: Request, next: N) -> Response {
        let Ok(_permit) = self.permits.try_acquire() else {
            return refuse(&Overloaded);
        };
        next.run(request).await
    }
}

/// The instance works on as many calls as it can.
#[derive(Debug, thiserror::Error)]
#[error("the instance is at its concurrency limit")]
struct Overloaded;

impl ServiceError for Overloaded {
    fn code(&self) -> ErrorCode {
        codes::SERVICE_UNAVAILABLE
    }

    fn detail(&self) -> Cow<'_, str> {
        Cow::Borrowed("The service is overloaded at the moment.")
    }

    fn retry_after(&self) -> Option<Duration> {
        Some(Duration::from_secs(1))
    }
}
