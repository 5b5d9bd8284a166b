//! The way in: gRPC. Parses, calls a use case, renders; decides nothing.

mod callers;
mod convert;
mod error;
mod grpc;

pub use callers::CALLERS;
pub use grpc::UserApi;
