//! What every request may use.

use std::sync::Arc;
use std::time::Duration;

use chassis::auth::Verifier;
use chassis::discovery::Registry;
use chassis::health::Health;

use crate::client::Upstreams;
use crate::limit::Limiter;
use crate::middleware::bodies::Bodies;
use crate::middleware::client_address::Network;

/// What handlers and middleware share.
pub struct Gateway {
    pub(crate) upstreams: Upstreams,
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) registry: Arc<dyn Registry>,
    pub(crate) health: Health,
    pub(crate) limiter: Limiter,
    pub(crate) trusted_proxies: Vec<Network>,
    pub(crate) request_timeout: Duration,
    pub(crate) bodies: Bodies,
    /// Longest wait for what other services add to an order's timeline.
    pub(crate) timeline_wait: Duration,
}

/// The gateway as handlers hold it.
pub type Shared = Arc<Gateway>;
