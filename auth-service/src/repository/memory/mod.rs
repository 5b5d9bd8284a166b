//! Adapters for tests: sessions, keys and devices in maps.

mod device;
mod key;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use chassis::audit::Entry;
use chassis::clock::{Clock, SystemClock};
use chassis::feed::{self, Cursor, Position};
use chrono::{DateTime, Utc};
use uuid::Uuid;

pub use device::MemoryDeviceRepository;
pub use key::MemoryKeyRepository;

use super::{Decide, RevocationRepository, SessionRepository, audit};
use crate::model::{
    AccountRule, EndOfUser, EndReason, Exchange, Lifetimes, Opened, Presented, RefreshToken,
    Revocation, RevocationPage, Session, SessionError, SessionEvent, SessionId, TokenDigest,
    UserId,
};

/// Keeps sessions and revocations in memory.
pub struct MemorySessionRepository {
    state: Mutex<State>,
}

/// What fails at a storage that is out of order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// What becomes of this account's sessions and rules.
    Everything(UserId),
    /// Ending all sessions of any account.
    EndingSessions,
}

struct State {
    fault: Option<Fault>,
    /// The clock of the storage, whatever those of the replicas show.
    clock: Arc<dyn Clock>,
    sessions: BTreeMap<SessionId, Session>,
    tokens: BTreeMap<TokenDigest, (SessionId, RefreshToken)>,
    /// By subject, with the time of the entry in microseconds.
    revocations: BTreeMap<Uuid, (i64, Revocation)>,
    events: Vec<SessionEvent>,
    audit: Vec<Entry>,
}

impl MemorySessionRepository {
    /// A storage whose clock is `clock`.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let state = State {
            fault: None,
            clock,
            sessions: BTreeMap::new(),
            tokens: BTreeMap::new(),
            revocations: BTreeMap::new(),
            events: Vec::new(),
            audit: Vec::new(),
        };
        Self { state: Mutex::new(state) }
    }

    /// Lets it fail so from now on; `None`: not any more.
    pub fn set_fault(&self, fault: Option<Fault>) {
        self.lock().fault = fault;
    }

    /// The events of every stored change, in order.
    pub fn events(&self) -> Vec<SessionEvent> {
        self.lock().events.clone()
    }

    /// What an audit log would say of sessions, in order.
    pub fn audit(&self) -> Vec<&'static str> {
        self.lock().audit.iter().map(Entry::action).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemorySessionRepository {
    fn default() -> Self {
        Self::new(Arc::new(SystemClock))
    }
}

impl State {
    fn check(&self, faults: &[Fault]) -> Result<(), SessionError> {
        if self.fault.is_some_and(|fault| faults.contains(&fault)) {
            return Err(SessionError::Unavailable { retry_after: None, source: "a fault".into() });
        }
        Ok(())
    }

    /// Entries of the feed bear the time of the storage.
    fn now_us(&self) -> i64 {
        self.clock.now().timestamp_micros()
    }

    fn presented(&self, digest: TokenDigest) -> Option<Presented> {
        let (session_id, token) = self.tokens.get(&digest)?.clone();
        let session = self.sessions.get(&session_id)?.clone();
        let successor = token.successor.and_then(|next| self.tokens.get(&next));
        let successor = successor.map(|(_, next)| next.clone());
        Some(Presented { session, token, successor, seen_at: self.clock.now() })
    }

    fn store(&mut self, exchange: &Exchange) {
        let id = exchange.session.id();
        self.sessions.insert(id, exchange.session.clone());
        for token in &exchange.tokens {
            self.tokens.insert(token.digest, (id, token.clone()));
        }
        self.events.extend(exchange.events.iter().cloned());
        if let Some(reason) = exchange.ended {
            self.audit.push(audit::of_end(&exchange.session, reason));
            let entry = (self.now_us(), Revocation::Session(id));
            self.revocations.insert(id.as_uuid(), entry);
        }
    }

    fn end(&mut self, session: SessionId, reason: EndReason, now: DateTime<Utc>) -> bool {
        let ended = self.sessions.get(&session).and_then(|session| session.end(reason, now));
        if let Some(exchange) = &ended {
            self.store(exchange);
        }
        ended.is_some()
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
        self.lock().end(session, reason, now);
        Ok(())
    }

    async fn find(&self, session: SessionId) -> Result<Option<Session>, SessionError> {
        Ok(self.lock().sessions.get(&session).cloned())
    }

    async fn list_live(
        &self,
        user: UserId,
        lifetimes: &Lifetimes,
        now: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<Session>, SessionError> {
        let state = self.lock();
        let is_live =
            |session: &&Session| session.user_id() == user && session.is_live(lifetimes, now);
        let mut live: Vec<_> = state.sessions.values().filter(is_live).cloned().collect();
        live.sort_by_key(|session| (session.stored().last_used_at, session.id()));
        live.reverse();
        live.truncate(limit as usize);
        Ok(live)
    }

    async fn end_of_user(&self, end: &EndOfUser, now: DateTime<Utc>) -> Result<u32, SessionError> {
        let mut state = self.lock();
        state.check(&[Fault::Everything(end.user_id), Fault::EndingSessions])?;
        let concerned = state.sessions.values().filter(|session| end.concerns(session));
        let concerned: Vec<_> = concerned.map(Session::id).collect();
        let mut count = 0;
        for id in concerned {
            count += u32::from(state.end(id, end.reason, now));
        }
        Ok(count)
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

#[async_trait]
impl RevocationRepository for MemorySessionRepository {
    async fn record(&self, rule: &AccountRule) -> Result<bool, SessionError> {
        let mut state = self.lock();
        state.check(&[Fault::Everything(rule.user_id)])?;
        let id = rule.user_id.as_uuid();
        if let Some((_, Revocation::Account(known))) = state.revocations.get(&id)
            && known.version >= rule.version
        {
            return Ok(false);
        }
        let entry = (state.now_us(), Revocation::Account(rule.clone()));
        state.revocations.insert(id, entry);
        Ok(true)
    }

    async fn list(
        &self,
        cursor: &str,
        keep_s: u32,
        limit: u32,
    ) -> Result<RevocationPage, SessionError> {
        let state = self.lock();
        let now_us = state.now_us();
        let start = if cursor.is_empty() {
            Cursor::since(now_us - i64::from(keep_s) * 1_000_000)
        } else {
            Cursor::parse(cursor).map_err(|_| SessionError::CursorInvalid)?
        };
        let Position { at_us, id } = start.position();
        let mut found: Vec<_> =
            state.revocations.iter().map(|(id, (at, e))| (*at, *id, e)).collect();
        found.retain(|(at, subject, _)| (*at, *subject) > (at_us, id));
        found.sort_by_key(|(at, subject, _)| (*at, *subject));
        found.truncate(limit as usize);
        let full = feed::end_of_full(&found, limit, |&(at_us, id, _)| Position { at_us, id });
        let (cursor, more) = start.after(full, now_us);
        let entries = found.into_iter().map(|(_, _, entry)| (entry.clone(), keep_s)).collect();
        Ok(RevocationPage { entries, cursor: cursor.to_string(), more })
    }

    async fn sweep(&self, keep_s: u32, limit: u32) -> Result<u64, SessionError> {
        let mut state = self.lock();
        let before = state.now_us() - i64::from(keep_s) * 1_000_000;
        let old = state.revocations.iter().filter(|(_, (at, _))| *at < before);
        let old: Vec<_> = old.map(|(id, _)| *id).take(limit as usize).collect();
        for id in &old {
            state.revocations.remove(id);
        }
        Ok(old.len() as u64)
    }
}
