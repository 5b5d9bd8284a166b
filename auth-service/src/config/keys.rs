//! `[keys]`: how signing keys are kept.

use chassis::config::{ConfigError, FormerKey, Profile, Secret, require_strong};
use serde::Deserialize;

/// There was one sealing key before there was the list.
pub(crate) const FORMER: FormerKey =
    FormerKey { former: "keys.sealing_key", list: "keys.sealing_keys" };

/// `[keys]`: how signing keys are kept.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeysConfig {
    /// Keys under which private keys may be sealed; the first one seals.
    #[serde(deserialize_with = "chassis::config::list::secrets")]
    pub sealing_keys: Vec<Secret>,
    /// Age at which a signing key is succeeded, in seconds; 0: by order only.
    pub rotate_after_s: u32,
    /// How long a key is published before it signs, in seconds.
    pub publish_before_s: u32,
    /// Pause between two looks at the keys, in seconds; 1 to 60.
    pub check_interval_s: u32,
}

impl KeysConfig {
    pub(super) fn validate(&self, profile: Profile) -> Result<(), ConfigError> {
        if self.sealing_keys.is_empty() {
            return Err(ConfigError::value("keys.sealing_keys", "must name at least one key"));
        }
        for (at, key) in self.sealing_keys.iter().enumerate() {
            require_strong("keys.sealing_keys", key, profile)?;
            if self.sealing_keys.iter().take(at).any(|before| before.expose() == key.expose()) {
                return Err(ConfigError::value("keys.sealing_keys", "must not name a key twice"));
            }
        }
        if !(1..=60).contains(&self.check_interval_s) {
            return Err(ConfigError::value("keys.check_interval_s", "must be 1 to 60"));
        }
        if (1..=self.publish_before_s).contains(&self.rotate_after_s) {
            let reason = "must be 0 or longer than `keys.publish_before_s`";
            return Err(ConfigError::value("keys.rotate_after_s", reason));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::App;

    #[test]
    fn there_is_a_key_that_seals_and_each_is_long_enough_and_there_once() {
        let key = "k".repeat(32);
        let (short, twice) = (format!("{key},short"), format!("{key},{key}"));
        for (list, reason) in
            [("", "at least one key"), (&*short, "at least 32"), (&*twice, "a key twice")]
        {
            let refused = chassis::testing::config::refusal::<App>([("KEYS__SEALING_KEYS", list)]);
            assert!(refused.contains("keys.sealing_keys") && refused.contains(reason), "{refused}");
        }
    }

    #[test]
    fn a_key_under_the_former_name_is_the_only_one() {
        let key = "a,key,of,32,bytes,that,has,commas";
        let config = chassis::testing::config::defaults_with::<App>([("KEYS__SEALING_KEY", key)]);
        let keys: Vec<_> = config.keys.sealing_keys.iter().map(Secret::expose).collect();
        assert_eq!(keys, [key]);
    }
}
