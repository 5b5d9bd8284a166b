//! Order service: price list, stock, orders and the payment saga.
//!
//! It knows what things cost, reserves what is ordered, walks each order through its states, and
//! sees to it that an order is paid once or not at all, whatever dies on the way: an order is stored
//! with everything needed to finish it before payment-service is called, unknown outcomes are
//! asked about until they are known, and money that was not wanted goes back by itself.
//!
//! Read it in this order: [`model`] says what can happen, [`service`] makes it happen, one use
//! case per file, through the ports in [`repository`] and [`client`]; [`api`] lets callers and
//! events in, [`worker`] does what is due, and [`app`] connects it all.

pub mod api;
pub mod app;
pub mod client;
pub mod config;
pub mod model;
pub mod repository;
pub mod service;
pub mod worker;

pub use app::App;
pub use config::Config;
