//! What the clients saw: one line per completed call, in the form that the audit reads.
//!
//! The outcome is told as in Jepsen. *Unknown* is the honest answer to a lost reply: the call may
//! have been done, not done, or be done later.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};

pub use crate::time::now;

/// What came of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// 2xx: done.
    Ok,
    /// 4xx: surely not done.
    Refused,
    /// 5xx, no reply, half a reply.
    Unknown,
}

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Op {
    /// An order is placed.
    Place,
    /// It is paid again.
    Pay,
    /// It is cancelled.
    Cancel,
    /// Its money is asked back.
    Refund,
    /// It is read.
    Read,
    /// A page of orders is read; no order in particular.
    #[serde(rename = "read")]
    List,
}

/// A completed call.
#[derive(Clone, Debug, Serialize)]
pub struct Call {
    /// What was asked.
    pub op: Op,
    /// Who asked.
    pub user_id: String,
    /// The order that the call, or the reply to a placement, named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_id: Option<String>,
    /// Idempotency key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// HTTP method.
    pub method: &'static str,
    /// Route template.
    pub route: &'static str,
    /// SHA-256 of the body as sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_sha256: Option<String>,
    /// What came of it.
    pub outcome: Outcome,
    /// HTTP status; 0 when no reply came.
    pub status: u16,
    /// Code of a problem document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// SHA-256 of the body of a 2xx reply as received.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_sha256: Option<String>,
    /// State of the order in a 2xx reply.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_status: Option<String>,
    /// Version of the order in a 2xx reply.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_version: Option<u64>,
    /// When it was sent.
    #[serde(serialize_with = "micros")]
    pub started_at: DateTime<Utc>,
    /// When the reply was complete.
    #[serde(serialize_with = "micros")]
    pub ended_at: DateTime<Utc>,
    /// How long that took.
    pub elapsed_ms: u64,
    /// Which gateway was asked.
    pub gateway: usize,
    /// Whether a refusal said when to come again.
    pub retry_after: bool,
    /// Why no reply came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Call {
    /// Whether the caller has to ask again to learn what came of it.
    pub fn must_be_repeated(&self) -> bool {
        self.outcome == Outcome::Unknown || self.is_put_off()
    }

    /// Refused for the moment only: too many requests, or another call with the key is at work.
    pub fn is_put_off(&self) -> bool {
        matches!(self.status, 408 | 429) || self.code.as_deref() == Some("IDEMPOTENCY_IN_PROGRESS")
    }

    /// For a report: what it was and what came of it.
    pub fn describe(&self) -> String {
        let code = self.code.as_deref().or(self.error.as_deref()).unwrap_or_default();
        format!(
            "{} {} {} -> {} {code} after {} ms, at {}",
            self.method,
            self.route,
            self.order_id.as_deref().unwrap_or_default(),
            self.status,
            self.elapsed_ms,
            text(&self.started_at),
        )
    }
}

/// All calls of a run, in memory for the checks and in a file for the audit.
#[derive(Debug)]
pub struct History {
    path: PathBuf,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    file: BufWriter<File>,
    calls: Vec<Call>,
}

impl History {
    /// A new file.
    pub fn create(path: &Path) -> Result<Self> {
        let file =
            File::create(path).with_context(|| format!("{} cannot be written", path.display()))?;
        let inner = Inner { file: BufWriter::new(file), calls: Vec::new() };
        Ok(Self { path: path.to_path_buf(), inner: Mutex::new(inner) })
    }

    /// Adds a call.
    pub fn record(&self, call: Call) -> Result<()> {
        let line = serde_json::to_string(&call)?;
        let mut inner = self.lock();
        writeln!(inner.file, "{line}")?;
        inner.calls.push(call);
        Ok(())
    }

    /// Everything so far, with the file complete.
    pub fn calls(&self) -> Result<Vec<Call>> {
        let mut inner = self.lock();
        inner.file.flush()?;
        Ok(inner.calls.clone())
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A time as the records show it.
pub fn text(time: &DateTime<Utc>) -> String {
    time.to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
}

fn micros<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&text(time))
}

#[cfg(test)]
pub(super) mod fixtures {
    use super::*;

    /// A call that went well, as a start for a test; times are seconds from a fixed moment.
    pub(crate) fn call(op: Op, (from, to): (i64, i64)) -> Call {
        let at = |second| DateTime::from_timestamp(1_700_000_000 + second, 0).unwrap();
        Call {
            op,
            user_id: "u-1".to_owned(),
            order_id: Some("o-1".to_owned()),
            key: (op != Op::Read).then(|| "k-1".to_owned()),
            method: if op == Op::Read { "GET" } else { "POST" },
            route: "/api/v1/orders",
            body_sha256: (op != Op::Read).then(|| "b".to_owned()),
            outcome: Outcome::Ok,
            status: 200,
            code: None,
            reply_sha256: Some("r".to_owned()),
            order_status: Some("PAID".to_owned()),
            order_version: Some(2),
            started_at: at(from),
            ended_at: at(to),
            elapsed_ms: u64::try_from(to - from).unwrap() * 1000,
            gateway: 0,
            retry_after: false,
            error: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_members_that_the_audit_reads() {
        let folder = std::env::temp_dir().join(format!("history-{}", std::process::id()));
        let history = History::create(&folder).unwrap();
        history.record(fixtures::call(Op::Place, (0, 1))).unwrap();
        assert_eq!(history.calls().unwrap().len(), 1);
        let line = std::fs::read_to_string(&folder).unwrap();
        let value: serde_json::Value = serde_json::from_str(line.trim()).unwrap();
        assert_eq!((&value["op"], &value["outcome"]), (&"place".into(), &"ok".into()));
        assert_eq!(value["started_at"], "2023-11-14T22:13:20.000000Z");
        for member in ["user_id", "order_id", "key", "body_sha256", "reply_sha256", "status"] {
            assert!(!value[member].is_null(), "{member}");
        }
        std::fs::remove_file(folder).unwrap();
    }

    #[test]
    fn what_was_only_put_off_is_asked_again_and_a_refusal_is_not() {
        let refused = |status, code: &str| Call {
            outcome: Outcome::Refused,
            status,
            code: Some(code.to_owned()),
            ..fixtures::call(Op::Pay, (0, 1))
        };
        assert!(refused(409, "IDEMPOTENCY_IN_PROGRESS").must_be_repeated());
        assert!(refused(429, "RATE_LIMITED").must_be_repeated());
        assert!(!refused(409, "ORDER_STATE_CONFLICT").must_be_repeated());
    }
}
