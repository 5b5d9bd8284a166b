//! Callbacks that are not delivered yet, and when each is tried next.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::entry::{Delivery, Ending};

/// How often and how long a callback is tried.
#[derive(Clone, Debug)]
pub struct Retries {
    /// Pause after the first failure; it doubles from there.
    pub first: Duration,
    /// Longest pause.
    pub max: Duration,
    /// Tries after which a delivery is given up.
    pub tries: u32,
    /// Refusals after which it is given up: an answer 4xx will hardly change.
    pub refusals: u32,
}

/// What became of one try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Answered with 200.
    Taken,
    /// Answered with another status that speaks of the callback.
    Refused,
    /// Anything else.
    Failed,
}

#[derive(Debug)]
struct Waiting {
    delivery: Delivery,
    not_before: DateTime<Utc>,
    tries: u32,
    refusals: u32,
    is_under_way: bool,
}

/// Deliveries that have not ended.
#[derive(Debug, Default)]
pub struct Outbox(BTreeMap<String, Waiting>);

impl Outbox {
    /// Adds a delivery.
    pub fn add(&mut self, delivery: Delivery) {
        let not_before = delivery.due_at;
        let waiting = Waiting { delivery, not_before, tries: 0, refusals: 0, is_under_way: false };
        self.0.insert(waiting.delivery.key.clone(), waiting);
    }

    /// Removes one that has ended.
    pub fn remove(&mut self, key: &str) {
        self.0.remove(key);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Hands out what is due, the oldest first, at most so many; they are under way from now on.
    pub fn take_due(&mut self, now: DateTime<Utc>, room: usize) -> Vec<Delivery> {
        let mut due: Vec<(DateTime<Utc>, String)> = self
            .startable()
            .filter(|waiting| waiting.not_before <= now)
            .map(|waiting| (waiting.not_before, waiting.delivery.key.clone()))
            .collect();
        due.sort_unstable();
        due.truncate(room);
        let mut taken = Vec::with_capacity(due.len());
        for (_, key) in due {
            if let Some(waiting) = self.0.get_mut(&key) {
                waiting.is_under_way = true;
                taken.push(waiting.delivery.clone());
            }
        }
        taken
    }

    /// When the next one is due.
    pub fn next_at(&self) -> Option<DateTime<Utc>> {
        self.startable().map(|waiting| waiting.not_before).min()
    }

    /// Takes note of a try; tells how the delivery ended if it did.
    pub fn tried(
        &mut self,
        key: &str,
        outcome: Outcome,
        now: DateTime<Utc>,
        retries: &Retries,
    ) -> Option<Ending> {
        let waiting = self.0.get_mut(key)?;
        waiting.is_under_way = false;
        waiting.tries += 1;
        waiting.refusals += u32::from(outcome == Outcome::Refused);
        if outcome == Outcome::Taken {
            return Some(Ending::Delivered);
        }
        if waiting.tries >= retries.tries || waiting.refusals >= retries.refusals {
            return Some(Ending::GivenUp);
        }
        let doublings = (waiting.tries - 1).min(30);
        let pause = retries.first.saturating_mul(1 << doublings).min(retries.max);
        waiting.not_before = now + TimeDelta::from_std(pause).unwrap_or(TimeDelta::MAX);
        None
    }

    fn startable(&self) -> impl Iterator<Item = &Waiting> {
        self.0.values().filter(|waiting| {
            let before = waiting.delivery.after.as_ref();
            !waiting.is_under_way && before.is_none_or(|key| !self.0.contains_key(key))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETRIES: Retries = Retries {
        first: Duration::from_millis(100),
        max: Duration::from_millis(300),
        tries: 5,
        refusals: 2,
    };

    fn at(ms: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(1_767_323_045_000 + ms).unwrap()
    }

    fn delivery(key: &str, after: Option<&str>) -> Delivery {
        let after = after.map(str::to_owned);
        Delivery { key: key.to_owned(), body: "{}".to_owned(), due_at: at(0), after }
    }

    fn keys(taken: &[Delivery]) -> Vec<&str> {
        taken.iter().map(|delivery| delivery.key.as_str()).collect()
    }

    #[test]
    fn pauses_grow_to_their_limit_and_tries_end() {
        let mut outbox = Outbox::default();
        outbox.add(delivery("a", None));
        for pause in [100, 200, 300, 300] {
            assert_eq!(keys(&outbox.take_due(at(0) + TimeDelta::hours(1), 9)), ["a"]);
            assert_eq!(outbox.next_at(), None, "under way");
            assert_eq!(outbox.tried("a", Outcome::Failed, at(0), &RETRIES), None);
            assert_eq!(outbox.next_at(), Some(at(pause)));
        }
        let end = outbox.tried("a", Outcome::Failed, at(0), &RETRIES);
        assert_eq!(end, Some(Ending::GivenUp));
    }

    #[test]
    fn refusals_end_a_delivery_sooner_than_failures() {
        let mut outbox = Outbox::default();
        outbox.add(delivery("a", None));
        assert_eq!(outbox.tried("a", Outcome::Refused, at(0), &RETRIES), None);
        assert_eq!(outbox.tried("a", Outcome::Failed, at(0), &RETRIES), None);
        let end = outbox.tried("a", Outcome::Refused, at(0), &RETRIES);
        assert_eq!(end, Some(Ending::GivenUp));
    }

    #[test]
    fn a_delivery_waits_for_the_one_before_it() {
        let mut outbox = Outbox::default();
        outbox.add(delivery("a", Some("b")));
        outbox.add(delivery("b", None));
        assert_eq!(keys(&outbox.take_due(at(0), 9)), ["b"]);
        assert!(outbox.take_due(at(0), 9).is_empty());
        assert_eq!(outbox.tried("b", Outcome::Taken, at(0), &RETRIES), Some(Ending::Delivered));
        outbox.remove("b");
        assert_eq!(keys(&outbox.take_due(at(0), 9)), ["a"]);
    }

    #[test]
    fn no_more_is_handed_out_than_there_is_room_for() {
        let mut outbox = Outbox::default();
        for key in ["a", "b", "c"] {
            outbox.add(delivery(key, None));
        }
        assert_eq!(keys(&outbox.take_due(at(0), 2)), ["a", "b"]);
        assert_eq!(keys(&outbox.take_due(at(0), 2)), ["c"]);
        assert_eq!(outbox.len(), 3);
    }
}
