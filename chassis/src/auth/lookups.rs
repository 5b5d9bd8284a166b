//! How often a token was verified before; the handles are resolved once.

use metrics::{Counter, counter};

/// Lookups among the tokens that were verified before, by whether they were found.
pub(super) struct Lookups {
    pub(super) hits: Counter,
    pub(super) misses: Counter,
}

impl Lookups {
    pub(super) fn new() -> Self {
        Self {
            hits: counter!("eh_token_cache_lookups_total", "outcome" => "hit"),
            misses: counter!("eh_token_cache_lookups_total", "outcome" => "miss"),
        }
    }
}
