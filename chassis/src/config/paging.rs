//! `[paging]`: the key that signs page tokens.

use serde::Deserialize;

use super::{ConfigError, Profile, Secret, require_strong};

/// How page tokens are made.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PagingConfig {
    /// Key of the signature, the same in every replica; tokens die with it.
    pub secret: Secret,
}

impl PagingConfig {
    /// Refuses a weak key outside development.
    pub fn validate(&self, profile: Profile) -> Result<(), ConfigError> {
        require_strong("paging.secret", &self.secret, profile)
    }
}
