//! The way in: gRPC. Parses, calls a use case, renders; decides nothing.

mod convert;
mod error;
mod grpc;

pub use grpc::AuthApi;
