//! The use cases: one file each. They know ports, not adapters.

mod dead_letters;
mod dead_mails;
mod inbox;
mod preferences;
mod receipts;
mod send_mails;
mod tell_users;

use std::sync::Arc;

use chassis::clock::Clock;

use crate::repository::{
    DeadLetterRepository, DeadMailRepository, NotificationRepository, ReceiptRepository,
};

pub use dead_letters::BuriedMessage;
pub use send_mails::{Courier, MailPlan, sealed_bytes};

/// Everything this service can do.
pub struct NotifyService {
    notifications: Arc<dyn NotificationRepository>,
    dead_letters: Arc<dyn DeadLetterRepository>,
    dead_mails: Arc<dyn DeadMailRepository>,
    receipts: Arc<dyn ReceiptRepository>,
    clock: Arc<dyn Clock>,
}

impl NotifyService {
    /// Connects the use cases to their ports.
    pub fn new<R>(repository: Arc<R>, clock: Arc<dyn Clock>) -> Self
    where
        R: NotificationRepository
            + DeadLetterRepository
            + DeadMailRepository
            + ReceiptRepository
            + 'static,
    {
        Self {
            notifications: repository.clone(),
            dead_letters: repository.clone(),
            dead_mails: repository.clone(),
            receipts: repository,
            clock,
        }
    }
}

#[cfg(test)]
mod testing {
    //! A service over memory, and happenings to feed it.

    use std::sync::Arc;

    use chassis::testing::clock::FixedClock;
    use uuid::Uuid;

    use super::NotifyService;
    use crate::model::{Facts, Happening, Topic, UserId};
    use crate::repository::memory::MemoryRepository;

    pub(crate) fn service() -> NotifyService {
        let repository = Arc::new(MemoryRepository::default());
        NotifyService::new(repository, Arc::new(FixedClock::default()))
    }

    pub(crate) fn happening(user_id: UserId, topic: Topic) -> Happening {
        let subject = Uuid::from_u128(chassis::id::new_id().as_u128());
        Happening {
            event_id: format!("{}:{subject}:1", topic.as_str()),
            event: topic.as_str().to_owned(),
            trace_id: String::new(),
            topic: Some(topic),
            subject,
            version: 1,
            user_id,
            facts: Facts::default(),
            mail: None,
        }
    }
}
