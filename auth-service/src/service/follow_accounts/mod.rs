//! Worker: stops the access tokens and ends the sessions of accounts that changed.
//!
//! Changes of accounts are asked for at user-service at a steady pace and not taken from events:
//! whoever was disabled must be out within seconds, also while the broker is away. Everything that
//! living tokens may not know of is read anew every minute, because a change can be committed behind
//! what was read ([`chassis::feed`]).
//!
//! Of a page all rules are recorded before any session is ended: they stop the tokens, and are what
//! everybody waits for. What cannot be done for one account holds up no other one: it is put behind
//! everything else, and tried again in each round until it is done.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use chassis::error::Chain;
use chassis::feed::{Part, Progress};
use tokio_util::sync::CancellationToken;

use super::AuthService;
use crate::model::{AccountChange, AccountRule, EndOfUser, EndReason, SessionError, UserId};

/// Pause after which everything is read anew.
const FULL_READ_EVERY: Duration = Duration::from_mins(1);
/// Accounts of which it is known that their changes were taken over; all are forgotten when there are
/// more, and taken over again, which changes nothing.
const TAKEN_MAX: usize = 100_000;
/// Steps that may be owed to accounts until no more changes are read.
const OWED_MAX: usize = 10_000;
/// Failures in a row after which the rest waits for its next turn: then it is not the accounts.
const FAILURES_MAX: usize = 3;

/// Follows the changes of accounts; one per process.
pub struct AccountFollower {
    service: AuthService,
    progress: Progress,
    /// Versions up to which changes were taken over: they come again and again.
    taken: HashMap<UserId, u64>,
    /// Whose rule is to be recorded.
    rules: Owed,
    /// Whose sessions are to be ended, their rule being recorded.
    sessions: Owed,
    /// How long an access token may live, and with it how far back changes matter, in seconds.
    lookback_s: u32,
}

/// What is done for a changed account, in this order.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    RecordRule,
    EndSessions,
}

/// Changes for which a step is still to be taken.
#[derive(Default)]
struct Owed {
    due: VecDeque<AccountChange>,
    /// Those for which it failed.
    failed: Vec<AccountChange>,
}

impl AccountFollower {
    /// A follower that begins with the changes which living tokens may not know of.
    pub fn new(service: AuthService) -> Self {
        let lookback_s = service.keep_revocations_s;
        Self {
            service,
            progress: Progress::new(FULL_READ_EVERY),
            taken: HashMap::new(),
            rules: Owed::default(),
            sessions: Owed::default(),
            lookback_s,
        }
    }

    /// Follows every `pace` until `stop` is cancelled.
    pub async fn run(mut self, pace: Duration, stop: CancellationToken) {
        let work = async {
            loop {
                let outcome = self.follow().await;
                metrics::counter!("eh_account_change_reads_total",
                    "outcome" => if outcome.is_ok() { "ok" } else { "error" })
                .increment(1);
                if let Err(error) = outcome {
                    let (error, owed) = (Chain(&error), self.owed());
                    tracing::warn!(error = %error, steps.owed = owed, "changes of accounts not applied");
                }
                tokio::time::sleep(pace).await;
            }
        };
        let _stopped: Option<()> = stop.run_until_cancelled(work).await;
    }

    /// Reads and applies every change that there is, and then tries again what failed. Returns the
    /// first failure; what it did not concern is done all the same.
    pub async fn follow(&mut self) -> Result<(), SessionError> {
        let news = self.follow_news().await;
        for owed in [&mut self.rules, &mut self.sessions] {
            owed.due.extend(owed.failed.drain(..));
        }
        news.and(self.work_off().await)
    }

    async fn follow_news(&mut self) -> Result<(), SessionError> {
        let mut outcome = Ok(());
        self.progress.begin();
        while let Some((part, cursor)) = self.progress.due() {
            if self.owed() >= OWED_MAX {
                break;
            }
            let cursor = cursor.to_owned();
            let read = self.read(part, &cursor).await;
            outcome = outcome.and(self.work_off().await);
            read?;
        }
        outcome
    }

    /// Reads a page, and takes over what is new.
    async fn read(&mut self, part: Part, cursor: &str) -> Result<(), SessionError> {
        match self.service.accounts.list_changes(cursor, self.lookback_s).await {
            Ok(page) => {
                for change in page.changes {
                    self.take_over(change);
                }
                self.progress.advance(part, page.cursor, page.more);
                Ok(())
            }
            Err(SessionError::CursorInvalid) if self.progress.refused(part) => {
                tracing::warn!("cursor refused, reading all changes of accounts anew");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn take_over(&mut self, change: AccountChange) {
        if self.taken.get(&change.user_id).is_some_and(|version| *version >= change.version) {
            return;
        }
        if self.taken.len() >= TAKEN_MAX {
            self.taken.clear();
        }
        self.taken.insert(change.user_id, change.version);
        self.rules.due.push_back(change);
    }

    /// Takes the steps that are due. Returns the first failure.
    async fn work_off(&mut self) -> Result<(), SessionError> {
        let recorded = self.take_steps(Step::RecordRule).await;
        recorded.and(self.take_steps(Step::EndSessions).await)
    }

    async fn take_steps(&mut self, step: Step) -> Result<(), SessionError> {
        let (mut outcome, mut in_a_row) = (Ok(()), 0);
        while in_a_row < FAILURES_MAX
            && let Some(change) = self.owed_for(step).due.pop_front()
        {
            match self.service.take_step(step, &change).await {
                Ok(()) => {
                    in_a_row = 0;
                    if step == Step::RecordRule {
                        self.sessions.due.push_back(change);
                    }
                }
                Err(error) => {
                    in_a_row += 1;
                    outcome = outcome.and(Err(error));
                    self.owed_for(step).failed.push(change);
                }
            }
        }
        outcome
    }

    fn owed_for(&mut self, step: Step) -> &mut Owed {
        match step {
            Step::RecordRule => &mut self.rules,
            Step::EndSessions => &mut self.sessions,
        }
    }

    /// How many steps are owed.
    fn owed(&self) -> usize {
        [&self.rules, &self.sessions].map(|owed| owed.due.len() + owed.failed.len()).iter().sum()
    }
}

impl AuthService {
    async fn take_step(&self, step: Step, change: &AccountChange) -> Result<(), SessionError> {
        match step {
            Step::RecordRule => {
                if self.revocations.record(&AccountRule::from(change)).await? {
                    self.bell.ring();
                }
                Ok(())
            }
            Step::EndSessions => self.end_sessions_below(change).await,
        }
    }

    async fn end_sessions_below(&self, change: &AccountChange) -> Result<(), SessionError> {
        let reason =
            if change.is_active { EndReason::EpochMoved } else { EndReason::AccountDisabled };
        let end = EndOfUser {
            user_id: change.user_id,
            kept: change.kept_session,
            below_epoch: Some(change.session_epoch),
            reason,
        };
        let ended = self.sessions.end_of_user(&end, self.clock.now()).await?;
        tracing::debug!(user.id = %change.user_id, sessions.ended = ended, "account change applied");
        Ok(())
    }
}

#[cfg(test)]
mod tests;
