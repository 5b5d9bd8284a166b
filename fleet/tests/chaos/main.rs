//! Chaos: whole runs of the prover, each on a private fleet with private middleware.
//!
//! They have a test program of their own, and run one after the other: a run measures how long
//! replies take, and a second fleet on the same machine would be a fault that nobody drew.

mod kills;
mod seeds;
mod standing;

use std::path::PathBuf;

use anyhow::Result;
use fleet::layout::Layout;
use tokio::sync::{Mutex, MutexGuard};

static TURN: Mutex<()> = Mutex::const_new(());

/// Waits for this test's turn.
async fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().await
}

/// Where a run leaves its report, and after a violation its logs.
fn report_folder(run: &str) -> Result<PathBuf> {
    Ok(Layout::discover()?.state().join("chaos/test").join(run))
}
