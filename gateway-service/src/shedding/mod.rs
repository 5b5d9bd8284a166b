//! Who is let in when there is too much to do: no more at once than can be served in good time, and
//! what matters least is refused first.
//!
//! How much can be served is not configured but observed (`limit.rs`). Each class of requests may
//! fill a share of it: what is left above the share of reads is there for orders, and what is left
//! above that for payments. Callbacks of the payment provider have places apart, which nobody else
//! fills and which they do not leave: anybody can send what looks like one, and who sent it is
//! known when its signature is checked, which is after this. Their number does not follow the limit:
//! that comes down under the load of customers and stays there while few of them come, and the money of
//! the provider would wait for a load that is over. Nothing here does I/O or looks at a clock.

pub(crate) mod limit;
mod pace;
pub mod settings;

use std::time::Duration;

use tokio::time::Instant;

use self::limit::Limit;
use self::pace::Pace;
use self::settings::SheddingConfig;

/// What a request is worth when not all can be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Priority {
    /// Reads, and what nobody asked for.
    Read,
    /// Changes, logins and new orders among them.
    Order,
    /// What moves the money of an order that is there.
    Pay,
    /// What says that it comes from the payment provider. It neither waits for customers, for money
    /// has moved already, nor takes a place from them, for it may be forged.
    Callback,
}

impl Priority {
    /// All of them: customers' in the order of importance, then callbacks.
    pub(crate) const ALL: [Self; 4] = [Self::Read, Self::Order, Self::Pay, Self::Callback];

    /// The name in metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Order => "order",
            Self::Pay => "pay",
            Self::Callback => "callback",
        }
    }
}

/// Counts who is in.
pub(crate) struct Shedder {
    config: SheddingConfig,
    limit: Limit,
    paces: Vec<Pace>,
    /// Callbacks that may be in at once, whatever is observed.
    callbacks_max: usize,
    /// Requests that are in and no callbacks.
    customers: usize,
    callbacks: usize,
}

impl Shedder {
    /// For so many routes; no more than `max` requests are in at once, whatever is observed.
    pub(crate) fn new(config: &SheddingConfig, max: usize, routes: usize, now: Instant) -> Self {
        Self {
            config: config.clone(),
            limit: Limit::new(config, max, now),
            paces: (0..routes).map(|_| Pace::new(now)).collect(),
            callbacks_max: share(max, config.callback_percent),
            customers: 0,
            callbacks: 0,
        }
    }

    /// Lets a request in, if there is room for one of its class.
    pub(crate) fn enter(&mut self, priority: Priority) -> bool {
        let room = self.room(priority);
        let inside = self.inside(priority);
        let is_admitted = *inside < room;
        if is_admitted {
            *inside += 1;
            self.limit.saw(self.customers);
        }
        is_admitted
    }

    /// A request of this class has left; nothing is learnt from it.
    pub(crate) fn leave(&mut self, priority: Priority) {
        let inside = self.inside(priority);
        *inside = inside.saturating_sub(1);
    }

    /// Those who share places with this class.
    fn inside(&mut self, priority: Priority) -> &mut usize {
        match priority {
            Priority::Callback => &mut self.callbacks,
            Priority::Read | Priority::Order | Priority::Pay => &mut self.customers,
        }
    }

    /// A request of a route was served, and took so long.
    pub(crate) fn learn(&mut self, route: usize, took: Duration, now: Instant) {
        if let Some(pace) = self.paces.get_mut(route) {
            let pace = pace.of(took, now, &self.config);
            self.limit.saw(self.customers);
            self.limit.observe(route, pace, now);
        }
    }

    /// How many requests may be in at most, callbacks apart.
    pub(crate) fn limit(&self) -> usize {
        self.limit.current()
    }

    /// How many may be in when one of this class comes.
    fn room(&self, priority: Priority) -> usize {
        let percent = match priority {
            Priority::Callback => return self.callbacks_max,
            Priority::Pay => self.config.pay_percent,
            Priority::Order => self.config.order_percent,
            Priority::Read => self.config.read_percent,
        };
        share(self.limit.current(), percent)
    }
}

/// At least one, or a class would be shut out.
fn share(limit: usize, percent: u8) -> usize {
    (limit * usize::from(percent) / 100).max(1)
}

#[cfg(test)]
mod tests {
    use super::Priority::{Callback, Order, Pay, Read};
    use super::*;

    fn full_of(priority: Priority, max: usize) -> (Shedder, usize) {
        let mut shedder = Shedder::new(&SheddingConfig::default(), max, 1, Instant::now());
        let mut entered = 0;
        while shedder.enter(priority) {
            entered += 1;
        }
        (shedder, entered)
    }

    #[test]
    fn what_matters_less_is_refused_first() {
        let (mut shedder, reads) = full_of(Read, 100);
        assert_eq!(reads, 70);
        for (priority, room, less) in [(Order, 15, &[Read][..]), (Pay, 10, &[Read, Order])] {
            for _ in 0..room {
                assert!(shedder.enter(priority), "{priority:?}");
            }
            for refused in less.iter().chain([&priority]) {
                assert!(!shedder.enter(*refused), "{refused:?} when {priority:?} is full");
            }
        }
    }

    #[test]
    fn callbacks_take_no_place_of_customers_nor_customers_theirs() {
        let (mut shedder, callbacks) = full_of(Callback, 100);
        assert_eq!(callbacks, 5, "however many come");
        for customer in 0..95 {
            assert!(shedder.enter(Pay), "{customer}");
        }
        assert!(!shedder.enter(Pay) && !shedder.enter(Callback), "the house is full");
        shedder.leave(Callback);
        assert!(!shedder.enter(Pay), "a place of the callbacks stays theirs");
        assert!(shedder.enter(Callback));
        shedder.leave(Pay);
        assert!(!shedder.enter(Callback));
        assert!(shedder.enter(Pay));
    }

