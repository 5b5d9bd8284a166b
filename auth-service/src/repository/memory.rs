//! Adapters for tests: sessions and keys in maps.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{Decide, KeyRepository, SessionRepository};
use crate::model::{
    EndReason, Exchange, Opened, Presented, RefreshToken, Session, SessionError, SessionEvent,
    SessionId, StoredKey, TokenDigest,
};

/// Keeps sessions in memory.
#[derive(Debug, Default)]
pub struct MemorySessionRepository {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    sessions: BTreeMap<SessionId, Session>,
    tokens: BTreeMap<TokenDigest, (SessionId, RefreshToken)>,
    events: Vec<SessionEvent>,
}

impl MemorySessionRepository {
    /// The events of every stored change, in order.
    pub fn events(&self) -> Vec<SessionEvent> {
        self.lock().events.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn presented(&self, digest: TokenDigest) -> Option<Presented> {
        let (session_id, token) = self.tokens.get(&digest)?.clone();
        let session = self.sessions.get(&session_id)?.clone();
        let successor = token.successor.and_then(|next| self.tokens.get(&next));
        Some(Presented { session, successor: successor.map(|(_, next)| next.clone()), token })
    }

    fn store(&mut self, exchange: &Exchange) {
        let id = exchange.session.id();
        self.sessions.insert(id, exchange.session.clone());
        for token in &exchange.tokens {
            self.tokens.insert(token.digest, (id, token.clone()));
        }
        self.events.extend(exchange.events.iter().cloned());
    }
}

#[async_trait]
impl SessionRepository for MemorySessionRepository {
    async fn insert(&self, opened: &Opened) -> Result<(), SessionError> {
        let mut state = self.lock();
        let id = opened.session.id();
        state.sessions.insert(id, opened.session.clone());
        state.tokens.insert(opened.token.digest, (id, opened.token.clone()));
        state.events.extend(opened.events.iter().cloned());
        Ok(())
    }

    async fn find_presented(&self, token: TokenDigest) -> Result<Option<Presented>, SessionError> {
        Ok(self.lock().presented(token))
    }

    async fn exchange(
        &self,
        _session: SessionId,
        token: TokenDigest,
        decide: &Decide<'_>,
    ) -> Result<Exchange, SessionError> {
        let mut state = self.lock();
        let presented = state.presented(token).ok_or(SessionError::RefreshInvalid)?;
        let exchange = decide(&presented);
        state.store(&exchange);
        Ok(exchange)
    }

    async fn end(
        &self,
        session: SessionId,
        reason: EndReason,
        now: DateTime<Utc>,
    ) -> Result<(), SessionError> {
        let mut state = self.lock();
        let ended = state.sessions.get(&session).and_then(|session| session.end(reason, now));
        if let Some(exchange) = ended {
            state.store(&exchange);
        }
        Ok(())
    }

    async fn purge(&self, before: DateTime<Utc>, limit: u32) -> Result<u64, SessionError> {
        let mut state = self.lock();
        let is_over = |session: &&Session| session.stored().expires_at < before;
        let over: Vec<_> = state.sessions.values().filter(is_over).map(Session::id).collect();
        let purged = over.into_iter().take(limit as usize);
        let mut count = 0;
        for id in purged {
            state.sessions.remove(&id);
            state.tokens.retain(|_, (session, _)| *session != id);
            count += 1;
        }
        Ok(count)
    }
}

/// Keeps signing keys in memory.
#[derive(Debug, Default)]
pub struct MemoryKeyRepository {
    keys: Mutex<Vec<StoredKey>>,
}

#[async_trait]
impl KeyRepository for MemoryKeyRepository {
    async fn list(&self) -> Result<Vec<StoredKey>, SessionError> {
        Ok(self.keys.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    async fn insert_signing(&self, key: &StoredKey) -> Result<bool, SessionError> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if keys.iter().any(|known| known.signs) {
            return Ok(false);
        }
        keys.push(key.clone());
        Ok(true)
    }
}
