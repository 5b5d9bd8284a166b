//! Whose ledger the books are held against has to be told, unless the simulated provider takes the
//! payments.

use anyhow::{Context, Result};

use crate::books::Books;
use crate::clean::ehub;

/// What an earlier audit has left.
const EARLIER: &str = "eh_audit_completed_timestamp_seconds 1\n";

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn payments_with_a_provider_that_nobody_named_are_no_violations() -> Result<()> {
    let mut books = Books::filled(10).await?;
    books.run("DELETE FROM {p}.provider_charges").await?;
    let (name, sources) = (format!("ehub-ledger-{:016x}", rand::random::<u64>()), books.sources());
    let folder = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&folder)?;
    let (metrics, ledger) = (folder.join("audit.prom"), folder.join("charges"));
    std::fs::write(&metrics, EARLIER)?;
    std::fs::write(&ledger, "")?;
    let metrics_file = metrics.to_str().context("a path")?;
    let output = ehub(&sources, &["--metrics", metrics_file])?;
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(words.contains("--provider URL") && words.contains("--provider-ledger"), "{words}");
    assert_eq!(std::fs::read_to_string(&metrics)?, EARLIER);
    // A ledger that was named is believed.
    let ledger_file = ledger.to_str().context("a path")?;
    let named = ["--provider-ledger", ledger_file, "--metrics", metrics_file];
    let output = ehub(&sources, &named)?;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("payment_without_charge"));
    assert_ne!(std::fs::read_to_string(&metrics)?, EARLIER);
    std::fs::remove_dir_all(folder)?;
    books.remove().await
}
