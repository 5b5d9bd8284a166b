//! Signing keys as they are stored, and their life: published, then signing, then published for the
//! tokens that they signed, then gone.

use chrono::{DateTime, Utc};

/// A signing key. The private part is sealed: without the sealing key it is of no use to anyone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredKey {
    /// The key's id in tokens and in the published set.
    pub kid: String,
    /// The raw public key, 32 bytes.
    pub public_key: Vec<u8>,
    /// The sealed private key; empty once the key signs no more.
    pub sealed_key: Vec<u8>,
    /// Whether new tokens are signed with it; at most one key's are.
    pub signs: bool,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// The earliest time from which it signs; `None`: from when it was made.
    pub signs_from: Option<DateTime<Utc>>,
    /// Until when it is published; `None` while it signs or is about to.
    pub published_until: Option<DateTime<Utc>>,
}

/// What a key is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// Published, does not sign yet: verifiers learn of it before they need it.
    Pending,
    /// Signs new tokens.
    Signing,
    /// Signs no more, and is published while tokens that it signed may be alive.
    Retired,
}

impl StoredKey {
    /// What the key is there for.
    pub fn state(&self) -> KeyState {
        match (self.signs, self.published_until) {
            (true, _) => KeyState::Signing,
            (false, None) => KeyState::Pending,
            (false, Some(_)) => KeyState::Retired,
        }
    }

    /// Whether the key belongs to the published set: it signs or is about to, or tokens it signed
    /// still live.
    pub fn is_published(&self, now: DateTime<Utc>) -> bool {
        self.published_until.is_none_or(|until| until > now)
    }

    /// From when on it signs, or signed.
    pub fn begins(&self) -> DateTime<Utc> {
        self.signs_from.unwrap_or(self.created_at)
    }

    /// Whether the key waits for nothing any more but to take over.
    pub fn is_due(&self, now: DateTime<Utc>) -> bool {
        self.state() == KeyState::Pending && self.begins() <= now
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn key() -> StoredKey {
        StoredKey {
            kid: "a".to_owned(),
            public_key: vec![0; 32],
            sealed_key: Vec::new(),
            signs: false,
            created_at: DateTime::UNIX_EPOCH,
            signs_from: None,
            published_until: None,
        }
    }

    #[test]
    fn a_retired_key_is_published_while_its_tokens_live() {
        let now = DateTime::UNIX_EPOCH;
        let retired = StoredKey { published_until: Some(now + TimeDelta::minutes(20)), ..key() };
        assert_eq!(retired.state(), KeyState::Retired);
        assert!(retired.is_published(now + TimeDelta::minutes(19)));
        assert!(!retired.is_published(now + TimeDelta::minutes(20)));
        let signing = StoredKey { signs: true, published_until: None, ..retired };
        assert_eq!(signing.state(), KeyState::Signing);
        assert!(signing.is_published(now + TimeDelta::days(9999)));
    }

    #[test]
    fn a_pending_key_is_published_at_once_and_signs_later() {
        let begins = DateTime::UNIX_EPOCH + TimeDelta::minutes(10);
        let pending = StoredKey { signs_from: Some(begins), ..key() };
        assert_eq!(pending.state(), KeyState::Pending);
        assert!(pending.is_published(DateTime::UNIX_EPOCH));
        assert!(!pending.is_due(begins - TimeDelta::seconds(1)) && pending.is_due(begins));
        assert!(!StoredKey { signs: true, ..pending }.is_due(begins), "it has taken over");
    }
}
