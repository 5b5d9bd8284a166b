//! What a schedule may do to the fleet, one act at a time.
//!
//! An act names everything it needs: who reads a report, or replays it, need not ask the seed.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use crate::proxy::Mode;
use crate::services::Service;

/// One act.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "act", content = "with", rename_all = "snake_case")]
pub enum Act {
    /// SIGKILL to a process.
    Kill(Target),
    /// The process is started again; who waits for it waits later.
    Start(Target),
    /// SIGSTOP.
    Freeze(Target),
    /// SIGCONT.
    Thaw(Target),
    /// SIGTERM, and the start of its successor when it has ended.
    Roll(Target),
    /// Every process is killed and started again.
    Storm,
    /// A failpoint is armed in every process of a service.
    Arm(Point),
    /// It is disarmed, in case that nobody came by.
    Disarm(Point),
    /// What a link does from here on.
    Link {
        /// Which link.
        link: Link,
        /// What it does.
        does: Does,
    },
    /// Something happens to the broker.
    Broker(Broker),
    /// Something happens to the database server.
    Database(Database),
    /// Redis forgets everything.
    FlushCache,
    /// The sandbox provider is killed.
    KillProvider,
    /// It is started again, at the same address with the same ledger.
    StartProvider,
    /// The sandbox provider follows another script.
    Script {
        /// The script; an empty object means no faults.
        script: Value,
    },
}

/// A process of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Target {
    /// Name of the service.
    pub service: &'static str,
    /// Which of its processes, from zero.
    pub replica: usize,
}

/// A failpoint of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Point {
    /// Name of the service.
    pub service: &'static str,
    /// Name of the point.
    pub point: &'static str,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Service::find(self.service).map(|service| service.instance_name(self.replica));
        f.write_str(name.as_deref().unwrap_or(self.service))
    }
}

/// A connection that runs through a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "to", content = "of", rename_all = "snake_case")]
pub enum Link {
    /// From a service to its schema.
    Mysql(&'static str),
    /// From a service to the broker.
    Amqp(&'static str),
    /// From the gateway to Redis.
    Redis,
    /// From all services to Consul.
    Consul,
    /// To the gRPC port of every process of a service.
    Grpc(&'static str),
    /// From payment-service to the sandbox provider.
    Provider,
    /// From the sandbox provider, with its callbacks, to every gateway.
    Callbacks,
}

/// What a link does; see [`Mode`], which it becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Does {
    /// Everything passes.
    Pass,
    /// Connections are refused, as by a dead process; those that stand are reset.
    Refuse,
    /// Connections are taken and reset, those that stand too.
    Reset,
    /// Connections are taken, and nothing comes through.
    Blackhole,
    /// Everything comes through so many milliseconds late.
    Latency(u64),
    /// At most so many bytes come through in a second, each way.
    Throttle(u32),
    /// Everything comes in pieces of so many bytes.
    Slice(usize),
    /// Connections end after so many bytes of replies.
    CutAfter(usize),
    /// Requests come through, replies never.
    LoseReplies,
}

impl Does {
    /// The mode of the proxy.
    pub fn mode(self) -> Mode {
        match self {
            Self::Pass => Mode::Pass,
            Self::Refuse => Mode::Refuse,
            Self::Reset => Mode::Reset,
            Self::Blackhole => Mode::Blackhole,
            Self::Latency(ms) => Mode::Latency(Duration::from_millis(ms)),
            Self::Throttle(per_second) => Mode::Throttle(per_second),
            Self::Slice(bytes) => Mode::Slice(bytes),
            Self::CutAfter(bytes) => Mode::CutAfter(bytes),
            Self::LoseReplies => Mode::LoseReplies,
        }
    }
}

/// What happens to the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Broker {
    /// It is stopped in order.
    Stop,
    /// It is killed.
    Kill,
    /// It is started.
    Start,
    /// Its memory alarm is set: it blocks publishers.
    Alarm,
    /// Its memory alarm is lifted.
    Calm,
    /// The queue of a consumer is deleted.
    DeleteQueue(&'static str),
    /// A message that nobody can process is published.
    Poison(Poison),
}

/// What is wrong with a poisonous message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Poison {
    /// It is no JSON.
    NoJson,
    /// It is JSON of another shape.
    WrongTypes,
    /// It is of a version that nobody knows.
    UnknownVersion,
    /// It is nested deeper than any reader should go.
    Deep,
    /// It is large.
    Large,
}

/// What happens to the database server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Database {
    /// It is killed.
    Kill,
    /// It is started.
    Start,
    /// SIGSTOP.
    Freeze,
    /// SIGCONT.
    Thaw,
    /// Somebody locks every product, for so many milliseconds.
    LockProducts(u64),
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill(target) => write!(f, "kill {target}"),
            Self::Start(target) => write!(f, "start {target}"),
            Self::Freeze(target) => write!(f, "freeze {target}"),
            Self::Thaw(target) => write!(f, "thaw {target}"),
            Self::Roll(target) => write!(f, "terminate and start {target}"),
            Self::Storm => f.write_str("kill and start everything"),
            Self::Arm(point) => write!(f, "arm {} in {}", point.point, point.service),
            Self::Disarm(point) => write!(f, "disarm {} in {}", point.point, point.service),
            Self::Link { link, does } => write!(f, "{link:?}: {does:?}"),
            Self::Broker(what) => write!(f, "broker: {what:?}"),
            Self::Database(what) => write!(f, "database: {what:?}"),
            Self::FlushCache => f.write_str("redis: flush"),
            Self::KillProvider => f.write_str("kill the provider"),
            Self::StartProvider => f.write_str("start the provider"),
            Self::Script { script } => write!(f, "provider: {script}"),
        }
    }
}