    #[test]
    fn an_overload_that_is_over_costs_callbacks_no_place() {
        let (begin, usual) = (Instant::now(), Duration::from_millis(10));
        let config = SheddingConfig { calm_ms: 0, ..SheddingConfig::default() };
        let mut shedder = Shedder::new(&config, 512, 1, begin);
        shedder.learn(0, usual, begin);
        let mut customers = 0;
        while shedder.enter(Pay) {
            customers += 1;
        }
        // Within the time for which the usual pace is remembered.
        for step in 1..=1_200_u32 {
            shedder.learn(0, usual * 10, begin + Duration::from_millis(20) * step);
        }
        assert_eq!(shedder.limit(), config.min_limit);
        for _ in 0..customers {
            shedder.leave(Pay);
        }
        for callback in 0..25 {
            assert!(shedder.enter(Callback), "{callback} of 5 % of 512");
        }
        assert!(!shedder.enter(Callback));
        for customer in 0..15 {
            assert!(shedder.enter(Pay), "{customer} of 95 % of 16");
        }
        assert!(!shedder.enter(Pay));
    }

    #[test]
    fn callbacks_use_nothing_of_what_the_limit_allows() {
        let (begin, usual) = (Instant::now(), Duration::from_millis(10));
        let config = SheddingConfig { calm_ms: 0, ..SheddingConfig::default() };
        let mut shedder = Shedder::new(&config, 512, 1, begin);
        while shedder.enter(Callback) {}
        // With the callbacks it would be more than half of the limit.
        for customer in 0..255 {
            assert!(shedder.enter(Read), "{customer}");
        }
        shedder.learn(0, usual, begin);
        for step in 1..=1_000_u32 {
            shedder.learn(0, usual * 10, begin + Duration::from_millis(1) * step);
        }
        assert_eq!(shedder.limit(), 512);
    }

    #[test]
    fn a_place_that_is_left_goes_to_the_next() {
        let (mut shedder, _) = full_of(Pay, 100);
        shedder.leave(Pay);
        assert!(!shedder.enter(Read), "not to one who matters less");
        assert!(shedder.enter(Pay));
        assert!(!shedder.enter(Pay));
    }

    #[test]
    fn however_small_the_limit_every_class_has_a_place_in_an_empty_house() {
        for priority in Priority::ALL {
            assert_eq!(full_of(priority, 1).1, 1, "{priority:?}");
        }
    }

    #[test]
    fn slow_answers_of_one_route_say_nothing_about_the_others() {
        let begin = Instant::now();
        let config = SheddingConfig { calm_ms: 0, ..SheddingConfig::default() };
        let mut shedder = Shedder::new(&config, 100, 2, begin);
        while shedder.enter(Read) {}
        for step in 0..1_000_u32 {
            let now = begin + Duration::from_millis(1) * step;
            // The second route's service gets slower and slower; two of three requests do not ask it.
            shedder.learn(0, Duration::from_millis(10), now);
            shedder.learn(0, Duration::from_millis(10), now);
            shedder.learn(1, Duration::from_millis(10) * (step + 1), now);
        }
        assert_eq!(shedder.limit(), 100);
    }

    #[test]
    fn a_route_that_is_uneven_by_nature_costs_an_idle_house_no_place() {
        let begin = Instant::now();
        let mut shedder = Shedder::new(&SheddingConfig::default(), 512, 1, begin);
        for _ in 0..20 {
            assert!(shedder.enter(Read));
        }
        for step in 0..3_000_u32 {
            let took = if step % 4 == 0 { 60 } else { 300 };
            let now = begin + Duration::from_millis(5) * step;
            shedder.learn(0, Duration::from_millis(took), now);
        }
        assert_eq!(shedder.limit(), 512);
    }

    #[test]
    fn too_many_reads_lower_the_limit_however_small_their_share_may_be() {
        let (begin, usual) = (Instant::now(), Duration::from_millis(10));
        let read_percent = settings::PERCENT_MIN;
        let config = SheddingConfig { calm_ms: 0, read_percent, ..SheddingConfig::default() };
        for max in [100, 511] {
            let mut shedder = Shedder::new(&config, max, 1, begin);
            while shedder.enter(Read) {}
            shedder.learn(0, usual, begin);
            for step in 1..=1_000_u32 {
                shedder.learn(0, usual * 10, begin + Duration::from_millis(1) * step);
            }
            assert!(shedder.limit() < max, "of {max}");
        }
    }

    /// The limit, of a hundred, after a second in which these of three routes got slow and were asked
    /// for nine times as often as the others.
    fn limit_with(slow: &[usize]) -> usize {
        let (begin, usual) = (Instant::now(), Duration::from_millis(10));
        let config = SheddingConfig { calm_ms: 0, ..SheddingConfig::default() };
        let mut shedder = Shedder::new(&config, 100, 3, begin);
        while shedder.enter(Read) {}
        for route in 0..3 {
            shedder.learn(route, usual, begin);
        }
        for step in 1..=1_000_u32 {
            let now = begin + Duration::from_millis(1) * step;
            for route in 0..3 {
                let (took, times) =
                    if slow.contains(&route) { (usual * 10, 9) } else { (usual, 1) };
                for _ in 0..times {
                    shedder.learn(route, took, now);
                }
            }
        }
        shedder.limit()
    }

    #[test]
    fn a_slow_route_does_not_speak_for_all_however_often_it_is_asked_for() {
        assert_eq!(limit_with(&[1]), 100);
        assert!(limit_with(&[0, 1]) < 100, "but most of them do");
    }
}
