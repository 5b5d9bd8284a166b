//! The developer's tool (`ehub`) and the harness of the end-to-end tests.
//!
//! Both do the same work: provide the middleware, create schemas and accounts, run the services,
//! wait until they are ready, and leave nothing behind. Reading order:
//!
//! 1. [`middleware`]: where MySQL, Redis, RabbitMQ and Consul come from;
//! 2. [`schema`]: one schema and one account per service;
//! 3. [`credentials`]: certificates by which the services know each other;
//! 4. [`services`]: the six binaries, their environment and their life;
//! 5. [`harness`]: a private fleet for one test;
//! 6. [`local`]: the one fleet of this checkout, which `cargo ehub up` starts;
//! 7. [`command`]: what `ehub` offers on the command line;
//! 8. [`proxy`]: links that misbehave on request;
//! 9. [`audit`]: whether what a fleet has stored keeps its promises;
//! 10. [`chaos`]: whether it keeps them while everything around it breaks;
//! 11. [`mod@bench`]: how fast it is, where that is a promise;
//! 12. [`rolling`]: what it costs to replace every process under load;
//! 13. [`dependencies`]: what the binaries are made of;
//! 14. [`observability`]: what the services export;
//! 15. [`logs`]: what a running fleet has written;
//! 16. [`status`]: how it is;
//! 17. [`load`]: what it bears;
//! 18. [`explain`]: what a service is configured with, and why;
//! 19. [`process`], [`port`], [`wait`], [`time`], [`address`], [`http`],
//!     [`layout`]: what all of them stand on;
//! 20. [`leftovers`]: what runs that were killed have left.
//!
//! This crate depends neither on the chassis nor on a service, so that the tool builds on a
//! machine where a service does not build yet.

pub mod address;
pub mod audit;
pub mod bench;
pub mod chaos;
pub mod command;
pub mod credentials;
pub mod dependencies;
pub mod environment;
pub mod explain;
pub mod harness;
pub mod http;
pub mod layout;
pub mod leftovers;
pub mod load;
pub mod local;
pub mod logs;
pub mod middleware;
pub mod mutants;
pub mod observability;
pub mod port;
pub mod process;
pub mod proxy;
pub mod random;
pub mod rolling;
pub mod sandbox;
pub mod schema;
pub mod seed;
pub mod services;
pub mod status;
pub mod time;
pub mod ui;
pub mod wait;

pub use harness::{Fleet, FleetOptions};
