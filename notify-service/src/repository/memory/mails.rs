//! Messages by e-mail, in memory.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::MemoryRepository;
use crate::model::{DeadMail, Death, Mail, MailId, MailOutcome, NotifyError, Replay, TakenMail};
use crate::repository::{DeadMailQuery, DeadMailRepository, MailRepository, audit};

/// A message and how far it has come.
#[derive(Debug)]
pub(super) struct Kept {
    mail: Mail,
    attempts: u32,
    earlier: u32,
    next_attempt_at: DateTime<Utc>,
    is_waiting: bool,
    death: Option<Death>,
}

impl Kept {
    fn new(mail: &Mail) -> Self {
        let next_attempt_at = mail.created_at;
        let (attempts, earlier, death) = (0, 0, None);
        Self { mail: mail.clone(), attempts, earlier, next_attempt_at, is_waiting: true, death }
    }

    fn dead(&self) -> Option<DeadMail> {
        let mail = &self.mail;
        self.death.as_ref().map(|death| DeadMail {
            id: mail.id,
            event_id: mail.event_id.clone(),
            event: mail.order.kind.as_str().to_owned(),
            user_id: mail.user_id,
            attempts: self.attempts,
            death: Some(death.clone()),
            created_at: mail.created_at,
            expires_at: mail.order.expires_at,
            is_sealed: !mail.order.sealed.is_empty(),
        })
    }
}

/// Stores messages whose events were not seen before.
pub(super) fn store(kept: &mut Vec<Kept>, mails: &[Mail]) {
    for mail in mails {
        if !kept.iter().any(|other| other.mail.event_id == mail.event_id) {
            kept.push(Kept::new(mail));
        }
    }
}

impl MemoryRepository {
    /// The messages of which address and token are still kept.
    pub fn sealed_mails(&self) -> Vec<Mail> {
        let state = self.state();
        let mails = state.mails.iter().map(|kept| kept.mail.clone());
        mails.filter(|mail| !mail.order.sealed.is_empty()).collect()
    }
}

#[async_trait]
impl MailRepository for MemoryRepository {
    async fn take(
        &self,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<TakenMail>, NotifyError> {
        let mut state = self.state();
        let mut due: Vec<&mut Kept> = state
            .mails
            .iter_mut()
            .filter(|kept| kept.is_waiting && kept.next_attempt_at <= now)
            .collect();
        due.sort_by_key(|kept| kept.next_attempt_at);
        due.truncate(limit as usize);
        let taken = due.into_iter().map(|kept| {
            kept.attempts += 1;
            kept.next_attempt_at = until;
            TakenMail { mail: kept.mail.clone(), attempt: kept.attempts, earlier: kept.earlier }
        });
        Ok(taken.collect())
    }

    async fn settle(&self, taken: &TakenMail, outcome: MailOutcome) -> Result<(), NotifyError> {
        let mut state = self.state();
        let found = state.mails.iter_mut().find(|kept| {
            kept.mail.id == taken.mail.id && kept.is_waiting && kept.attempts == taken.attempt
        });
        let Some(kept) = found else { return Ok(()) };
        match outcome {
            MailOutcome::Waits(at) => kept.next_attempt_at = at,
            MailOutcome::Sent => {
                kept.is_waiting = false;
                kept.mail.order.sealed.clear();
            }
            MailOutcome::Dead(death) => {
                kept.is_waiting = false;
                kept.next_attempt_at = kept.mail.order.expires_at;
                if kept.mail.order.expires_at <= death.at {
                    kept.mail.order.sealed.clear();
                }
                kept.death = Some(death);
            }
        }
        Ok(())
    }

    async fn forget_links(&self, now: DateTime<Utc>, limit: u32) -> Result<u64, NotifyError> {
        let mut state = self.state();
        let over = state.mails.iter_mut().filter(|kept| {
            kept.death.is_some() && kept.next_attempt_at <= now && kept.mail.order.expires_at <= now
        });
        let mut cleared = 0;
        for kept in over.take(limit as usize) {
            kept.mail.order.sealed.clear();
            kept.next_attempt_at = DateTime::<Utc>::MAX_UTC;
            cleared += 1;
        }
        Ok(cleared)
    }

    async fn forget_mails(&self, before: DateTime<Utc>, limit: u32) -> Result<u64, NotifyError> {
        let mails = &mut self.state().mails;
        let (mut left, count) = (limit, mails.len());
        mails.retain(|kept| {
            let goes = kept.mail.created_at < before && left > 0;
            left -= u32::from(goes);
            !goes
        });
        Ok((count - mails.len()) as u64)
    }
}

#[async_trait]
impl DeadMailRepository for MemoryRepository {
    async fn list_dead(&self, query: DeadMailQuery) -> Result<Vec<DeadMail>, NotifyError> {
        let mut dead: Vec<DeadMail> = self.state().mails.iter().filter_map(Kept::dead).collect();
        dead.sort_by_key(|mail| std::cmp::Reverse(mail.id));
        dead.retain(|mail| query.before.is_none_or(|before| mail.id < before));
        dead.truncate(query.limit as usize);
        Ok(dead)
    }

    async fn find_dead(&self, id: MailId) -> Result<Option<DeadMail>, NotifyError> {
        Ok(self.state().mails.iter().filter_map(Kept::dead).find(|mail| mail.id == id))
    }

    async fn replay(&self, mail: &DeadMail, replay: Replay) -> Result<bool, NotifyError> {
        let mut state = self.state();
        let found = state.mails.iter_mut().find(|kept| kept.mail.id == mail.id);
        let can_be_sent = |kept: &&mut Kept| kept.dead().is_some_and(|d| d.can_be_sent(replay.at));
        let Some(kept) = found.filter(can_be_sent) else { return Ok(false) };
        kept.is_waiting = true;
        kept.death = None;
        kept.earlier = kept.attempts;
        kept.next_attempt_at = replay.at;
        state.audit.push(audit::of_replay(mail, replay.by));
        Ok(true)
    }
}
