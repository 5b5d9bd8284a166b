//! The clients' history: what they were answered, against what is stored.
//!
//! One JSON object per completed call and line, as `docs/AUDIT.md` describes it. An answer is `ok`
//! (2xx), `refused` (4xx: surely not done) or `unknown` (anything else, or none).

mod compare;
mod stored;

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;
use uuid::Uuid;

pub(super) use self::compare::check;

/// The code that tells of another call under the same key, whose effect may be there already.
const IN_PROGRESS: &str = "IDEMPOTENCY_IN_PROGRESS";

/// What a call asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// Placing an order.
    Place,
    /// Paying an order again.
    Pay,
    /// Cancelling an order.
    Cancel,
    /// Asking for the money back.
    Refund,
    /// Reading an order.
    Read,
}

/// What a client knows of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Done.
    Ok,
    /// Surely not done.
    Refused,
    /// Done or not done.
    Unknown,
}

/// One completed call.
#[derive(Clone, Debug, Deserialize)]
pub struct Call {
    /// What it asked for.
    pub op: Op,
    /// Who called.
    pub user_id: Uuid,
    /// Which order, as far as the client knows.
    #[serde(default)]
    pub order_id: Option<Uuid>,
    /// The idempotency key.
    #[serde(default)]
    pub key: Option<String>,
    /// HTTP method.
    pub method: String,
    /// Template of the path.
    pub route: String,
    /// SHA-256 of the request's body, in hexadecimal.
    #[serde(default)]
    pub body_sha256: Option<String>,
    /// What the client knows of it.
    pub outcome: Outcome,
    /// HTTP status; 0 without an answer.
    pub status: u16,
    /// Error code of an answer that refuses.
    #[serde(default)]
    pub code: Option<String>,
    /// SHA-256 of the answer's body, in hexadecimal.
    #[serde(default)]
    pub reply_sha256: Option<String>,
    /// Status of the order in the answer.
    #[serde(default)]
    pub order_status: Option<String>,
    /// Version of the order in the answer.
    #[serde(default)]
    pub order_version: Option<u64>,
}

impl Call {
    /// Whether the call surely had no effect, and no other call under its key is known to run.
    fn is_refused(&self) -> bool {
        self.outcome == Outcome::Refused && self.code.as_deref() != Some(IN_PROGRESS)
    }
}

impl Op {
    /// The name under which order-service keeps the key of such a call.
    const fn operation(self) -> Option<&'static str> {
        match self {
            Self::Place => Some("create_order"),
            Self::Pay => Some("pay_order"),
            Self::Cancel => Some("cancel_order"),
            Self::Refund => Some("refund_order"),
            Self::Read => None,
        }
    }
}

/// Reads a history. A line that is none is an error: half a history proves nothing.
pub fn read(path: &Path) -> Result<Vec<Call>> {
    let name = path.display();
    let file = File::open(path).with_context(|| format!("{name} cannot be read"))?;
    let mut calls = Vec::new();
    for (number, line) in (1..).zip(BufReader::new(file).lines()) {
        let line = line.with_context(|| format!("{name} cannot be read"))?;
        if !line.trim().is_empty() {
            let call = serde_json::from_str(&line);
            calls.push(call.with_context(|| format!("{name}: line {number} is not a call"))?);
        }
    }
    Ok(calls)
}
