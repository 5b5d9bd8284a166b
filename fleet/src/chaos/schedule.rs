//! Draws a schedule from a seed: which faults, when, for how long, and against whom.
//!
//! Up to three faults run at once, each in a lane of its own. Each seed also draws which faults it
//! favours (a swarm): a mixture of everything all the time would hide what one thing alone reveals.

use std::collections::BTreeMap;

use serde::Serialize;

use super::act::Act;
use super::catalogue::{self, Fault};
use super::draw::Draw;
use super::plan;

/// Most faults at once.
const LANES: u64 = 3;
/// Share of the faults that a seed favours, in a hundred.
const FAVOURED: u64 = 55;
/// How long a fault lasts.
const LENGTH_MS: (u64, u64) = (1_500, 8_000);
/// How long a lane rests between two faults.
const REST_MS: (u64, u64) = (500, 3_000);
/// How often a lane draws anew when what it drew is in use.
const ATTEMPTS: usize = 12;

/// What shapes a schedule.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The seed.
    pub seed: u64,
    /// Length of the phase with faults.
    pub length_ms: u64,
    /// Only these faults; all that this machine can make when empty.
    pub faults: Vec<&'static Fault>,
    /// Processes per service.
    pub replicas: BTreeMap<&'static str, usize>,
    /// Whether the provider is the sandbox, which follows scripts.
    pub sandbox: bool,
}

/// A schedule.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Schedule {
    /// The seed it was drawn from.
    pub seed: u64,
    /// Length of the phase with faults.
    pub length_ms: u64,
    /// The faults in order of their beginning.
    pub episodes: Vec<Episode>,
}

/// A fault with its time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Episode {
    /// Number of the fault.
    pub fault: &'static str,
    /// What goes wrong.
    pub name: &'static str,
    /// Beginning, from the beginning of the phase.
    pub start_ms: u64,
    /// End.
    pub end_ms: u64,
    /// What is done, in order of time.
    pub acts: Vec<Timed>,
    /// What nobody else may use meanwhile.
    #[serde(skip)]
    ground: &'static str,
}

/// An act with its time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Timed {
    /// From the beginning of the phase.
    pub at_ms: u64,
    /// What is done.
    #[serde(flatten)]
    pub act: Act,
}

impl Schedule {
    /// Draws a schedule.
    pub fn draw(wish: &Wish) -> Self {
        let draw = Draw::new(wish.seed).fork("schedule");
        let favoured = favoured(wish, draw.fork("swarm"));
        let mut episodes: Vec<Episode> = Vec::new();
        let lanes = draw.fork("lanes").between(1, LANES);
        for lane in 0..lanes {
            let mut lane = Lane { wish, draw: draw.fork(&format!("lane {lane}")), at_ms: 0 };
            while let Some(episode) = lane.next(&favoured, &episodes) {
                episodes.push(episode);
            }
        }
        episodes.sort_by_key(|episode| (episode.start_ms, episode.fault));
        Self { seed: wish.seed, length_ms: wish.length_ms, episodes }
    }

    /// All acts in order of time.
    pub fn acts(&self) -> Vec<Timed> {
        let mut acts: Vec<Timed> =
            self.episodes.iter().flat_map(|episode| episode.acts.clone()).collect();
        acts.sort_by_key(|timed| timed.at_ms);
        acts
    }

    /// The schedule as people read it.
    pub fn rows(&self) -> Vec<Vec<String>> {
        let seconds = |ms: u64| format!("{}.{:01} s", ms / 1000, ms % 1000 / 100);
        let row = |episode: &Episode| {
            vec![
                episode.fault.to_owned(),
                format!("{} - {}", seconds(episode.start_ms), seconds(episode.end_ms)),
                episode.name.to_owned(),
            ]
        };
        self.episodes.iter().map(row).collect()
    }
}

/// The faults of this seed with their weights.
fn favoured(wish: &Wish, mut draw: Draw) -> Vec<(&'static Fault, u64)> {
    let all = if wish.faults.is_empty() { catalogue::possible() } else { wish.faults.clone() };
    let usable = all.into_iter().filter(|fault| is_usable(fault, wish));
    let mut weighted: Vec<(&'static Fault, u64)> = usable
        .map(|fault| {
            let weight = draw.between(1, 4);
            (fault, if draw.percent(FAVOURED) { weight } else { 0 })
        })
        .collect();
    // Who names faults wants them all, and a seed that favours nothing tells nothing.
    if !wish.faults.is_empty() || weighted.iter().all(|(_, weight)| *weight == 0) {
        for (_, weight) in &mut weighted {
            *weight = (*weight).max(1);
        }
    }
    weighted
}

fn is_usable(fault: &Fault, wish: &Wish) -> bool {
    fault.means.is_possible() && (wish.sandbox || !fault.means.needs_sandbox())
}

struct Lane<'a> {
    wish: &'a Wish,
    draw: Draw,
    at_ms: u64,
}

