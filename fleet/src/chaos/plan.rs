//! Turns a fault into acts: the drawn part of it included, and its healing.

use std::collections::BTreeMap;

use serde_json::json;

use super::act::{Act, Broker, Database, Does, Link, Point, Poison, Target};
use super::catalogue::{Kind, Means};
use super::draw::Draw;
use super::schedule::Timed;
use crate::services::Service;

/// Services with a schema, and the broker's clients.
const STORES: [&str; 5] =
    ["user-service", "auth-service", "order-service", "payment-service", "notify-service"];
/// Services that others call.
const CALLED: [&str; 3] = ["order-service", "payment-service", "notify-service"];
/// The consumer that can do without its events: what it misses it asks for.
const ASKER: &str = "order-service";
const PAYMENT: &str = "payment-service";
const POISONS: [Poison; 5] =
    [Poison::NoJson, Poison::WrongTypes, Poison::UnknownVersion, Poison::Deep, Poison::Large];
/// A process that died is started again within this time.
const RESTART_MS: (u64, u64) = (100, 1_200);

/// When a fault happens, and to what.
#[derive(Clone, Copy, Debug)]
pub struct Window<'a> {
    /// Beginning.
    pub start_ms: u64,
    /// End.
    pub end_ms: u64,
    /// Processes per service.
    pub replicas: &'a BTreeMap<&'static str, usize>,
}

/// The acts of a fault in order of time; the last of them heal it.
pub fn acts(means: &Means, window: &Window<'_>, draw: &mut Draw) -> Vec<Timed> {
    let mut plan = Plan { window: *window, draw, acts: Vec::new() };
    plan.fill(means);
    plan.acts.sort_by_key(|timed| timed.at_ms);
    plan.acts
}

struct Plan<'a> {
    window: Window<'a>,
    draw: &'a mut Draw,
    acts: Vec<Timed>,
}

