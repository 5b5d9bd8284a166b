//! The order in which the events of an aggregate arrive: which one is missing, and which one came
//! in the end.
//!
//! A gap is claimed only where an event must exist and its arrival would be remembered:
//! - of aggregates that tell each of their versions by an event, all of which arrive here: orders.
//!   A user, for one, changes in ways that no event tells of;
//! - after a lower version of the same aggregate, or where everything that ever arrived about it is
//!   remembered ([`Memory::since`]); what the sweep forgot, or came before there was a memory, is
//!   not missing;
//! - at the first delivery only, and not between events of one batch, which arrived together.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::Arrival;

/// Aggregates without versions that nobody hears of.
const GAPLESS: &str = "order.";

/// What is remembered about aggregates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memory {
    /// About an aggregate that is younger than this, everything is remembered.
    pub since: DateTime<Utc>,
    /// How often each version was delivered, by aggregate and version.
    pub deliveries: BTreeMap<Uuid, BTreeMap<u64, u32>>,
}

/// What a batch of deliveries did to the order of events.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Sequence<'a> {
    /// Events before which one is missing.
    pub gaps: Vec<&'a Arrival>,
    /// Events that were missing until now.
    pub fills: Vec<&'a Arrival>,
}

/// The aggregates among `arrivals` whose events could leave gaps.
pub fn gapless<'a>(arrivals: impl IntoIterator<Item = &'a Arrival>) -> Vec<Uuid> {
    let of_orders = arrivals.into_iter().filter(|arrival| is_gapless(arrival));
    let mut subjects: Vec<Uuid> = of_orders.map(|arrival| arrival.subject).collect();
    subjects.sort_unstable();
    subjects.dedup();
    subjects
}

/// Compares a batch with what is remembered, the batch included.
pub fn sequence<'a>(arrivals: &'a [Arrival], memory: &Memory) -> Sequence<'a> {
    let mut sequence = Sequence::default();
    for (subject, batch) in first_deliveries(arrivals, memory) {
        let deliveries = &memory.deliveries[&subject];
        let is_known = |version: u64| deliveries.contains_key(&version);
        let is_whole = born_at(subject).is_some_and(|born| born >= memory.since);
        for (version, arrival) in &batch {
            let before =
                || deliveries.range(..version).any(|(known, _)| !batch.contains_key(known));
            if !is_whole && !before() {
                continue;
            }
            if *version > 1 && !is_known(version - 1) {
                sequence.gaps.push(arrival);
            }
            if is_known(version + 1) && !batch.contains_key(&(version + 1)) {
                sequence.fills.push(arrival);
            }
        }
    }
    sequence
}

/// By aggregate and version, what was never delivered before this batch.
fn first_deliveries<'a>(
    arrivals: &'a [Arrival],
    memory: &Memory,
) -> BTreeMap<Uuid, BTreeMap<u64, &'a Arrival>> {
    let mut here = BTreeMap::<_, (u32, &Arrival)>::new();
    for arrival in arrivals.iter().filter(|arrival| is_gapless(arrival)) {
        here.entry((arrival.subject, arrival.version)).or_insert((0, arrival)).0 += 1;
    }
    let mut firsts = BTreeMap::<Uuid, BTreeMap<u64, &Arrival>>::new();
    for ((subject, version), (times, arrival)) in here {
        let deliveries = memory.deliveries.get(&subject).and_then(|known| known.get(&version));
        if deliveries == Some(&times) {
            firsts.entry(subject).or_default().insert(version, arrival);
        }
    }
    firsts
}

fn is_gapless(arrival: &Arrival) -> bool {
    arrival.event.starts_with(GAPLESS)
}

