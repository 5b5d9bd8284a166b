//! What is true of every request. The order of the layers and its reasons are in [`crate::app`].

pub mod admission;
pub mod authn;
pub mod bodies;
pub mod client_address;
pub mod compression;
pub mod cors;
pub mod guard;
pub mod host;
pub mod problems;
pub mod rate_limit;
pub mod security;
pub mod trace;
