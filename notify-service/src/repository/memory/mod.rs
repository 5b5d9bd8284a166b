//! The fake: the same promises, kept in memory.

mod mails;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use chassis::audit::Entry;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    DeadLetterQuery, DeadLetterRepository, Effects, InboxQuery, NotificationRepository,
    ReceiptRepository, Recipient, audit,
};
use crate::model::{
    Channel, DeadLetter, DeadLetterId, Locale, Memory, MutedNotice, Notice, Notification,
    NotificationId, NotifyError, Preferences, Receipt, UserId, Verdict,
};

#[derive(Debug, Default)]
struct State {
    notifications: BTreeMap<NotificationId, Notification>,
    muted: BTreeMap<(String, Channel), MutedNotice>,
    locales: HashMap<UserId, (u64, Locale)>,
    preferences: HashMap<UserId, Preferences>,
    dead_letters: BTreeMap<DeadLetterId, ([u8; 32], DeadLetter)>,
    receipts: BTreeMap<String, Receipt>,
    audit: Vec<Entry>,
    remembers_since: DateTime<Utc>,
    mails: Vec<mails::Kept>,
}

/// Both repositories over one state.
#[derive(Debug, Default)]
pub struct MemoryRepository {
    state: Mutex<State>,
}

impl MemoryRepository {
    /// What an audit log would hold, in order.
    pub fn audit(&self) -> Vec<&'static str> {
        self.state().audit.iter().map(Entry::action).collect()
    }

    /// What a schema would hold of what was muted, by event.
    pub fn muted_notices(&self) -> Vec<MutedNotice> {
        self.state().muted.values().cloned().collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl NotificationRepository for MemoryRepository {
    async fn recipients(
        &self,
        users: &[UserId],
    ) -> Result<HashMap<UserId, Recipient>, NotifyError> {
        let state = self.state();
        let known = users.iter().filter_map(|user| {
            let told = state.locales.get(user).copied();
            let preferences = state.preferences.get(user).cloned();
            (told.is_some() || preferences.is_some()).then(|| {
                let (version, locale) = told.unwrap_or_default();
                let preferences = preferences.unwrap_or_default();
                (*user, Recipient { locale, version, preferences })
            })
        });
        Ok(known.collect())
    }

    async fn record(&self, effects: Effects<'_>) -> Result<(), NotifyError> {
        let Effects { notifications, muted, introductions, arrivals, mails } = effects;
        let mut state = self.state();
        mails::store(&mut state.mails, mails);
        for arrival in arrivals {
            let receipt = state.receipts.entry(arrival.event_id.clone());
            let receipt = receipt.or_insert_with(|| Receipt {
                arrival: arrival.clone(),
                last_received_at: arrival.at,
                deliveries: 0,
                notices: Vec::new(),
            });
            receipt.deliveries += 1;
            receipt.last_received_at = arrival.at;
        }
        for introduction in introductions {
            let told = (introduction.version, introduction.locale);
            let known = state.locales.entry(introduction.user_id).or_insert(told);
            if told.0 > known.0 {
                *known = told;
            }
        }
        for notification in notifications {
            let known = |other: &Notification| other.event_id == notification.event_id;
            if !state.notifications.values().any(known) {
                state.notifications.insert(notification.id, notification.clone());
            }
        }
        for notice in muted {
            let key = (notice.event_id.clone(), notice.channel);
            state.muted.entry(key).or_insert_with(|| notice.clone());
        }
        Ok(())
    }

    async fn list(&self, query: InboxQuery) -> Result<Vec<Notification>, NotifyError> {
        let state = self.state();
        let wanted = state.notifications.values().rev().filter(|notification| {
            notification.user_id == query.user_id
                && query.before.is_none_or(|before| notification.id < before)
                && !(query.unread_only && notification.read_at.is_some())
        });
        Ok(wanted.take(query.limit as usize).cloned().collect())
    }

    async fn mark_read(
        &self,
        user_id: UserId,
        id: NotificationId,
        now: DateTime<Utc>,
    ) -> Result<Option<Notification>, NotifyError> {
        let mut state = self.state();
        let own = state.notifications.get_mut(&id).filter(|found| found.user_id == user_id);
        Ok(own.map(|notification| {
            notification.read_at.get_or_insert(now);
            notification.clone()
        }))
    }

    async fn put_preferences(
        &self,
        user_id: UserId,
        preferences: &Preferences,
    ) -> Result<(), NotifyError> {
        self.state().preferences.insert(user_id, preferences.clone());
        Ok(())
    }
}

#[async_trait]
impl ReceiptRepository for MemoryRepository {
    async fn receipts(
        &self,
        subject: Uuid,
        only_of: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<Receipt>, NotifyError> {
        let state = self.state();
        let wanted = |one: &&Receipt| {
            one.arrival.subject == subject && only_of.is_none_or(|user| one.arrival.user_id == user)
        };
        let mut found: Vec<Receipt> = state.receipts.values().filter(wanted).cloned().collect();
        found.sort_by_key(|receipt| receipt.arrival.version);
        found = found.split_off(found.len().saturating_sub(limit as usize));
        for receipt in &mut found {
            let made = state
                .notifications
                .values()
                .filter(|notification| notification.event_id == receipt.arrival.event_id);
            receipt.notices = made.map(notice).collect();
        }
        Ok(found)
    }

    async fn memory(&self, subjects: &[Uuid]) -> Result<Memory, NotifyError> {
        let state = self.state();
        let mut deliveries = BTreeMap::<Uuid, BTreeMap<u64, u32>>::new();
        for Receipt { arrival, deliveries: count, .. } in state.receipts.values() {
            if subjects.contains(&arrival.subject) {
                deliveries.entry(arrival.subject).or_default().insert(arrival.version, *count);
            }
        }
        Ok(Memory { since: state.remembers_since, deliveries })
    }

    async fn forget_receipts(&self, before: DateTime<Utc>, limit: u32) -> Result<u64, NotifyError> {
        let mut state = self.state();
        state.remembers_since = state.remembers_since.max(before);
        let old = state.receipts.values().filter(|receipt| receipt.last_received_at < before);
        let old: Vec<_> =
            old.take(limit as usize).map(|receipt| receipt.arrival.event_id.clone()).collect();
        for id in &old {
            state.receipts.remove(id);
        }
        Ok(old.len() as u64)
    }
}

fn notice(notification: &Notification) -> Notice {
    Notice {
        id: notification.id,
        channel: Channel::InApp,
        created_at: notification.created_at,
        read_at: notification.read_at,
    }
}

#[async_trait]
impl DeadLetterRepository for MemoryRepository {
    async fn bury(&self, letters: &[([u8; 32], DeadLetter)]) -> Result<(), NotifyError> {
        let mut state = self.state();
        for (fingerprint, letter) in letters {
            if !state.dead_letters.values().any(|(known, _)| known == fingerprint) {
                state.dead_letters.insert(letter.id, (*fingerprint, letter.clone()));
            }
        }
        Ok(())
    }

    async fn list(&self, query: DeadLetterQuery) -> Result<Vec<DeadLetter>, NotifyError> {
        let state = self.state();
        let wanted = state.dead_letters.values().rev().map(|(_, letter)| letter).filter(|letter| {
            query.before.is_none_or(|before| letter.id < before)
                && query.status.is_none_or(|status| letter.status == status)
        });
        let without_payload =
            |letter: &DeadLetter| DeadLetter { payload: Vec::new(), ..letter.clone() };
        Ok(wanted.take(query.limit as usize).map(without_payload).collect())
    }

    async fn find(&self, id: DeadLetterId) -> Result<Option<DeadLetter>, NotifyError> {
        Ok(self.state().dead_letters.get(&id).map(|(_, letter)| letter.clone()))
    }

    async fn count_open(&self, limit: u32) -> Result<u32, NotifyError> {
        let state = self.state();
        let open = state.dead_letters.values().filter(|(_, letter)| letter.decided_at.is_none());
        Ok(u32::try_from(open.take(limit as usize).count()).unwrap_or(u32::MAX))
    }

    async fn decide(&self, id: DeadLetterId, verdict: Verdict) -> Result<bool, NotifyError> {
        let mut state = self.state();
        let open =
            state.dead_letters.get_mut(&id).filter(|(_, letter)| letter.decided_at.is_none());
        let Some((_, letter)) = open else { return Ok(false) };
        let told = audit::of_verdict(id, &verdict);
        letter.status = verdict.status;
        letter.decided_at = Some(verdict.at);
        letter.decided_by = Some(verdict.by);
        letter.decision_reason = verdict.reason;
        state.audit.push(told);
        Ok(true)
    }
}
