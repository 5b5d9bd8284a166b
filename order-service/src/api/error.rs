//! The gRPC image of this service's errors. This is the boundary: the error is logged here, once.

use chassis::error::to_status;
use tonic::Status;

use crate::model::OrderError;

impl From<OrderError> for Status {
    fn from(error: OrderError) -> Self {
        to_status(&error)
    }
}
