//! Where a process runs, and what that forbids.

use super::{ConfigError, Secret};

/// Shortest key that signs, seals or derives anything.
pub const MIN_KEY_BYTES: usize = 32;

/// Where a process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// On a developer's machine: plain text on loopback, reflection, well-known secrets.
    Development,
    /// Anywhere else.
    Production,
}

impl Profile {
    /// The name, which is also that of the profile's file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Production => "production",
        }
    }

    /// The profile of that name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Development, Self::Production].into_iter().find(|profile| profile.as_str() == name)
    }
}

/// Refuses a key that is too short anywhere, and one made for development in production.
///
/// Keys for development say so: they contain `development`.
pub fn require_strong(name: &str, key: &Secret, profile: Profile) -> Result<(), ConfigError> {
    if key.expose().len() < MIN_KEY_BYTES {
        let message = format!("must have at least {MIN_KEY_BYTES} bytes");
        return Err(ConfigError::value(name, message));
    }
    if profile == Profile::Production && key.expose().contains("development") {
        let message = "is the key for development, which anyone can read in the source";
        return Err(ConfigError::value(name, message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_are_known_by_name() {
        assert_eq!(Profile::parse("production"), Some(Profile::Production));
        assert_eq!(Profile::parse("development"), Some(Profile::Development));
        assert_eq!(Profile::parse("staging"), None);
    }

    #[test]
    fn weak_keys_are_refused() {
        let short = Secret::new("short");
        let known = Secret::new("development-only-signing-key-0123456789");
        let good = Secret::new("Vb4uPqf0sYx1mCe8ZkTg3nRwJh6dLa7Q");
        assert!(require_strong("token.key", &short, Profile::Development).is_err());
        assert!(require_strong("token.key", &known, Profile::Development).is_ok());
        assert!(require_strong("token.key", &good, Profile::Production).is_ok());
        let refusal = require_strong("token.key", &known, Profile::Production).unwrap_err();
        assert!(refusal.to_string().contains("`token.key`"));
        assert!(!refusal.to_string().contains("0123456789"));
    }
}
