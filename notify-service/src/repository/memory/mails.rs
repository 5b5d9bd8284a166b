//! Messages by e-mail, in memory.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::MemoryRepository;
use crate::model::{Mail, MailOutcome, NotifyError, TakenMail};
use crate::repository::MailRepository;

/// A message and how far it has come.
#[derive(Debug)]
pub(super) struct Kept {
    mail: Mail,
    attempts: u32,
    next_attempt_at: DateTime<Utc>,
    is_waiting: bool,
}

/// Stores messages whose events were not seen before.
pub(super) fn store(kept: &mut Vec<Kept>, mails: &[Mail]) {
    for mail in mails {
        if !kept.iter().any(|other| other.mail.event_id == mail.event_id) {
            let next_attempt_at = mail.created_at;
            kept.push(Kept { mail: mail.clone(), attempts: 0, next_attempt_at, is_waiting: true });
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
            TakenMail { mail: kept.mail.clone(), attempt: kept.attempts }
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
            MailOutcome::Sent | MailOutcome::Dead => {
                kept.is_waiting = false;
                kept.mail.order.sealed.clear();
            }
        }
        Ok(())
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
