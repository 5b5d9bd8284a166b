//! The status as tables, and what is wrong in sentences.

use std::time::Duration;

use super::metrics::Bound;
use super::{ServerRow, ServiceRow, State, Status};
use crate::middleware::queues::Queue;
use crate::ui;

const UNKNOWN: &str = "-";
/// Dead letters wait for a person; others, for a consumer that is at work.
const BACKLOG: u64 = 10_000;

impl Status {
    /// What is down, and what to do about it, a sentence each.
    pub fn problems(&self) -> Vec<String> {
        let services = self.services.iter().filter_map(of_service);
        let servers = self.servers.iter().filter_map(of_server);
        let queues = match &self.queues {
            Some(Ok(queues)) => queues.iter().filter_map(of_queue).collect(),
            Some(Err(reason)) => vec![format!("the queues cannot be seen: {reason}")],
            None => Vec::new(),
        };
        services.chain(servers).chain(queues).collect()
    }

    /// Three tables.
    pub fn render(&self) -> String {
        let services = self.services.iter().enumerate().map(|(place, row)| {
            let is_first = place == 0 || self.services[place - 1].service.name != row.service.name;
            service(row, if is_first { self.instances(row) } else { String::new() })
        });
        let head = [
            "service", "ready", "state", "pid", "uptime", "memory", "cpu", "req/s", "faults",
            "p99", "outbox",
        ];
        let mut text = table(&head, services);
        if !self.servers.is_empty() {
            let head = ["server", "", "state", "pid", "uptime", "memory"];
            text.push('\n');
            text.push_str(&table(&head, self.servers.iter().map(server)));
        }
        if let Some(Ok(queues)) = &self.queues {
            text.push('\n');
            text.push_str(&table(&["queue", "messages", "consumers"], queues.iter().map(queue)));
        }
        text
    }

    /// Processes of a service that do their work, of all that there are.
    fn instances(&self, of: &ServiceRow) -> String {
        let own = self.services.iter().filter(|row| row.service.name == of.service.name);
        let ready = own.clone().filter(|row| row.state == State::Ready).count();
        format!("{ready}/{}", own.count())
    }
}

fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let head = head.iter().map(|cell| (*cell).to_owned()).collect();
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
    ui::table(&rows)
}

fn service(row: &ServiceRow, instances: String) -> Vec<String> {
    let or_unknown = |text: Option<String>| text.unwrap_or_else(|| UNKNOWN.to_owned());
    let traffic = row.traffic.as_ref();
    let share = traffic.and_then(|it| it.fault_share);
    vec![
        row.name.clone(),
        instances,
        state(&row.state),
        or_unknown(row.pid.map(|pid| pid.to_string())),
        or_unknown(row.usage.map(|usage| age(usage.uptime))),
        or_unknown(row.usage.map(|usage| memory(usage.resident_bytes))),
        or_unknown(row.cpu.map(|share| format!("{:.0}%", share * 100.0))),
        or_unknown(traffic.map(|it| format!("{:.1}", it.rate))),
        or_unknown(share.map(|share| format!("{:.1}%", share * 100.0))),
        or_unknown(traffic.and_then(|it| it.p99).map(bound)),
        or_unknown(row.outbox.map(outbox)),
    ]
}

fn server(row: &ServerRow) -> Vec<String> {
    let or_unknown = |text: Option<String>| text.unwrap_or_else(|| UNKNOWN.to_owned());
    vec![
        row.name.clone(),
        String::new(),
        state(&row.state),
        or_unknown(row.pid.map(|pid| pid.to_string())),
        or_unknown(row.usage.map(|usage| age(usage.uptime))),
        or_unknown(row.usage.map(|usage| memory(usage.resident_bytes))),
    ]
}

fn queue(queue: &Queue) -> Vec<String> {
    vec![queue.name.clone(), queue.messages.to_string(), queue.consumers.to_string()]
}

fn state(state: &State) -> String {
    match state {
        State::Ready => "up".to_owned(),
        State::NotReady(reason) => format!("NOT READY ({})", ui::printable(reason)),
        State::Silent => "SILENT".to_owned(),
        State::Ended => "ENDED".to_owned(),
    }
}

fn of_service(row: &ServiceRow) -> Option<String> {
    let name = &row.name;
    match &row.state {
        State::Ready => None,
        State::NotReady(reason) => Some(format!(
            "{name} is not ready: {}. It goes on by itself once that is over; cargo ehub logs {name} \
             tells more",
            ui::printable(reason)
        )),
        State::Silent => Some(format!(
            "{name} lives and does not answer: it is overloaded or stopped. Look at cargo ehub logs {name}"
        )),
        State::Ended => Some(format!(
            "{name} does not run. cargo ehub logs {name} tells its last words; cargo ehub up starts the \
             fleet anew and keeps its data"
        )),
    }
}

