//! Gateway: the fleet's HTTP/JSON edge.
//!
//! It owns what is true of every request (tokens, quotas, limits of size and time, the form of
//! errors, the API's documentation) and turns typed JSON into gRPC and back. It holds no business
//! rule and no schema, which is why it has no `service`, `repository` or `model`.
//!
//! Modules in reading order: [`app`] (what is connected to what, and the layer stack), [`state`]
//! (what requests use), `api` (the route table and the handlers), [`openapi`], [`middleware`], [`limit`], [`shedding`], [`error`], [`client`],
//! [`config`].

mod api;
pub mod app;
pub mod client;
pub mod config;
pub mod error;
pub mod limit;
pub mod middleware;
pub mod openapi;
mod refusal;
pub mod shedding;
pub mod state;

pub use app::{App, Parts};
pub use state::Gateway;
