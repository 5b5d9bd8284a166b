//! The catalogue itself: a line per fault.

use super::super::act::Does;
use super::points::{NOTIFY, ORDER, PAYMENT, RELAY};
use super::{Fault, Kind, Means};

const fn fault(
    id: &'static str,
    name: &'static str,
    [how, heal]: [&'static str; 2],
    means: Means,
) -> Fault {
    Fault { id, name, how, heal, means }
}

/// The provider misbehaves as a script says.
const fn script(id: &'static str, name: &'static str, scripts: &'static [&'static str]) -> Fault {
    fault(id, name, ["script of the sandbox", "an empty script"], Means::Provider(scripts))
}

/// It cannot be made here.
const fn left_out(id: &'static str, name: &'static str, reason: &'static str) -> Fault {
    fault(id, name, ["-", "-"], Means::LeftOut(reason))
}

const RESTART: &str = "the supervisor starts it again";
const PASS: &str = "the proxy passes again";
const START: &str = "it is started again";

/// Every fault of the catalogue.
pub const ALL: &[Fault] = &[
    fault(
        "F01",
        "order-service dies at any point of an order",
        ["failpoints order.*, SIGKILL", RESTART],
        Means::Crash("order-service", ORDER),
    ),
    fault(
        "F02",
        "payment-service dies at any point of a payment",
        ["failpoints payment.*, SIGKILL", RESTART],
        Means::Crash("payment-service", PAYMENT),
    ),
    fault(
        "F03",
        "notify-service dies at any point of a notification",
        ["failpoints consumer.*, notify.*, SIGKILL", RESTART],
        Means::Crash("notify-service", NOTIFY),
    ),
    fault(
        "F04",
        "the relay dies while it publishes",
        ["failpoints outbox.*", RESTART],
        Means::Crash("order-service", RELAY),
    ),
    fault(
        "F05",
        "a gateway dies under load",
        ["SIGKILL to one of two", RESTART],
        Means::Crash("gateway-service", &[]),
    ),
    fault(
        "F06",
        "auth-service or user-service is away",
        ["SIGKILL", START],
        Means::Away(&["auth-service", "user-service"]),
    ),
    fault(
        "F07",
        "a process is frozen, and wakes up with old work",
        ["SIGSTOP", "SIGCONT"],
        Means::Freeze(&["order-service", "payment-service", "notify-service", "auth-service"]),
    ),
    fault("F08", "the broker is away", ["SIGTERM to the broker", START], Means::BrokerStopped),
    fault(
        "F09",
        "the broker crashes again and again",
        ["SIGKILL to the broker", START],
        Means::BrokerKilled,
    ),
    fault(
        "F10",
        "the broker blocks publishers",
        ["rabbitmqctl set_vm_memory_high_watermark 0", "the usual watermark"],
        Means::BrokerAlarm,
    ),
    fault(
        "F11",
        "the queue of order-service is deleted with what is in it",
        ["management API", "it declares the queue again, and asks about what it missed"],
        Means::QueueDeleted,
    ),
    fault(
        "F12",
        "confirms and deliveries of the broker are lost",
        ["proxy to the broker swallows replies", PASS],
        Means::Links(Kind::Amqp, &[Does::LoseReplies]),
    ),
    fault(
        "F13",
        "poisonous messages among good ones",
        ["published by the management API", "they end as dead letters"],
        Means::Poison,
    ),
    left_out(
        "F14",
        "dead letters are replayed",
        "needs a person's decision; notify-service's own tests replay",
    ),
    fault(
        "F15",
        "a service, or all, cannot reach the database",
        ["proxy refuses, or resets", PASS],
        Means::Links(Kind::Mysql, &[Does::Refuse, Does::Reset]),
    ),
    fault(
        "F16",
        "the database crashes under load",
        ["SIGKILL to the server", START],
        Means::DatabaseKilled,
    ),
    fault(
        "F17",
        "the outcome of a COMMIT is unknown",
        ["proxy to the database swallows replies", PASS],
        Means::Links(Kind::Mysql, &[Does::LoseReplies]),
    ),
    fault(
        "F18",
        "the database is there and does not answer",
        ["proxy forwards nothing", PASS],
        Means::Links(Kind::Mysql, &[Does::Blackhole]),
    ),
    fault(
        "F18b",
        "the database server is frozen",
        ["SIGSTOP to the server", "SIGCONT"],
        Means::DatabaseFrozen,
    ),
    left_out(
        "F19",
        "failover to another primary",
        "needs a replicated pair; the chassis tests error 1290 on its own",
    ),
    fault(
        "F20",
        "rows that every order needs are locked",
        ["another client holds FOR UPDATE", "it lets go"],
        Means::LocksHeld,
    ),
    left_out(
        "F21",
        "no connection is left",
        "a matter of load, not of faults; the chassis' tests exhaust a pool of one connection",
    ),
    left_out(
        "F22",
        "the disk of the database is full",
        "needs a file system of its own, hence root",
    ),
    left_out("F23", "the disk of the logs is full", "needs a file system of its own, hence root"),
    fault(
        "F24",
        "Redis is away, frozen or slow",
        ["proxy refuses, forwards nothing, or late", PASS],
        Means::Links(Kind::Redis, &[Does::Refuse, Does::Blackhole, Does::Latency(2_000)]),
    ),
    fault("F25", "Redis loses everything", ["FLUSHALL", "nothing to heal"], Means::CacheFlushed),
    fault(
        "F26",
        "Consul is away or does not answer",
        ["proxy refuses or forwards nothing", PASS],
        Means::Links(Kind::Consul, &[Does::Refuse, Does::Blackhole]),
    ),
    fault(
        "F27",
        "Consul names a process that is dead",
        ["SIGKILL, and no start for a while", START],
        Means::Away(&["order-service", "payment-service", "notify-service"]),
    ),
    script(
        "F28",
        "the provider is slow",
        &[r#"{"latency_ms": 500}"#, r#"{"latency_ms": 2000}"#, r#"{"latency_ms": 5000}"#],
    ),
    script(
        "F29",
        "the provider fails, half the time or always",
        &[r#"{"error_percent": 50}"#, r#"{"error_percent": 100}"#],
    ),
    script(
        "F29b",
        "the answer to a request at the provider is lost",
        &[r#"{"lost_answer_percent": 50}"#],
    ),
    fault("F29c", "the provider crashes", ["SIGKILL to the sandbox", START], Means::ProviderKilled),
    fault(
        "F29d",
        "the provider cannot be reached, or answers into the void",
        ["proxy resets, forwards nothing, or swallows replies", PASS],
        Means::Links(Kind::Provider, &[Does::Reset, Does::Blackhole, Does::LoseReplies]),
    ),
    script("F30", "callbacks arrive many times", &[r#"{"duplicate_percent": 100}"#]),
    script("F31", "callbacks arrive in another order", &[r#"{"reorder_percent": 100}"#]),
    script(
        "F32",
        "callbacks arrive late or never",
        &[r#"{"delay_ms": 3000}"#, r#"{"lose_percent": 100}"#],
    ),
    fault(
        "F33",
        "the reply to a callback is lost",
        ["proxy before the gateways swallows replies", PASS],
        Means::Links(Kind::Callbacks, &[Does::LoseReplies]),
    ),
    left_out(
        "F34",
        "cancel, capture and expiry race",
        "part of every load; order-service's tests race with a barrier",
    ),
    fault(
        "F35",
        "order-service and payment-service are parted, also one way",
        ["proxy before payment-service resets, forwards nothing, or swallows replies", PASS],
        Means::Links(Kind::Payment, &[Does::Reset, Does::Blackhole, Does::LoseReplies]),
    ),
    left_out(
        "F36",
        "clocks differ or jump",
        "needs a preloaded clock; unit tests move the clock of the chassis",
    ),
    left_out(
        "F37",
        "requests and callbacks are replayed by somebody",
        "payment-service's tests replay callbacks; the load repeats requests",
    ),
    fault(
        "F38",
        "all processes are replaced, one after the other",
        ["SIGTERM, then start", "they are ready again"],
        Means::Roll,
    ),
    fault("F39", "all processes die at once", ["SIGKILL to all", START], Means::Storm),
    left_out("F40", "everybody retries after an outage", "run F15 with a higher --rate"),
    left_out("F41", "five times the load", "a matter of load: give a higher --rate"),
    fault(
        "F42",
        "replies between services come in pieces, slowly, late or cut",
        ["proxy before the gRPC ports", PASS],
        Means::Links(
            Kind::Grpc,
            &[Does::Slice(7), Does::CutAfter(4_000), Does::Latency(60), Does::Throttle(32_000)],
        ),
    ),
    left_out("F43", "the signing keys rotate under load", "auth-service's own tests rotate"),
    left_out(
        "F44",
        "migrations run twice or are interrupted",
        "every start of a second process migrates; the chassis tests interruption",
    ),
    left_out(
        "F45",
        "descriptors, threads or memory are short",
        "limits of a process are not the harness' to set; gateway-service's tests take descriptors \
         away, and nothing tests too few threads or too little memory",
    ),
    left_out(
        "F46",
        "all of these at once, as the seed will have it",
        "not a fault of its own: it is what a run without --faults does",
    ),
];
