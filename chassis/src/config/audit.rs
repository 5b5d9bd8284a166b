//! `[audit]`: the key that seals the audit log.

use serde::Deserialize;

use super::{ConfigError, Profile, Secret, require_strong};

/// How the rows of the audit log are sealed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditConfig {
    /// Key of the seals, the same in every replica, at least 32 bytes. Rows that were sealed with an
    /// older one stay verifiable as long as the auditor is given that one too.
    pub key: Secret,
}

impl AuditConfig {
    /// Refuses a weak key outside development.
    pub fn validate(&self, profile: Profile) -> Result<(), ConfigError> {
        require_strong("audit.key", &self.key, profile)
    }
}
