//! Rules over a record, evaluated by promtool as a server would have done.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use fleet::layout::Layout;

use crate::record::Record;
use crate::{root, rules};

/// For how long a look stands, in seconds: the interval at which Prometheus asks.
const STEP_S: usize = 15;
/// Which alerts are there.
const FIRING: &str = "group by (alertname) (ALERTS{alertstate=\"firing\"})";

/// Whether exactly these alerts fire at the last look of a record; if not, what promtool says.
pub(crate) async fn differs(
    promtool: &Path,
    record: &Record,
    files: &[&str],
    alerts: &BTreeSet<String>,
) -> Result<Option<String>> {
    let name = format!("ehub-replay-{:016x}.yml", rand::random::<u64>());
    let file = std::env::temp_dir().join(name);
    std::fs::write(&file, test(record, files, alerts))?;
    let mut command = tokio::process::Command::new(promtool);
    let output = command.args(["test", "rules"]).arg(&file).output().await;
    std::fs::remove_file(&file)?;
    let output = output.context("promtool cannot be run")?;
    if output.status.success() {
        return Ok(None);
    }
    // Its verdicts and its errors come by different ways, in some versions.
    let words =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    let words = words.concat();
    if !words.contains("got:") {
        bail!("promtool did not judge: {words}");
    }
    Ok(Some(words))
}

/// A file of tests for promtool.
fn test(record: &Record, files: &[&str], alerts: &BTreeSet<String>) -> String {
    let folder = root().join(rules::FOLDER);
    let file = |name: &&str| format!("  - {}/{name}.yml\n", folder.display());
    let rule_files: String = files.iter().map(file).collect();
    let sample = |name: &String| {
        format!("\n          - labels: '{{alertname=\"{name}\"}}'\n            value: 1")
    };
    let samples: String = alerts.iter().map(sample).collect();
    let samples = if samples.is_empty() { " []".to_owned() } else { samples };
    let (input, end_s) = (record.input(), record.looks().saturating_sub(1) * STEP_S);
    format!(
        "rule_files:\n{rule_files}evaluation_interval: {STEP_S}s\ntests:\n  - interval: {STEP_S}s\n    \
         input_series:\n{input}    promql_expr_test:\n      - expr: '{FIRING}'\n        \
         eval_time: {end_s}s\n        exp_samples:{samples}\n"
    )
}

/// Where promtool is; it is fetched if it is not here yet.
pub(crate) fn promtool() -> Result<PathBuf> {
    // Tests run side by side, and one fetches it.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let layout = Layout::discover()?;
    if let Some(found) = layout.find_program("promtool") {
        return Ok(found);
    }
    let script = root().join("scripts/install-promtool.sh");
    let output = std::process::Command::new(script).output()?;
    let found = layout.find_program("promtool");
    found.with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())
}
