//! The gRPC image of what can go wrong with accounts.

use chassis::error::to_status;
use tonic::Status;

use crate::model::UserError;

impl From<UserError> for Status {
    fn from(error: UserError) -> Self {
        to_status(&error)
    }
}
