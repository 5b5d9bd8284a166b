//! How this service's errors travel over gRPC.

use tonic::Status;

use crate::model::NotifyError;

impl From<NotifyError> for Status {
    fn from(error: NotifyError) -> Self {
        chassis::error::to_status(&error)
    }
}