impl Lane<'_> {
    /// The next fault of the lane; `None` at the end of the phase.
    fn next(&mut self, faults: &[(&'static Fault, u64)], others: &[Episode]) -> Option<Episode> {
        loop {
            let start_ms = self.at_ms + self.draw.between(REST_MS.0, REST_MS.1);
            let end_ms = start_ms + self.draw.between(LENGTH_MS.0, LENGTH_MS.1);
            if end_ms > self.wish.length_ms {
                return None;
            }
            self.at_ms = end_ms;
            for _ in 0..ATTEMPTS {
                let fault = *self.draw.weighted(faults)?;
                let ground = fault.means.ground();
                if is_free(others, ground, (start_ms, end_ms)) {
                    let window = plan::Window { start_ms, end_ms, replicas: &self.wish.replicas };
                    let acts = plan::acts(&fault.means, &window, &mut self.draw);
                    let (id, name) = (fault.id, fault.name);
                    return Some(Episode { fault: id, name, start_ms, end_ms, acts, ground });
                }
            }
        }
    }
}

/// Whether nobody uses the ground then. Whoever handles all processes has them for itself.
fn is_free(others: &[Episode], ground: &str, (start_ms, end_ms): (u64, u64)) -> bool {
    let is_process = |ground: &str| ground == "processes" || ground.ends_with("-service");
    !others.iter().any(|other| {
        let same = other.ground == ground
            || (is_process(ground) && is_process(other.ground))
                && (ground == "processes" || other.ground == "processes");
        same && other.start_ms < end_ms && start_ms < other.end_ms
    })
}

#[cfg(test)]
mod tests {
    use super::super::act::Link;
    use super::*;

    fn wish(seed: u64) -> Wish {
        let replicas = [("order-service", 2), ("payment-service", 2), ("gateway-service", 2)];
        let faults = Vec::new();
        Wish { seed, length_ms: 60_000, faults, replicas: replicas.into(), sandbox: true }
    }

    #[test]
    fn a_seed_draws_the_same_schedule_again_and_another_seed_another() {
        for seed in 0..50 {
            assert_eq!(Schedule::draw(&wish(seed)), Schedule::draw(&wish(seed)));
            assert_ne!(Schedule::draw(&wish(seed)), Schedule::draw(&wish(seed + 1)));
        }
    }

    #[test]
    fn at_most_three_faults_run_at_once_and_none_after_the_end() {
        for seed in 0..200 {
            let schedule = Schedule::draw(&wish(seed));
            assert!(!schedule.episodes.is_empty(), "seed {seed} does nothing");
            for one in &schedule.episodes {
                let runs = |other: &&Episode| {
                    other.start_ms <= one.start_ms && one.start_ms < other.end_ms
                };
                assert!(schedule.episodes.iter().filter(runs).count() <= 3, "seed {seed}");
                assert!(one.end_ms <= 60_000);
                assert!(one.acts.iter().all(|act| act.at_ms <= one.end_ms), "seed {seed}: {one:?}");
            }
        }
    }

    #[test]
    fn two_faults_never_quarrel_about_the_same_thing() {
        for seed in 0..200 {
            let all = Schedule::draw(&wish(seed)).episodes;
            for (place, one) in all.iter().enumerate() {
                let rest = [&all[..place], &all[place + 1..]].concat();
                assert!(is_free(&rest, one.ground, (one.start_ms, one.end_ms)), "seed {seed}");
            }
        }
    }

    #[test]
    fn every_fault_comes_up_in_the_course_of_the_seeds() {
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..300 {
            seen.extend(Schedule::draw(&wish(seed)).episodes.iter().map(|one| one.fault));
        }
        let all: std::collections::BTreeSet<_> =
            catalogue::possible().iter().map(|fault| fault.id).collect();
        assert_eq!(seen, all);
    }

    #[test]
    fn named_faults_are_the_only_ones_drawn() {
        let faults = ["F15", "F08"].map(|id| catalogue::find(id).unwrap()).to_vec();
        for seed in 0..20 {
            let schedule = Schedule::draw(&Wish { faults: faults.clone(), ..wish(seed) });
            assert!(schedule.episodes.iter().all(|one| ["F15", "F08"].contains(&one.fault)));
        }
    }

    #[test]
    fn without_the_sandbox_nothing_is_drawn_that_needs_it() {
        for seed in 0..50 {
            let schedule = Schedule::draw(&Wish { sandbox: false, ..wish(seed) });
            let needs_it = |timed: &Timed| match &timed.act {
                Act::Script { .. } | Act::KillProvider | Act::StartProvider => true,
                Act::Link { link, .. } => matches!(link, Link::Provider | Link::Callbacks),
                _ => false,
            };
            assert!(!schedule.acts().iter().any(needs_it));
        }
    }
}
