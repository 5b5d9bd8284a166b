//! Signing keys as they are stored.

use chrono::{DateTime, Utc};

/// A signing key. The private part is sealed: without the sealing key it is of no use to anyone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredKey {
    /// The key's id in tokens and in the published set.
    pub kid: String,
    /// The raw public key, 32 bytes.
    pub public_key: Vec<u8>,
    /// The sealed private key.
    pub sealed_key: Vec<u8>,
    /// Whether new tokens are signed with it; at most one key's are.
    pub signs: bool,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Until when it is published; `None` while it signs.
    pub published_until: Option<DateTime<Utc>>,
}

impl StoredKey {
    /// Whether the key belongs to the published set: it signs, or tokens it signed still live.
    pub fn is_published(&self, now: DateTime<Utc>) -> bool {
        self.published_until.is_none_or(|until| until > now)
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn a_retired_key_is_published_while_its_tokens_live() {
        let now = DateTime::UNIX_EPOCH;
        let retired = StoredKey {
            kid: "a".to_owned(),
            public_key: vec![0; 32],
            sealed_key: Vec::new(),
            signs: false,
            created_at: now,
            published_until: Some(now + TimeDelta::minutes(20)),
        };
        assert!(retired.is_published(now + TimeDelta::minutes(19)));
        assert!(!retired.is_published(now + TimeDelta::minutes(20)));
        let signing = StoredKey { signs: true, published_until: None, ..retired };
        assert!(signing.is_published(now + TimeDelta::days(9999)));
    }
}