fn of_server(row: &ServerRow) -> Option<String> {
    let (name, log) = (&row.name, row.log.as_deref());
    let log =
        log.map_or_else(|| "it is not one of ours".to_owned(), |log| format!("its log is {log}"));
    match row.state {
        State::Ready => None,
        State::Ended => Some(format!(
            "{name} does not run; {log}. cargo ehub up starts the fleet anew and keeps its data"
        )),
        _ => Some(format!("{name} does not answer; {log}. What needs it waits for it")),
    }
}

/// Dead letters are for people, and no reason to call the fleet down.
fn of_queue(queue: &Queue) -> Option<String> {
    let Queue { name, messages, consumers } = queue;
    if queue.is_dead() {
        return None;
    }
    if *consumers == 0 {
        return Some(format!("nobody takes from {name}, where {messages} messages wait"));
    }
    (*messages > BACKLOG).then(|| format!("{messages} messages wait in {name}"))
}

fn outbox((pending, age): (f64, f64)) -> String {
    if pending > 0.0 { format!("{pending:.0} ({age:.0} s)") } else { "0".to_owned() }
}

fn bound(bound: Bound) -> String {
    let milliseconds = |duration: Duration| format!("{:.1} ms", duration.as_secs_f64() * 1_000.0);
    match bound {
        Bound::About(duration) => milliseconds(duration),
        Bound::Above(duration) => format!("> {}", milliseconds(duration)),
    }
}

fn memory(bytes: u64) -> String {
    format!("{} MiB", bytes / 1_024 / 1_024)
}

/// The two greatest units.
fn age(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    if days > 0 {
        format!("{days}d {}h", hours % 24)
    } else if hours > 0 {
        format!("{hours}h {}m", minutes % 60)
    } else if minutes > 0 {
        format!("{minutes}m {}s", seconds % 60)
    } else {
        format!("{seconds}s")
    }
}

#[cfg(test)]
mod tests {
    use super::super::metrics::Traffic;
    use super::*;
    use crate::process::Usage;
    use crate::services::Service;

    fn row(name: &str, state: State) -> ServiceRow {
        ServiceRow {
            service: Service::of_process(name).unwrap(),
            name: name.to_owned(),
            state,
            pid: Some(42),
            usage: Some(Usage {
                cpu: Duration::from_secs(1),
                uptime: Duration::from_secs(3_725),
                resident_bytes: 50 << 20,
            }),
            cpu: Some(0.123),
            traffic: Some(Traffic {
                rate: 12.34,
                fault_share: Some(0.005),
                p99: Some(Bound::Above(Duration::from_secs(10))),
            }),
            outbox: Some((3.0, 2.4)),
        }
    }

    fn status() -> Status {
        Status {
            services: vec![
                row("order-service", State::Ready),
                row("order-service-2", State::NotReady("database down".to_owned())),
                row("user-service", State::Silent),
            ],
            servers: vec![ServerRow {
                name: "Redis".to_owned(),
                state: State::Ended,
                pid: None,
                usage: None,
                log: Some("redis.log".to_owned()),
            }],
            queues: Some(Ok(vec![
                Queue { name: "n.order-service".to_owned(), messages: 7, consumers: 0 },
                Queue { name: "n.order-service.dead".to_owned(), messages: 7, consumers: 0 },
                Queue { name: "n.notify-service".to_owned(), messages: 7, consumers: 1 },
            ])),
        }
    }

    #[test]
    fn a_row_tells_how_a_process_is() {
        let text = status().render();
        let line = text.lines().find(|line| line.starts_with("  order-service ")).unwrap();
        let cells: Vec<&str> = line.split("  ").map(str::trim).filter(|c| !c.is_empty()).collect();
        assert_eq!(
            cells,
            [
                "order-service",
                "1/2",
                "up",
                "42",
                "1h 2m",
                "50 MiB",
                "12%",
                "12.3",
                "0.5%",
                "> 10000.0 ms",
                "3 (2 s)"
            ]
        );
        assert!(text.contains("NOT READY (database down)") && text.contains("SILENT"), "{text}");
        assert!(text.contains("n.notify-service"), "{text}");
    }

    #[test]
    fn what_is_down_is_told_with_what_to_do() {
        let problems = status().problems();
        assert_eq!(problems.len(), 4, "{problems:?}");
        for (problem, part) in problems.iter().zip([
            "database down",
            "cargo ehub logs user-service",
            "its log is redis.log",
            "nobody takes from n.order-service, where 7",
        ]) {
            assert!(problem.contains(part), "{problem}");
        }
        let unseen = Status { queues: Some(Err("away".to_owned())), ..Status::default() };
        assert!(unseen.problems()[0].contains("away"));
    }

    #[test]
    fn ages_have_two_units() {
        for (seconds, text) in [(5, "5s"), (65, "1m 5s"), (3_600, "1h 0m"), (90_000, "1d 1h")] {
            assert_eq!(age(Duration::from_secs(seconds)), text);
        }
    }
}
