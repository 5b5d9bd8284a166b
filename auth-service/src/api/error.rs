//! The gRPC image of what can go wrong with sessions.

use chassis::error::to_status;
use tonic::Status;

use crate::model::SessionError;

impl From<SessionError> for Status {
    fn from(error: SessionError) -> Self {
        to_status(&error)
    }
}
