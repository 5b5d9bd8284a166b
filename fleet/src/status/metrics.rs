//! Figures from the metrics of a process, and what they amount to between two looks.

use std::collections::BTreeMap;
use std::time::Duration;

/// What a process counts: the edge counts HTTP, the others gRPC.
const REQUESTS: [&str; 2] = ["http_server_requests_total", "rpc_server_requests_total"];
const TIMES: [&str; 2] =
    ["http_server_request_duration_seconds_bucket", "rpc_server_duration_seconds_bucket"];
/// Answers that speak of the service, not of its caller.
const FAULTS: [&str; 6] =
    ["5xx", "INTERNAL", "UNAVAILABLE", "UNKNOWN", "DEADLINE_EXCEEDED", "DATA_LOSS"];

/// What a process has counted since its start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    requests: f64,
    faults: f64,
    /// Requests that took at most so long, in microseconds; the last is about all of them.
    buckets: BTreeMap<u64, f64>,
    /// Events that wait for the broker; only of the process whose relay is at work.
    pub outbox: Option<f64>,
    /// How long the oldest of them waits, in seconds.
    pub outbox_age: Option<f64>,
}

/// What a process did between two looks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Traffic {
    /// Requests in a second.
    pub rate: f64,
    /// Share of them that failed for a reason of the service's own.
    pub fault_share: Option<f64>,
    /// What all but one of a hundred did not exceed.
    pub p99: Option<Bound>,
}

/// A duration as a histogram can tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// About so long.
    About(Duration),
    /// Longer than the longest that is told apart.
    Above(Duration),
}

impl Figures {
    /// Reads the Prometheus text form. What is not understood is not counted.
    pub fn parse(text: &str) -> Self {
        let mut figures = Self::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((series, value)) = line.rsplit_once(' ') else { continue };
            let Ok(value) = value.parse::<f64>() else { continue };
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            figures.add(name, labels, value);
        }
        figures
    }

    fn add(&mut self, name: &str, labels: &str, value: f64) {
        match name {
            "eh_outbox_pending" => self.outbox = Some(value),
            "eh_outbox_oldest_age_seconds" => self.outbox_age = Some(value),
            _ if is_no_request(labels) => {}
            _ if REQUESTS.contains(&name) => {
                self.requests += value;
                let status =
                    label(labels, "status").or_else(|| label(labels, "rpc_grpc_status_code"));
                if status.is_some_and(|status| FAULTS.contains(&status)) {
                    self.faults += value;
                }
            }
            _ if TIMES.contains(&name) => {
                if let Some(bound) = label(labels, "le").and_then(microseconds) {
                    *self.buckets.entry(bound).or_default() += value;
                }
            }
            _ => {}
        }
    }

    /// What was counted since an earlier look; since the start, if the process was started since.
    pub fn since(&self, before: &Self, elapsed: Duration) -> Traffic {
        let none = Self::default();
        let before = if before.requests > self.requests { &none } else { before };
        let requests = self.requests - before.requests;
        let buckets: Vec<(u64, f64)> = self
            .buckets
            .iter()
            .map(|(bound, count)| (*bound, count - before.buckets.get(bound).unwrap_or(&0.0)))
            .collect();
        let fault_share = (requests > 0.0).then(|| (self.faults - before.faults) / requests);
        Traffic {
            rate: requests / elapsed.as_secs_f64().max(f64::EPSILON),
            fault_share,
            p99: quantile(&buckets, 0.99),
        }
    }
}

/// Health checks are not asked for, and what is watched lasts as long as its watcher wants.
fn is_no_request(labels: &str) -> bool {
    label(labels, "rpc_service").is_some_and(|service| service.starts_with("grpc."))
        || label(labels, "rpc_method").is_some_and(|method| method.starts_with("Watch"))
}

/// The value of a label. None that is asked for here holds a quotation mark.
fn label<'a>(labels: &'a str, name: &str) -> Option<&'a str> {
    let mut parts = labels.split('"');
    while let (Some(before), Some(value)) = (parts.next(), parts.next()) {
        let own = before.trim_start_matches(['{', ',', ' ']).strip_suffix('=');
        if own == Some(name) {
            return Some(value);
        }
    }
    None
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast saturates: +Inf becomes the last bucket, and there is nothing below zero"
)]
fn microseconds(le: &str) -> Option<u64> {
    let seconds: f64 = if le == "+Inf" { f64::INFINITY } else { le.parse().ok()? };
    Some((seconds * 1e6).round() as u64)
}

