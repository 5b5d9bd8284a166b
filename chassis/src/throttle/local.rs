//! Adapter: attempts counted in this process, in a bounded map.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::{Admission, AttemptStore, MEMBERS_MAX, Meter, StoreError, Ticket};

/// How long a meter that nobody asks about is kept: longer than any pause that is configured.
const IDLE: Duration = Duration::from_hours(24);

/// Counts attempts in memory.
pub struct LocalAttempts {
    meters: moka::sync::Cache<String, Arc<Mutex<State>>>,
    started: Instant,
}

/// Times are microseconds since the process started.
#[derive(Debug, Default)]
struct State {
    count: u32,
    pause_until: u64,
    /// Since when the next wrong attempt is being forgotten.
    counted_at: u64,
    members: Vec<u64>,
}

impl LocalAttempts {
    /// Keeps `capacity` meters at most; the one that was asked about least is dropped for a new one.
    pub fn new(capacity: u64) -> Self {
        let meters = moka::sync::Cache::builder().max_capacity(capacity).time_to_idle(IDLE).build();
        Self { meters, started: Instant::now() }
    }

    pub(super) fn begin_now(&self, meter: &Meter) -> Admission {
        let now = self.now();
        self.with(meter, |state| state.begin(meter, now))
    }

    pub(super) fn take_back_now(&self, meter: &Meter, ticket: &Ticket) {
        self.with(meter, |state| state.take_back(meter, ticket));
    }

    pub(super) fn clear_now(&self, meter: &Meter) {
        self.meters.invalidate(&meter.key);
    }

    fn with<T>(&self, meter: &Meter, act: impl FnOnce(&mut State) -> T) -> T {
        let state = self.meters.get_with_by_ref(&meter.key, Arc::default);
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        act(&mut state)
    }

    fn now(&self) -> u64 {
        micros(self.started.elapsed())
    }
}

impl State {
    fn begin(&mut self, meter: &Meter, now: u64) -> Admission {
        self.forget(micros(meter.rule.forget).max(1), now);
        if meter.member.is_some_and(|member| self.members.contains(&member)) {
            let ticket = Ticket { is_counted: false, pause_until: 0, is_shared: false };
            return Admission::Admitted(ticket);
        }
        if let Some(left) = self.pause_until.checked_sub(now).filter(|left| *left > 0) {
            return Admission::Refused { retry_after: Duration::from_micros(left) };
        }
        self.count = self.count.saturating_add(1);
        let pause = micros(meter.rule.pause_after(self.count));
        self.pause_until = if pause == 0 { 0 } else { now + pause };
        if let Some(member) = meter.member.filter(|_| self.members.len() < MEMBERS_MAX) {
            self.members.push(member);
        }
        Admission::Admitted(Ticket {
            is_counted: true,
            pause_until: self.pause_until,
            is_shared: false,
        })
    }

    fn take_back(&mut self, meter: &Meter, ticket: &Ticket) {
        if !ticket.is_counted {
            return;
        }
        self.count = self.count.saturating_sub(1);
        self.members.retain(|member| Some(*member) != meter.member);
        if self.pause_until == ticket.pause_until {
            self.pause_until = 0;
        }
    }

    /// Forgets what is due since the last look, and keeps the time that is left over.
    fn forget(&mut self, interval: u64, now: u64) {
        let due = now.saturating_sub(self.counted_at) / interval;
        self.count = self.count.saturating_sub(u32::try_from(due).unwrap_or(u32::MAX));
        self.counted_at += due * interval;
        if self.count == 0 {
            self.counted_at = now;
            self.members.clear();
        }
    }
}

#[async_trait]
impl AttemptStore for LocalAttempts {
    async fn begin(&self, meter: &Meter) -> Result<Admission, StoreError> {
        Ok(self.begin_now(meter))
    }

    async fn take_back(&self, meter: &Meter, ticket: &Ticket) -> Result<(), StoreError> {
        self.take_back_now(meter, ticket);
        Ok(())
    }

    async fn clear(&self, meter: &Meter) -> Result<(), StoreError> {
        self.clear_now(meter);
        Ok(())
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::super::Rule;
    use super::*;

    fn meter(key: &str) -> Meter {
        let rule = Rule {
            free: 3,
            pause: Duration::from_secs(1),
            pause_max: Duration::from_secs(10),
            forget: Duration::from_mins(1),
        };
        Meter { key: key.to_owned(), rule, member: None }
    }

    fn pause_of(attempts: &LocalAttempts) -> u64 {
        match attempts.begin_now(&meter("x")) {
            Admission::Refused { retry_after } => retry_after.as_secs(),
            Admission::Admitted(_) => 0,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_and_wrong_attempts_are_forgotten_one_by_one() {
        let attempts = LocalAttempts::new(100);
        assert_eq!([(); 4].map(|()| pause_of(&attempts)), [0, 0, 0, 1]);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!([(); 2].map(|()| pause_of(&attempts)), [0, 2]);
        // One of the four is forgotten; the next one is the fourth again.
        tokio::time::advance(Duration::from_secs(59)).await;
        assert_eq!([(); 2].map(|()| pause_of(&attempts)), [0, 2]);
        tokio::time::advance(Duration::from_mins(4)).await;
        assert_eq!([(); 4].map(|()| pause_of(&attempts)), [0, 0, 0, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_number_of_meters_is_bounded() {
        let attempts = LocalAttempts::new(10);
        for n in 0..500 {
            attempts.begin_now(&meter(&format!("meter {n}")));
        }
        attempts.meters.run_pending_tasks();
        assert!(attempts.meters.entry_count() <= 10);
    }

    #[tokio::test(start_paused = true)]
    async fn the_number_of_members_is_bounded() {
        let attempts = LocalAttempts::new(10);
        let rule = Rule { free: 1_000, ..meter("x").rule };
        for member in 0..500 {
            attempts.begin_now(&Meter { member: Some(member), rule, ..meter("x") });
        }
        let state = attempts.meters.get("x").unwrap();
        let state = state.lock().unwrap();
        assert_eq!((state.members.len(), state.count), (MEMBERS_MAX, 500));
    }
}