impl Plan<'_> {
    fn fill(&mut self, means: &Means) {
        match means {
            Means::Crash(service, points) => self.crash(service, points),
            Means::Away(services) => self.pair(services, Act::Kill, Act::Start),
            Means::Freeze(services) => self.pair(services, Act::Freeze, Act::Thaw),
            Means::Roll => self.roll(),
            Means::Storm => self.first(Act::Storm),
            Means::BrokerStopped => {
                self.between(Act::Broker(Broker::Stop), Act::Broker(Broker::Start));
            }
            Means::BrokerKilled => {
                self.pulses(&Act::Broker(Broker::Kill), &Act::Broker(Broker::Start));
            }
            Means::BrokerAlarm => {
                self.between(Act::Broker(Broker::Alarm), Act::Broker(Broker::Calm));
            }
            Means::QueueDeleted => self.first(Act::Broker(Broker::DeleteQueue(ASKER))),
            Means::Poison => self.poison(),
            Means::Links(kind, does) => self.links(*kind, does),
            Means::DatabaseKilled => {
                self.pulses(&Act::Database(Database::Kill), &Act::Database(Database::Start));
            }
            Means::DatabaseFrozen => {
                self.between(Act::Database(Database::Freeze), Act::Database(Database::Thaw));
            }
            Means::LocksHeld => self.locks(),
            Means::CacheFlushed => self.first(Act::FlushCache),
            Means::Provider(scripts) => self.script(scripts),
            Means::ProviderKilled => self.pulses(&Act::KillProvider, &Act::StartProvider),
            Means::LeftOut(_) => {}
        }
    }

    fn push(&mut self, at_ms: u64, act: Act) {
        let at_ms = at_ms.clamp(self.window.start_ms, self.window.end_ms);
        self.acts.push(Timed { at_ms, act });
    }

    fn first(&mut self, act: Act) {
        self.push(self.window.start_ms, act);
    }

    fn between(&mut self, breaks: Act, heals: Act) {
        self.first(breaks);
        self.push(self.window.end_ms, heals);
    }

    /// Breaks and heals, several times.
    fn pulses(&mut self, breaks: &Act, heals: &Act) {
        let mut at_ms = self.window.start_ms;
        while at_ms < self.window.end_ms {
            self.push(at_ms, breaks.clone());
            at_ms += self.draw.between(RESTART_MS.0, RESTART_MS.1);
            self.push(at_ms, heals.clone());
            at_ms += self.draw.between(2_000, 5_000);
        }
    }

    fn target(&mut self, services: &[&'static str]) -> Target {
        let service = self.draw.pick(services).copied().unwrap_or(Service::GATEWAY);
        let count = self.window.replicas.get(service).copied().unwrap_or(1).max(1);
        let replica = self.draw.number() % u64::try_from(count).unwrap_or(1);
        Target { service, replica: usize::try_from(replica).unwrap_or(0) }
    }

    fn pair(
        &mut self,
        services: &[&'static str],
        breaks: fn(Target) -> Act,
        heals: fn(Target) -> Act,
    ) {
        let target = self.target(services);
        self.between(breaks(target), heals(target));
    }

    /// Failpoints in turn, and now and then a kill where nobody expects it.
    fn crash(&mut self, service: &'static str, points: &[&'static str]) {
        let mut at_ms = self.window.start_ms;
        while at_ms < self.window.end_ms {
            match self.draw.pick(points) {
                Some(point) if !self.draw.percent(25) => {
                    let point = Point { service, point };
                    self.push(at_ms, Act::Arm(point));
                    self.push(self.window.end_ms, Act::Disarm(point));
                }
                _ => {
                    let target = self.target(&[service]);
                    self.push(at_ms, Act::Kill(target));
                    let dead_ms = self.draw.between(RESTART_MS.0, RESTART_MS.1);
                    self.push(at_ms + dead_ms, Act::Start(target));
                }
            }
            at_ms += self.draw.between(800, 2_500);
        }
    }

    fn roll(&mut self) {
        let targets: Vec<Target> = Service::ALL
            .iter()
            .flat_map(|service| {
                let count = self.window.replicas.get(service.name).copied().unwrap_or(1);
                (0..count).map(|replica| Target { service: service.name, replica })
            })
            .collect();
        let step_ms = (self.window.end_ms - self.window.start_ms)
            / u64::try_from(targets.len()).unwrap_or(1).max(1);
        let mut at_ms = self.window.start_ms;
        for target in targets {
            self.push(at_ms, Act::Roll(target));
            at_ms += step_ms;
        }
    }

    fn poison(&mut self) {
        let step_ms = (self.window.end_ms - self.window.start_ms) / 5;
        let mut at_ms = self.window.start_ms;
        for _ in 0..5 {
            if let Some(poison) = self.draw.pick(&POISONS) {
                self.push(at_ms, Act::Broker(Broker::Poison(*poison)));
            }
            at_ms += step_ms;
        }
    }

    fn links(&mut self, kind: Kind, does: &[Does]) {
        let one_of = |services: &[&'static str], draw: &mut Draw| {
            if draw.percent(30) {
                services.to_vec()
            } else {
                draw.pick(services).copied().into_iter().collect()
            }
        };
        let links: Vec<Link> = match kind {
            Kind::Mysql => one_of(&STORES, self.draw).into_iter().map(Link::Mysql).collect(),
            Kind::Amqp => one_of(&STORES, self.draw).into_iter().map(Link::Amqp).collect(),
            Kind::Grpc => one_of(&CALLED, self.draw).into_iter().map(Link::Grpc).collect(),
            Kind::Payment => vec![Link::Grpc(PAYMENT)],
            Kind::Redis => vec![Link::Redis],
            Kind::Consul => vec![Link::Consul],
            Kind::Provider => vec![Link::Provider],
            Kind::Callbacks => vec![Link::Callbacks],
        };
        let Some(does) = self.draw.pick(does).copied() else { return };
        // Lost replies end with a reset when the link passes again: in short pulses the caller
        // learns soon that it knows nothing.
        let in_pulses = does == Does::LoseReplies && self.draw.percent(60);
        for link in links {
            let (breaks, heals) = (Act::Link { link, does }, Act::Link { link, does: Does::Pass });
            if in_pulses { self.flicker(&breaks, &heals) } else { self.between(breaks, heals) }
        }
    }

    fn flicker(&mut self, breaks: &Act, heals: &Act) {
        let mut at_ms = self.window.start_ms;
        while at_ms < self.window.end_ms {
            self.push(at_ms, breaks.clone());
            at_ms += self.draw.between(300, 900);
            self.push(at_ms, heals.clone());
            at_ms += self.draw.between(200, 900);
        }
    }

    fn locks(&mut self) {
        let mut at_ms = self.window.start_ms;
        while at_ms < self.window.end_ms {
            let held_ms = self.draw.between(200, 1_800);
            self.push(at_ms, Act::Database(Database::LockProducts(held_ms)));
            at_ms += held_ms + self.draw.between(100, 800);
        }
    }

    fn script(&mut self, scripts: &[&str]) {
        let drawn = self.draw.pick(scripts).and_then(|text| serde_json::from_str(text).ok());
        let script = drawn.unwrap_or_else(|| json!({}));
        self.between(Act::Script { script }, Act::Script { script: json!({}) });
    }
}

