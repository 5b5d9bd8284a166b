//! End-to-end tests: real processes on real middleware, entered by the front door.
//!
//! Each test starts a fleet of its own through the harness, does what a client or a fault would do,
//! and ends with `Fleet::finish`, which also checks that every event was published and that every
//! process ended in order.

mod accounts;
mod broker;
mod codes;
mod collector;
mod discovery;
mod ejection;
mod faults;
mod flood;
mod flows;
mod mail;
mod metrics;
mod neighbours;
mod payments;
mod provider;
mod replicas;
mod rolling;
mod starting;
mod support;
mod tooling;
mod traces;
