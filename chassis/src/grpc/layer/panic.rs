//! Turns a panic into a status: one broken call must not close the connection it came on.

use std::any::Any;
use std::borrow::Cow;
use std::panic::AssertUnwindSafe;

use axum::extract::Request;
use axum::response::Response;
use futures::FutureExt;

use super::{Around, Next, refuse};
use crate::error::{ErrorCode, ServiceError, codes};

/// Catches panics of everything inside.
#[derive(Clone)]
pub(crate) struct CatchPanic;

impl Around for CatchPanic {
    async fn around<N: Next>(&self, request: Request, next: N) -> Response {
        // Nothing of the broken call is looked at again, so no torn state can be seen.
        let caught = AssertUnwindSafe(next.run(request)).catch_unwind().await;
        caught.unwrap_or_else(|payload| refuse(&HandlerPanicked(message(&*payload))))
    }
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&'static str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message").to_owned()
}

/// A handler panicked; the message is for the log.
#[derive(Debug, thiserror::Error)]
#[error("the handler panicked: {0}")]
struct HandlerPanicked(String);

impl ServiceError for HandlerPanicked {
    fn code(&self) -> ErrorCode {
        codes::INTERNAL
    }

    fn detail(&self) -> Cow<'_, str> {
        Cow::Borrowed("An unexpected error occurred.")
    }
}
