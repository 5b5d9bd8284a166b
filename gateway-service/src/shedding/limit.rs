//! How many requests may be in at once: as many as are answered in good time.
//!
//! The limit follows the pace of the answers, as Netflix' concurrency-limits (Gradient2) and Envoy's
//! adaptive concurrency filter do: `limit × pace + √limit`, once per window. The root is the queue that
//! is allowed for, and lets the limit grow while answers are fast. Unlike there, an answer is compared
//! with its own route, and the pace is the median of the routes, each with the median of its answers:
//! one slow service does not make the rest wait, and the machine that is too busy makes all of them
//! slow.

use std::time::Duration;

use tokio::time::Instant;

use super::settings::SheddingConfig;

/// Paces remembered in one window; more would only be sorted in vain.
const SAMPLES_MAX: usize = 512;

/// How much of the way down is taken in one window: a window of bad luck is no overload.
const DESCENT: f64 = 0.2;

/// The limit and what was seen since it was last changed.
pub(crate) struct Limit {
    min: f64,
    max: f64,
    window: Duration,
    samples_min: usize,
    current: f64,
    window_began: Instant,
    paces: Vec<(usize, f64)>,
    /// Most requests that were in at once, callbacks apart.
    peak: usize,
}

impl Limit {
    /// Begins at `max`: nothing is known that speaks against it.
    pub(crate) fn new(config: &SheddingConfig, max: usize, now: Instant) -> Self {
        let max = whole(max);
        Self {
            min: whole(config.min_limit).min(max),
            max,
            window: config.window(),
            samples_min: config.window_samples,
            current: max,
            window_began: now,
            paces: Vec::new(),
            peak: 0,
        }
    }

    /// The limit now.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "lies between the configured bounds"
    )]
    pub(crate) fn current(&self) -> usize {
        self.current as usize
    }

    /// So many requests are in that the limit is for.
    pub(crate) fn saw(&mut self, in_flight: usize) {
        self.peak = self.peak.max(in_flight);
    }

    /// A request for this route was answered at this pace.
    pub(crate) fn observe(&mut self, route: usize, pace: f64, now: Instant) {
        if self.paces.len() < SAMPLES_MAX {
            self.paces.push((route, pace));
        }
        let is_over = now.saturating_duration_since(self.window_began) >= self.window;
        if is_over && self.paces.len() >= self.samples_min {
            self.adjust();
            self.window_began = now;
            self.peak = 0;
            self.paces.clear();
        }
    }

    fn adjust(&mut self) {
        let pace = median_of_routes(&mut self.paces);
        let peak = whole(self.peak);
        // Nobody waits for what most of is free.
        if peak * 2.0 < self.current {
            return;
        }
        // Also under load a few may be slow; with fewer in than the least limit it is not the load.
        if pace < 1.0 && peak > self.min {
            // What was allowed but not used tells nothing: the way down begins at what was there.
            let used = peak.min(self.current);
            let aim = used.mul_add(pace, used.sqrt()).min(self.current);
            self.current += (aim - self.current) * DESCENT;
        } else if pace >= 1.0 {
            self.current += self.current.sqrt();
        }
        self.current = self.current.clamp(self.min, self.max);
    }
}

/// Each route has one voice, however often it is asked for: one that is slow by nature, or whose
/// service is, does not speak for all.
fn median_of_routes(paces: &mut [(usize, f64)]) -> f64 {
    paces.sort_unstable_by_key(|(route, _)| *route);
    let routes = paces.chunk_by(|(one, _), (other, _)| one == other);
    let own = |route: &[(usize, f64)]| {
        median(&mut route.iter().map(|(_, pace)| *pace).collect::<Vec<_>>())
    };
    median(&mut routes.map(own).collect::<Vec<_>>())
}

/// The one in the middle; the order is lost.
fn median(paces: &mut [f64]) -> f64 {
    let middle = paces.len() / 2;
    if paces.is_empty() {
        return 1.0;
    }
    *paces.select_nth_unstable_by(middle, f64::total_cmp).1
}

