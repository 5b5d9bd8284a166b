//! Notify-service: tells users what happened to them and to what is theirs.
//!
//! It consumes the fleet's events, writes one notification per event in the user's language, and
//! serves each user's inbox and preferences. Links that prove an address or recover a password go by
//! e-mail and are in no inbox. Events that cannot be processed become dead letters,
//! which administrators list, replay or discard one by one. It owns the schema `hub_notify` and
//! publishes no events of its own.
//!
//! Modules in reading order: [`model`], [`service`], [`repository`] and [`client`] (ports and
//! adapters), [`api`], and [`app`], which puts them together.

pub mod api;
pub mod app;
pub mod client;
pub mod config;
pub mod model;
pub mod repository;
pub mod service;

pub use app::App;
