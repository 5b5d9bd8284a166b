//! The gateway as its clients see it: over HTTP, in front of stand-ins for the services.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what a test cannot go on without fails it")]

mod access;
mod authentication;
mod bodies;
mod browsers;
mod catalogue;
mod conditions;
mod connections;
mod contract;
mod crowds;
mod documentation;
mod fleet;
mod harness;
mod members;
mod methods;
mod openapi;
mod orders;
mod overload;
mod parameters;
mod paths;
mod port;
mod probes;
mod process;
mod quotas;
mod reconciliation;
mod replies;
mod retries;
mod revocations;
mod samples;
mod shared_quotas;
mod table;
mod timeline;
mod travelling;
mod trouble;
