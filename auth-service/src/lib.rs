//! Auth service: login, tokens, sessions, signing keys.
//!
//! Owns the schema `hub_auth` and answers `enterprisehub.auth.v1`. It never sees a password hash:
//! credentials are checked by user-service. Access tokens are verified by everyone with the
//! published keys; refresh tokens mean something here only. What others must learn of a session
//! (`auth.session_started`, `auth.sessions_revoked`, `auth.token_reuse_detected`) leaves through
//! the outbox, written in the transaction of the change.
//!
//! Modules in reading order: [`model`] (rules), [`service`] (use cases), [`repository`] and
//! [`client`] (ports and adapters), [`token`] (signing and sealing), [`api`] (gRPC), [`config`],
//! [`app`] (composition).

pub mod model;
pub mod service;

pub mod client;
pub mod repository;
pub mod token;

pub mod api;

pub mod app;
pub mod config;

pub use app::App;