/// When an aggregate came to be, by its id; `None` for an id that does not tell.
fn born_at(subject: Uuid) -> Option<DateTime<Utc>> {
    let (seconds, nanos) = subject.get_timestamp()?.to_unix();
    DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanos)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::UserId;

    /// An aggregate and everything that arrived about it.
    struct Story {
        subject: Uuid,
        since: DateTime<Utc>,
        deliveries: BTreeMap<u64, u32>,
    }

    impl Story {
        fn new() -> Self {
            let subject = chassis::id::new_id();
            Self { subject, since: born_at(subject).unwrap(), deliveries: BTreeMap::new() }
        }

        fn arrival(&self, event: &str, version: u64) -> Arrival {
            Arrival {
                event_id: format!("{event}:{}:{version}", self.subject),
                event: event.to_owned(),
                subject: self.subject,
                version,
                user_id: UserId::generate(),
                trace_id: String::new(),
                at: DateTime::UNIX_EPOCH,
            }
        }

        /// Lets a batch arrive; tells before which versions one is missing, and which ones were.
        fn tell(&mut self, event: &str, versions: &[u64]) -> (Vec<u64>, Vec<u64>) {
            let batch: Vec<_> = versions.iter().map(|at| self.arrival(event, *at)).collect();
            for version in versions {
                *self.deliveries.entry(*version).or_default() += 1;
            }
            let memory = Memory {
                since: self.since,
                deliveries: BTreeMap::from([(self.subject, self.deliveries.clone())]),
            };
            let found = sequence(&batch, &memory);
            let versions =
                |found: Vec<&Arrival>| found.iter().map(|arrival| arrival.version).collect();
            (versions(found.gaps), versions(found.fills))
        }
    }

    fn nothing() -> (Vec<u64>, Vec<u64>) {
        (Vec::new(), Vec::new())
    }

    #[test]
    fn events_in_order_leave_no_gap() {
        let mut story = Story::new();
        for batch in [&[1][..], &[2, 3], &[4]] {
            assert_eq!(story.tell("order.paid", batch), nothing());
        }
    }

    #[test]
    fn a_gap_is_seen_and_filled_once() {
        let mut story = Story::new();
        assert_eq!(story.tell("order.paid", &[2]), (vec![2], vec![]));
        assert_eq!(story.tell("order.paid", &[4]), (vec![4], vec![]));
        assert_eq!(story.tell("order.paid", &[4, 2]), nothing());
        assert_eq!(story.tell("order.paid", &[3, 3]), (vec![], vec![3]));
        assert_eq!(story.tell("order.paid", &[3]), nothing());
        assert_eq!(story.tell("order.paid", &[1]), (vec![], vec![1]));
    }

    #[test]
    fn what_arrives_together_arrived_in_order() {
        let mut story = Story::new();
        assert_eq!(story.tell("order.paid", &[3, 1, 2, 2]), nothing());
    }

    #[test]
    fn what_cannot_be_remembered_is_not_missing() {
        let mut story = Story::new();
        story.since += chrono::TimeDelta::days(1);
        assert_eq!(story.tell("order.paid", &[5]), nothing());
        assert_eq!(story.tell("order.paid", &[4]), nothing());
        assert_eq!(story.tell("order.paid", &[8]), (vec![8], vec![]));
        assert_eq!(story.tell("order.paid", &[7]), (vec![7], vec![7]));
    }

    #[test]
    fn an_id_that_does_not_tell_its_age_begins_anywhere() {
        let mut story = Story { subject: Uuid::from_u128(7), ..Story::new() };
        assert_eq!(story.tell("order.paid", &[2]), nothing());
        assert_eq!(story.tell("order.paid", &[4]), (vec![4], vec![]));
    }

    #[test]
    fn only_orders_tell_every_version() {
        let mut story = Story::new();
        for event in ["user.profile_updated", "auth.session_started"] {
            assert_eq!(story.tell(event, &[7]), nothing());
            assert!(gapless(&[story.arrival(event, 7)]).is_empty());
        }
        let both = [story.arrival("order.paid", 2), story.arrival("order.created", 1)];
        assert_eq!(gapless(&both), [story.subject]);
    }
}
