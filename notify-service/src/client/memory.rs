//! Adapter for tests: messages in a list.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use super::{MailError, Mailer};
use crate::model::Letter;

/// Keeps what it takes, and refuses what a test wants refused.
#[derive(Debug, Default)]
pub struct MemoryMailer {
    taken: Mutex<Vec<Letter>>,
    refusals: Mutex<VecDeque<MailError>>,
}

impl MemoryMailer {
    /// What was taken, in order.
    pub fn taken(&self) -> Vec<Letter> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Refuses the next message that no earlier call speaks of.
    pub fn refuse(&self, error: MailError) {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner).push_back(error);
    }
}

#[async_trait]
impl Mailer for MemoryMailer {
    async fn send(&self, letter: &Letter) -> Result<(), MailError> {
        let refusal = self.refusals.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        if let Some(error) = refusal {
            return Err(error);
        }
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).push(letter.clone());
        Ok(())
    }
}
