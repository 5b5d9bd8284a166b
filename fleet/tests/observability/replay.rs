//! Rules over a record, evaluated by promtool as a server would have done.

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use fleet::layout::Layout;
use fleet::ui;

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

/// Where promtool is; it is fetched if it is not here yet. Where it cannot be had nobody can judge a
/// record, and that is said aloud.
pub(crate) fn promtool() -> Result<Option<PathBuf>> {
    // Tests run side by side, and one fetches it.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let layout = Layout::discover()?;
    if let Some(found) = layout.find_program("promtool") {
        return Ok(Some(found));
    }
    let script = root().join("scripts/install-promtool.sh");
    let output = std::process::Command::new(script).output()?;
    let found = layout.find_program("promtool");
    if found.is_none() {
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        // Unlike what macros print, it is also shown when the test passes.
        ui::error_line(&format!(
            "\npromtool is missing, so ALERTS ARE NOT HELD AGAINST THE FAULTS OF A REAL FLEET\n{words}"
        ));
    }
    Ok(found)
}

/// A machine's package manager that has promtool alone.
const APT_GET: &str = "#!/bin/sh
case \"$*\" in
    *alertmanager*) exit 100 ;;
    *'download prometheus'*) : > prometheus_1_all.deb ;;
esac
";
/// One that has neither.
const EMPTY_APT_GET: &str = "#!/bin/sh\nexit 100\n";
const DPKG_DEB: &str = "#!/bin/sh
mkdir -p root/usr/bin
printf '#!/bin/sh\\n' > root/usr/bin/promtool
";

/// Runs the script that fetches programs in a checkout of its own; whether it succeeds, whether
/// promtool is there, and what it says. Beside those of the shell it finds only these programs.
fn install(apt_get: &str) -> Result<(bool, bool, String)> {
    let name = format!("ehub-promtool-{:016x}", rand::random::<u64>());
    let folder = std::env::temp_dir().join(name);
    let (scripts, programs) = (folder.join("scripts"), folder.join("programs"));
    for folder in [&scripts, &programs] {
        std::fs::create_dir_all(folder)?;
    }
    let script = scripts.join("install-promtool.sh");
    std::fs::copy(root().join("scripts/install-promtool.sh"), &script)?;
    for (program, text) in [("apt-get", apt_get), ("dpkg-deb", DPKG_DEB)] {
        std::fs::write(programs.join(program), text)?;
        std::fs::set_permissions(programs.join(program), Permissions::from_mode(0o755))?;
    }
    for tool in ["dirname", "mktemp", "rm", "mkdir", "install"] {
        let found = Layout::discover()?.find_program(tool).with_context(|| tool.to_owned())?;
        std::os::unix::fs::symlink(found, programs.join(tool))?;
    }
    let mut command = std::process::Command::new("/bin/sh");
    let output = command.arg(&script).env("PATH", &programs).output()?;
    let is_there = folder.join(".ehub/bin/promtool").is_file();
    std::fs::remove_dir_all(folder)?;
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok((output.status.success(), is_there, words))
}

#[test]
fn promtool_is_to_be_had_without_amtool() -> Result<()> {
    let (succeeds, is_there, words) = install(APT_GET)?;
    assert!(succeeds && is_there && words.contains("amtool"), "{words}");
    let (succeeds, is_there, words) = install(EMPTY_APT_GET)?;
    assert!(!succeeds && !is_there && words.contains("promtool"), "{words}");
    Ok(())
}
