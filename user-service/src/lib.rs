//! User service: accounts, profiles, passwords, roles.
//!
//! Owns the schema `hub_user` and answers `enterprisehub.user.v1`. It alone sees passwords; it
//! knows nothing of sessions and access tokens, which are auth-service's. What others must learn of an
//! account (`user.registered`, `user.profile_updated`, `user.password_changed`, `user.disabled`)
//! leaves through the outbox, written in the transaction of the change; so do one-time tokens
//! (`user.verification_requested`, `user.recovery_requested`), sealed for notify-service.
//!
//! Modules in reading order: [`model`] (rules), [`service`] (use cases), [`repository`] and
//! [`hasher`] (ports and adapters), [`api`] (gRPC), [`config`], [`app`] (composition).

pub mod model;
pub mod service;

pub mod hasher;
pub mod repository;

pub mod api;

pub mod app;
pub mod config;

pub use app::App;
