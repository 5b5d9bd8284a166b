//! Errors as answers to an rpc.

use chassis::error::to_status;
use tonic::Status;

use crate::model::PaymentError;

impl From<PaymentError> for Status {
    fn from(error: PaymentError) -> Self {
        to_status(&error)
    }
}
