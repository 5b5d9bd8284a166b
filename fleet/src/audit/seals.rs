//! The seals of the audit log, computed anew.
//!
//! A seal is HMAC-SHA256 over the label and the fields of a row, each as its length in four bytes,
//! big endian, and its bytes; NULL is the length `0xFFFF_FFFF` alone. docs/AUDIT.md has the order.
//! Written anew here, because the auditor must not depend on what it audits.

use std::collections::BTreeMap;

use anyhow::Result;
use aws_lc_rs::hmac;
use chrono::NaiveDateTime;
use sqlx::FromRow;

use super::snapshot::Snapshot;
use super::{Invariant, Report};
use crate::layout::Layout;
use crate::services::Service;

/// What the seals are made with, by the four bytes that rows name it by.
#[derive(Clone, Default)]
pub struct Keys(BTreeMap<Vec<u8>, hmac::Key>);

impl Keys {
    /// Takes keys, such as the lines of a file.
    pub fn new<'k>(keys: impl IntoIterator<Item = &'k str>) -> Self {
        let keys = keys.into_iter().map(str::trim).filter(|key| !key.is_empty());
        let keyed = keys.map(|key| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
            (hmac::sign(&key, b"audit-log/1 key id").as_ref()[..4].to_vec(), key)
        });
        Self(keyed.collect())
    }

    /// The keys that the services have unless told otherwise.
    pub fn of_development(layout: &Layout) -> Result<Self> {
        let mut keys = Vec::new();
        for service in Service::ALL {
            let file = layout.root().join(service.name).join("config/default.toml");
            let table: toml::Table = std::fs::read_to_string(file)?.parse()?;
            let key = table.get("audit").and_then(|audit| audit.get("key"));
            keys.extend(key.and_then(toml::Value::as_str).map(str::to_owned));
        }
        Ok(Self::new(keys.iter().map(String::as_str)))
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keys({})", self.0.len())
    }
}

#[derive(FromRow)]
struct Row {
    prev_seal: Option<Vec<u8>>,
    id: Vec<u8>,
    object: String,
    seq: u32,
    action: String,
    service: String,
    actor: String,
    user_id: Option<Vec<u8>>,
    before_state: Option<String>,
    after_state: Option<String>,
    request_id: Option<String>,
    trace_id: Option<String>,
    occurred_at: NaiveDateTime,
    key_id: Vec<u8>,
    seal: Vec<u8>,
}

impl Row {
    fn is_sealed_by(&self, key: &hmac::Key) -> bool {
        let text = |text: &Option<String>| text.as_ref().map(|text| text.clone().into_bytes());
        let bytes = |text: &str| Some(text.as_bytes().to_vec());
        let fields = [
            self.prev_seal.clone(),
            Some(self.id.clone()),
            bytes(&self.object),
            Some(self.seq.to_be_bytes().to_vec()),
            bytes(&self.action),
            bytes(&self.service),
            bytes(&self.actor),
            self.user_id.clone(),
            text(&self.before_state),
            text(&self.after_state),
            text(&self.request_id),
            text(&self.trace_id),
            Some(self.occurred_at.and_utc().timestamp_micros().to_be_bytes().to_vec()),
        ];
        let mut message = b"audit-log/1\0".to_vec();
        for field in fields {
            match field {
                Some(bytes) => {
                    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
                    message.extend(length.to_be_bytes());
                    message.extend(bytes);
                }
                None => message.extend(u32::MAX.to_be_bytes()),
            }
        }
        hmac::verify(key, &message, &self.seal).is_ok()
    }
}

/// Verifies every seal of a schema's log. Without any key nothing can be said of them.
pub(super) async fn check(
    schema: &str,
    snapshot: &mut Snapshot,
    report: &mut Report,
) -> Result<()> {
    let invariant = const { Invariant::new(21) };
    let keys = snapshot.audit_keys().clone();
    if keys.0.is_empty() {
        report.could_not_see(invariant, "the seals of the audit log, without their keys");
        return Ok(());
    }
    let (forged, unknown) =
        ((invariant, "audit_row_was_forged"), (invariant, "audit_row_has_an_unknown_key"));
    report.checked(invariant, forged.1);
    report.checked(invariant, unknown.1);
    let sql = format!(
        "SELECT prev_seal, id, CONVERT(object USING utf8mb4) AS object, seq, \
         CONVERT(action USING utf8mb4) AS action, CONVERT(service USING utf8mb4) AS service, \
         CONVERT(actor USING utf8mb4) AS actor, user_id, before_state, after_state, \
         CONVERT(request_id USING utf8mb4) AS request_id, \
         CONVERT(trace_id USING utf8mb4) AS trace_id, occurred_at, key_id, seal \
         FROM {{{schema}}}.audit_log"
    );
    let service = format!("{schema}-service");
    let look = |row: Row| match keys.0.get(&row.key_id) {
        Some(key) if row.is_sealed_by(key) && row.service == service => {}
        Some(_) => {
            report.add(forged, row.object, format!("row {} is not what was sealed", row.seq));
        }
        None => report.add(unknown, row.object, format!("row {} is sealed with it", row.seq)),
    };
    let count = snapshot.each(&sql, look).await?;
    *report.counts.entry("audit rows").or_default() += count;
    Ok(())
}
