//! How often quotas allow and refuse; the handles are resolved once.

use metrics::{Counter, counter};

use super::Class;

/// Who counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counted {
    /// All gateways, in Redis.
    Together,
    /// This process, because Redis is not configured or does not answer.
    Alone,
}

/// Counters of decisions by class, outcome and who counted.
pub(super) struct Decisions(Vec<(Class, [Counter; 4])>);

impl Decisions {
    pub(super) fn new() -> Self {
        Self(Class::ALL.map(|class| (class, counters(class))).into())
    }

    /// Counts a decision.
    pub(super) fn note(&self, class: Class, is_allowed: bool, counted: Counted) {
        let place = usize::from(!is_allowed) + 2 * usize::from(counted == Counted::Alone);
        let found = self.0.iter().find(|(known, _)| *known == class);
        if let Some(counter) = found.and_then(|(_, counters)| counters.get(place)) {
            counter.increment(1);
        }
    }
}

/// In the order that [`Decisions::note`] computes.
fn counters(class: Class) -> [Counter; 4] {
    let outcomes = [
        ("allowed", "together"),
        ("refused", "together"),
        ("allowed", "alone"),
        ("refused", "alone"),
    ];
    outcomes.map(|(outcome, counted)| {
        counter!("eh_limiter_decisions_total",
            "class" => class.name(), "outcome" => outcome, "counted" => counted)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::net::{IpAddr, Ipv4Addr};

    use chassis::run::Service as _;
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::super::{Key, Limiter, Subject};
    use super::*;
    use crate::App;
    use crate::config::{QuotaConfig, RateLimitConfig};

    #[test]
    fn every_class_that_has_a_quota_is_counted() {
        let quota = |line: &'static str| line.strip_prefix("[rate_limits.")?.split(']').next();
        let quotas: BTreeSet<&str> = App::DEFAULTS.lines().filter_map(quota).collect();
        assert_eq!(BTreeSet::from(Class::ALL.map(Class::name)), quotas);
    }

    #[tokio::test]
    async fn each_decision_is_counted_under_what_it_was() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let _recording = metrics::set_default_local_recorder(&recorder);
        let one = std::num::NonZeroU32::MIN;
        let login = QuotaConfig { requests: one, window_s: one, lease: one };
        let config = RateLimitConfig { login, ..RateLimitConfig::default() };
        let limiter = Limiter::new(&config, None);
        let subject = Subject::Address(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let key = Key { class: Class::Login, subject };
        assert!(limiter.take(key).await.is_allowed);
        assert!(!limiter.take(key).await.is_allowed);
        let text = recorder.handle().render();
        let shown = |outcome: &str, counted: &str| {
            let labels = format!("class=\"login\",outcome=\"{outcome}\",counted=\"{counted}\"");
            let line = format!("eh_limiter_decisions_total{{{labels}}} ");
            text.lines().find_map(|found| found.strip_prefix(&line)?.parse::<u64>().ok())
        };
        assert_eq!(shown("allowed", "alone"), Some(1), "{text}");
        assert_eq!(shown("refused", "alone"), Some(1), "{text}");
        assert_eq!(shown("allowed", "together"), Some(0), "{text}");
    }
}