#[cfg(test)]
mod tests {
    use super::super::catalogue;
    use super::*;

    fn drawn(id: &str, seed: u64) -> Vec<Timed> {
        let replicas = [("order-service", 2)].into();
        let window = Window { start_ms: 1_000, end_ms: 9_000, replicas: &replicas };
        acts(&catalogue::find(id).unwrap().means, &window, &mut Draw::new(seed))
    }

    #[test]
    fn every_fault_that_is_possible_does_something() {
        for fault in catalogue::possible() {
            assert!((0..20).all(|seed| !drawn(fault.id, seed).is_empty()), "{}", fault.id);
        }
    }

    #[test]
    fn a_link_that_misbehaves_passes_in_the_end() {
        for seed in 0..50 {
            for id in ["F12", "F15", "F17", "F18", "F24", "F26", "F29d", "F33", "F35", "F42"] {
                let all = drawn(id, seed);
                let of = |wanted: Link, timed: &Timed| match timed.act {
                    Act::Link { link, does } if link == wanted => Some(does),
                    _ => None,
                };
                for timed in &all {
                    let Act::Link { link, .. } = timed.act else { continue };
                    let last = all.iter().filter_map(|timed| of(link, timed)).next_back();
                    assert_eq!(last, Some(Does::Pass), "{id} {seed}");
                }
            }
        }
    }

    #[test]
    fn whoever_is_killed_or_frozen_comes_back() {
        for seed in 0..50 {
            let balance = |id: &str, breaks: fn(&Act) -> bool, heals: fn(&Act) -> bool| {
                let all = drawn(id, seed);
                let count = |is: fn(&Act) -> bool| all.iter().filter(|t| is(&t.act)).count();
                assert_eq!(count(breaks), count(heals), "{id} {seed}");
            };
            for id in ["F01", "F05", "F06", "F27"] {
                balance(id, |act| matches!(act, Act::Kill(_)), |act| matches!(act, Act::Start(_)));
            }
            balance(
                "F29c",
                |act| matches!(act, Act::KillProvider),
                |act| matches!(act, Act::StartProvider),
            );
            balance("F07", |act| matches!(act, Act::Freeze(_)), |act| matches!(act, Act::Thaw(_)));
        }
    }

    #[test]
    fn a_rolling_restart_reaches_every_process() {
        assert_eq!(drawn("F38", 1).len(), Service::ALL.len() + 1);
    }
}
