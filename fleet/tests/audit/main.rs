//! The auditor: silent about a fleet that keeps its promises, and naming every promise that
//! somebody breaks by hand.

mod books;
mod chain;
mod clean;
mod clients;
mod corruption;
mod graph;
mod ledger;
mod log;
mod volume;
