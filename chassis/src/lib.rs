//! The microservice chassis: everything a service needs that is not business.
//!
//! A service declares its configuration, implements [`run::Service`] and calls [`run::run`]; the
//! chassis reads the configuration, starts telemetry, answers probes, registers the instance,
//! serves, and takes everything down in order. It knows no business noun and no other crate of
//! the workspace.
//!
//! Modules in reading order: the life of a process ([`run`], [`shutdown`], [`health`],
//! [`config`], [`telemetry`]), the vocabulary ([`error`], [`id`], [`clock`], [`page`]), the ways in
//! and out ([`http`], [`grpc`], [`identity`], [`auth`], [`discovery`]), state and events ([`db`],
//! [`redis`], [`messaging`], [`outbox`], [`inbox`], [`doorbell`], [`feed`]), secrets ([`opaque`],
//! [`sealing`]), and what keeps guessing slow ([`throttle`], [`text`]). Tests of crashes mark their places by [`failpoint!`] and
//! plant their bugs by [`mutant!`]; without the features of these names both are nothing.

pub mod config;
pub mod health;
pub mod run;
pub mod shutdown;
pub mod telemetry;

pub mod clock;
pub mod error;
pub mod id;
pub mod page;

pub mod auth;
pub mod discovery;
pub mod grpc;
pub mod http;
pub mod identity;

pub mod audit;
mod backoff;
pub mod breaker;
pub mod census;
pub mod db;
pub mod doorbell;
pub mod feed;
mod folder;
pub mod inbox;
pub mod messaging;
pub mod opaque;
pub mod outbox;
pub mod redis;
pub mod sealing;
pub mod sweep;
pub mod text;
pub mod throttle;

#[cfg(feature = "failpoints")]
pub mod failpoint;
#[cfg(feature = "mutants")]
pub mod mutant;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

/// Nothing: this build has no failpoints.
#[cfg(not(feature = "failpoints"))]
#[macro_export]
macro_rules! failpoint {
    ($name:literal) => {};
}

/// False: this build has no planted bugs.
#[cfg(not(feature = "mutants"))]
#[macro_export]
macro_rules! mutant {
    ($name:literal) => {
        false
    };
}

#[doc(hidden)]
pub mod __private {
    //! What the macros of this crate expand to; not for direct use.

    pub use {serde, uuid};
}
