//! What every adapter promises of notices that were muted.

use async_trait::async_trait;
use chrono::Duration;

use super::{Repository, arrival, deliver, inbox, listed, now};
use crate::model::{Channel, MutedNotice, UserId};
use crate::repository::Effects;
use crate::repository::memory::MemoryRepository;
use crate::repository::mysql::MySqlRepository;

/// Reads what no use case reads.
#[async_trait]
pub(super) trait Marks {
    /// Every mark, by event.
    async fn marks(&self) -> Vec<MutedNotice>;
}

#[async_trait]
impl Marks for MemoryRepository {
    async fn marks(&self) -> Vec<MutedNotice> {
        self.muted_notices()
    }
}

#[async_trait]
impl Marks for MySqlRepository {
    async fn marks(&self) -> Vec<MutedNotice> {
        self.muted_notices().await.unwrap()
    }
}

fn muted(user_id: UserId, event_id: &str) -> MutedNotice {
    MutedNotice {
        event_id: event_id.to_owned(),
        channel: Channel::InApp,
        user_id,
        created_at: now(),
    }
}

async fn mark(repository: &impl Repository, muted: &[MutedNotice]) {
    repository.record(Effects { muted, ..Effects::default() }).await.unwrap();
}

pub(super) async fn what_was_muted_is_marked_once_and_told_to_nobody(repository: &impl Repository) {
    let user = UserId::generate();
    let first = muted(user, "order.paid:1:2");
    mark(repository, std::slice::from_ref(&first)).await;
    let later = MutedNotice { created_at: now() + Duration::seconds(5), ..first.clone() };
    let second = muted(user, "order.paid:2:2");
    mark(repository, &[later, second.clone(), second.clone()]).await;
    assert_eq!(repository.marks().await, [first, second]);
    assert!(listed(repository, inbox(user)).await.is_empty());
}

/// Whoever audits finds them as long as notifications are there, which is longer than receipts are.
pub(super) async fn what_was_muted_is_marked_beyond_its_receipt(repository: &impl Repository) {
    let arrived = arrival(1, 2, now());
    let silenced = muted(arrived.user_id, &arrived.event_id);
    deliver(repository, std::slice::from_ref(&arrived)).await;
    mark(repository, std::slice::from_ref(&silenced)).await;
    repository.forget_receipts(now() + Duration::days(1), 5).await.unwrap();
    assert!(repository.receipts(arrived.subject, None, 5).await.unwrap().is_empty());
    assert_eq!(repository.marks().await, [silenced]);
}

pub(super) async fn more_marks_than_one_statement_takes_are_recorded(repository: &impl Repository) {
    let user = UserId::generate();
    let many: Vec<_> = (10..100).map(|at| muted(user, &format!("e{at}"))).collect();
    mark(repository, &many).await;
    assert_eq!(repository.marks().await, many);
}
