//! One-time tokens and requests for another password, in memory.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{MemoryUserRepository, State};
use crate::model::{
    Change, Email, IssuedToken, LiveToken, Purpose, RecoveryRequest, RecoveryRequestId,
    TokenDigest, UserError, UserId,
};
use crate::repository::{Issue, TokenRepository};

/// What is kept.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    live: Vec<IssuedToken>,
    told: Vec<IssuedToken>,
    requests: Vec<(RecoveryRequest, DateTime<Utc>)>,
}

impl MemoryUserRepository {
    /// Every token that was issued, in order, used up or not.
    pub fn issued(&self) -> Vec<IssuedToken> {
        self.lock().tokens.told.clone()
    }
}

impl Tokens {
    /// Whether the token that a change spends is good.
    pub(super) fn allow(&self, change: &Change) -> bool {
        change.tokens.spends.is_none_or(|spent| {
            self.live.iter().any(|issued| {
                let token = &issued.token;
                (token.id, token.user_id) == (spent.id, change.user.id())
                    && token.purpose == spent.purpose
                    && token.expires_at > spent.at
            })
        })
    }

    pub(super) fn apply(&mut self, change: &Change) {
        let (user, ended) = (change.user.id(), change.ends_tokens_for());
        self.live.retain(|issued| {
            issued.token.user_id != user || !ended.contains(&issued.token.purpose)
        });
        if let Some(issued) = &change.tokens.issues {
            self.store(issued);
        }
    }

    fn store(&mut self, issued: &IssuedToken) {
        self.live.push(issued.clone());
        self.told.push(issued.clone());
    }

    fn count(&self, user: UserId, purpose: Purpose, now: DateTime<Utc>) -> usize {
        let of_user = self.live.iter().map(|issued| &issued.token);
        let live = of_user.filter(|token| token.user_id == user && token.purpose == purpose);
        live.filter(|token| token.expires_at > now).count()
    }

    fn end(&mut self, id: RecoveryRequestId) -> bool {
        let before = self.requests.len();
        self.requests.retain(|(request, _)| request.id != id);
        self.requests.len() < before
    }
}

impl State {
    fn issue(
        &mut self,
        issued: &IssuedToken,
        live_max: u32,
        answers: Option<RecoveryRequestId>,
    ) -> Result<Issue, UserError> {
        let LiveToken { user_id, purpose, .. } = issued.token;
        if !self.users.contains_key(&user_id) {
            return Err(UserError::NotFound);
        }
        if answers.is_some_and(|request| !self.tokens.end(request)) {
            return Ok(Issue::Answered);
        }
        if self.tokens.count(user_id, purpose, issued.issued_at) >= live_max as usize {
            return Ok(Issue::TooMany);
        }
        self.tokens.store(issued);
        Ok(Issue::Done)
    }
}

#[async_trait]
impl TokenRepository for MemoryUserRepository {
    async fn issue(
        &self,
        issued: &IssuedToken,
        live_max: u32,
        answers: Option<RecoveryRequestId>,
    ) -> Result<Issue, UserError> {
        self.lock().issue(issued, live_max, answers)
    }

    async fn find_live(
        &self,
        digest: &TokenDigest,
        purpose: Purpose,
        now: DateTime<Utc>,
    ) -> Result<Option<LiveToken>, UserError> {
        let state = self.lock();
        let known = state.tokens.live.iter().find(|issued| issued.digest == *digest);
        let token = known.map(|issued| issued.token.clone());
        Ok(token.filter(|token| token.purpose == purpose && token.expires_at > now))
    }

    async fn request_recovery(
        &self,
        email: &Email,
        now: DateTime<Utc>,
        waiting_max: u32,
    ) -> Result<(), UserError> {
        let requests = &mut self.lock().tokens.requests;
        if requests.len() >= waiting_max as usize {
            return Err(UserError::too_many_requests());
        }
        let is_known =
            |(request, _): &(RecoveryRequest, _)| request.email.normalized() == email.normalized();
        if !requests.iter().any(is_known) {
            let id = RecoveryRequestId::generate();
            requests.push((RecoveryRequest { id, email: email.clone() }, now));
        }
        Ok(())
    }

    async fn waiting_requests(&self, limit: u32) -> Result<Vec<RecoveryRequest>, UserError> {
        let state = self.lock();
        let waiting = state.tokens.requests.iter().map(|(request, _)| request.clone());
        Ok(waiting.take(limit as usize).collect())
    }

    async fn drop_request(&self, id: RecoveryRequestId) -> Result<(), UserError> {
        self.lock().tokens.end(id);
        Ok(())
    }

    async fn forget(
        &self,
        now: DateTime<Utc>,
        oldest_request: DateTime<Utc>,
        limit: u32,
    ) -> Result<u64, UserError> {
        let tokens = &mut self.lock().tokens;
        let (mut left, before) = (limit, tokens.live.len() + tokens.requests.len());
        tokens.live.retain(|issued| {
            let goes = issued.token.expires_at <= now && left > 0;
            left -= u32::from(goes);
            !goes
        });
        left = limit;
        tokens.requests.retain(|(_, at)| {
            let goes = *at < oldest_request && left > 0;
            left -= u32::from(goes);
            !goes
        });
        Ok((before - tokens.live.len() - tokens.requests.len()) as u64)
    }
}
