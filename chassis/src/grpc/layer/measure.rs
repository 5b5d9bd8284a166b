//! Rate, errors and duration of every call.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;

use super::{Around, Next};
use crate::grpc::metrics::{Methods, code_in};

/// Measures calls per method.
#[derive(Clone)]
pub(crate) struct Measured {
    methods: Arc<Methods>,
}

impl Measured {
    pub(crate) fn new(methods: Methods) -> Self {
        Self { methods: Arc::new(methods) }
    }
}

impl Around for Measured {
    async fn around<N: Next>(&self, request: Request, next: N) -> Response {
        let measure = self.methods.find_or_other(request.uri().path()).begin();
        let response = next.run(request).await;
        measure.end(code_in(response.headers()));
        response
    }
}