/// The value that such a share did not exceed, as if the values of a bucket lay evenly in it.
fn quantile(buckets: &[(u64, f64)], share: f64) -> Option<Bound> {
    let (_, total) = *buckets.last()?;
    let rank = total * share;
    if total <= 0.0 {
        return None;
    }
    let place = buckets.iter().position(|(_, count)| *count >= rank)?;
    let (bound, count) = *buckets.get(place)?;
    let (lower, below) = match place.checked_sub(1).and_then(|before| buckets.get(before)) {
        Some((lower, below)) => (Duration::from_micros(*lower), *below),
        None => (Duration::ZERO, 0.0),
    };
    if bound == u64::MAX {
        return Some(Bound::Above(lower));
    }
    let part = if count > below { (rank - below) / (count - below) } else { 1.0 };
    let width = Duration::from_micros(bound).saturating_sub(lower);
    Some(Bound::About(lower + width.mul_f64(part.clamp(0.0, 1.0))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GATEWAY: &str = r#"# TYPE http_server_requests_total counter
http_server_requests_total{method="GET",route="/api/v1/orders/{id}",status="2xx"} 90
http_server_requests_total{method="GET",route="/x",status="4xx"} 5
http_server_requests_total{method="GET",route="/x",status="5xx"} 5
http_server_request_duration_seconds_bucket{method="GET",route="/x",le="0.01"} 50
http_server_request_duration_seconds_bucket{method="GET",route="/x",le="0.1"} 99
http_server_request_duration_seconds_bucket{method="GET",route="/x",le="+Inf"} 100
http_server_request_duration_seconds_sum{method="GET",route="/x"} 1
eh_outbox_pending 3
eh_outbox_oldest_age_seconds 1.5
nonsense
"#;

    #[test]
    fn requests_faults_times_and_the_outbox_are_read() {
        let figures = Figures::parse(GATEWAY);
        assert_eq!((figures.outbox, figures.outbox_age), (Some(3.0), Some(1.5)));
        let traffic = figures.since(&Figures::default(), Duration::from_secs(10));
        assert!((traffic.rate - 10.0).abs() < 1e-9);
        assert!((traffic.fault_share.unwrap() - 0.05).abs() < 1e-9);
        assert_eq!(traffic.p99, Some(Bound::About(Duration::from_millis(100))));
    }

    #[test]
    fn only_what_came_since_the_last_look_counts() {
        let before = Figures::parse(GATEWAY);
        let nothing = before.since(&before, Duration::from_secs(1));
        assert_eq!(nothing, Traffic::default());
        let slow = GATEWAY.replace("+Inf\"} 100", "+Inf\"} 150").replace("4xx\"} 5", "4xx\"} 55");
        let traffic = Figures::parse(&slow).since(&before, Duration::from_secs(1));
        assert!((traffic.rate - 50.0).abs() < 1e-9);
        assert_eq!(traffic.p99, Some(Bound::Above(Duration::from_millis(100))));
        let started_anew = before.since(&Figures::parse(&slow), Duration::from_secs(1));
        assert!((started_anew.rate - 100.0).abs() < 1e-9);
    }

    #[test]
    fn health_checks_and_watchers_are_no_requests() {
        let text = r#"
rpc_server_requests_total{rpc_service="grpc.health.v1.Health",rpc_method="Check",rpc_grpc_status_code="OK"} 1000
rpc_server_requests_total{rpc_service="a.AuthService",rpc_method="WatchRevocations",rpc_grpc_status_code="UNKNOWN"} 7
rpc_server_requests_total{rpc_service="a.AuthService",rpc_method="Login",rpc_grpc_status_code="INTERNAL"} 1
rpc_server_requests_total{rpc_service="a.AuthService",rpc_method="Login",rpc_grpc_status_code="NOT_FOUND"} 1
"#;
        let traffic = Figures::parse(text).since(&Figures::default(), Duration::from_secs(1));
        assert!((traffic.rate - 2.0).abs() < 1e-9);
        assert!((traffic.fault_share.unwrap() - 0.5).abs() < 1e-9);
        assert_eq!(traffic.p99, None);
    }

    #[test]
    fn labels_are_found_by_their_whole_name() {
        let labels = r#"file="x",le="0.5"}"#;
        assert_eq!(label(labels, "le"), Some("0.5"));
        assert_eq!((label(labels, "e"), label("", "le")), (None, None));
    }
}