#[expect(clippy::cast_precision_loss, reason = "counts of requests are small")]
fn whole(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Services that answer so many requests at once within 10 ms, and more one after the other.
    const CAPACITY: usize = 40;

    struct Simulation {
        limit: Limit,
        now: Instant,
    }

    impl Simulation {
        fn new(max: usize) -> Self {
            let now = Instant::now();
            Self { limit: Limit::new(&SheddingConfig::default(), max, now), now }
        }

        /// Lets so many ask again and again, for so many windows; whoever is over the limit is
        /// refused. Returns how many are in at the end.
        fn run(&mut self, offered: usize, windows: usize) -> usize {
            let step = SheddingConfig::default().window() / 20;
            let mut in_flight = 0;
            for _ in 0..windows * 20 {
                in_flight = offered.min(self.limit.current());
                self.limit.saw(in_flight);
                // Twice the usual time is still good.
                let slowness = (whole(in_flight) / whole(CAPACITY)).max(1.0);
                self.now += step;
                self.limit.observe(0, (2.0 / slowness).clamp(0.5, 1.0), self.now);
            }
            in_flight
        }

        /// Has so many in for one window, in which each of ten routes answers once, and so many of
        /// these at half their pace. Returns the limit after it.
        fn answer(&mut self, in_flight: usize, slow: usize) -> usize {
            let config = SheddingConfig::default();
            self.limit.saw(in_flight);
            self.now += config.window();
            for route in 0..config.window_samples {
                let pace = if route < slow { 0.5 } else { 1.0 };
                self.limit.observe(route, pace, self.now);
            }
            self.limit.current()
        }
    }

    #[test]
    fn each_route_has_one_voice_however_often_it_is_asked_for() {
        // Of each route, how often it answered, and at which pace.
        let cases: [(&[(usize, f64)], f64); 5] = [
            (&[(500, 0.5), (1, 1.0), (1, 0.9)], 0.9),
            (&[(500, 1.0), (1, 0.5), (1, 0.6)], 0.6),
            (&[(500, 0.5), (1, 1.0)], 1.0),
            (&[(500, 0.5)], 0.5),
            (&[], 1.0),
        ];
        for (routes, expected) in cases {
            let answers = |(route, (count, pace)): (usize, &(usize, f64))| {
                std::iter::repeat_n((route, *pace), *count)
            };
            let mut paces: Vec<_> = routes.iter().enumerate().flat_map(answers).collect();
            let pace = median_of_routes(&mut paces);
            assert!((pace - expected).abs() < 1e-9, "{pace} of {routes:?}");
        }
    }

    #[test]
    fn the_voice_of_a_route_is_that_of_most_of_its_answers_in_whatever_order_they_come() {
        let slow = (0, 0.5);
        let mut paces = [slow, (2, 0.8), slow, (1, 0.9), slow, (2, 0.1), slow, (2, 0.8)];
        let pace = median_of_routes(&mut paces);
        assert!((pace - 0.8).abs() < 1e-9, "{pace} of 0.5, 0.9 and 0.8");
    }

    #[test]
    fn the_limit_goes_the_way_that_is_documented() {
        let mut simulation = Simulation::new(400);
        assert_eq!(simulation.answer(400, 10), 364, "a fifth of the way to 400 × 0.5 + √400");
        assert_eq!(simulation.answer(181, 10), 364, "less than half was used");
        assert_eq!(simulation.answer(200, 10), 314, "a fifth of the way to 200 × 0.5 + √200");
        assert_eq!(simulation.answer(158, 0), 331, "√314 more, because half of it was used");
        assert_eq!(simulation.answer(165, 0), 331, "less than half was used");
    }

    #[test]
    fn half_of_the_routes_may_be_slow_and_no_more() {
        assert_eq!(Simulation::new(400).answer(400, 5), 400);
        assert_eq!(Simulation::new(400).answer(400, 6), 364);
    }

    #[test]
    fn under_overload_the_limit_comes_down_to_what_is_served_in_time() {
        let mut simulation = Simulation::new(512);
        let in_flight = simulation.run(5 * 2 * CAPACITY, 60);
        assert!((CAPACITY..=3 * CAPACITY).contains(&in_flight), "{in_flight} are in");
    }

    #[test]
    fn it_comes_back_when_the_load_is_gone() {
        let mut simulation = Simulation::new(512);
        simulation.run(1_000, 60);
        simulation.run(2 * CAPACITY, 60);
        let limit = simulation.limit.current();
        assert!(limit >= 3 * CAPACITY, "{limit}");
    }

    #[test]
    fn it_stays_within_its_bounds() {
        for max in [1, 16, 100] {
            let mut simulation = Simulation::new(max);
            for offered in [10_000, 1, 10_000] {
                simulation.run(offered, 50);
                let least = SheddingConfig::default().min_limit.min(max);
                assert!((least..=max).contains(&simulation.limit.current()), "of {max}");
            }
        }
    }

    #[test]
    fn a_few_slow_answers_are_no_overload() {
        let few = SheddingConfig::default().min_limit;
        // So small a house that these are half of what it may hold.
        let mut simulation = Simulation::new(2 * few);
        for _ in 0..100 {
            assert_eq!(simulation.answer(few, 10), 2 * few);
        }
        assert!(simulation.answer(few + 1, 10) < 2 * few, "one more is not few");
    }

    #[test]
    fn slow_answers_cost_nothing_while_less_than_half_of_the_limit_is_in_use() {
        let mut simulation = Simulation::new(512);
        for in_flight in [17, 100, 255] {
            for _ in 0..1_000 {
                simulation.limit.saw(in_flight);
                simulation.now += Duration::from_millis(20);
                simulation.limit.observe(0, 0.5, simulation.now);
            }
            assert_eq!(simulation.limit.current(), 512, "{in_flight} are in");
        }
    }

    #[test]
    fn one_slow_window_costs_a_tenth() {
        let mut simulation = Simulation::new(400);
        simulation.run(400, 1);
        let left = simulation.limit.current();
        assert!((350..=400).contains(&left), "{left}");
    }
}
