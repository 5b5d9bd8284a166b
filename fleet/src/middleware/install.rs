//! Installs servers and build tools on Debian and Ubuntu by `scripts/install-middleware.sh`.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::layout::Layout;

/// Building OpenSSL from source, which the Consul client links, needs these.
const BUILD_TOOLS: [&str; 3] = ["perl", "make", "cc"];

/// Build tools that this machine lacks.
pub(super) fn build_tools_missing(layout: &Layout) -> Vec<&'static str> {
    BUILD_TOOLS.into_iter().filter(|name| layout.find_program(name).is_none()).collect()
}

pub(super) fn is_possible(layout: &Layout) -> bool {
    layout.find_program("apt-get").is_some()
}

/// Tells what will be installed, then installs it.
pub(super) fn install(layout: &Layout, tell: &impl Fn(&str)) -> Result<()> {
    if !is_possible(layout) {
        bail!("this machine has no apt-get");
    }
    tell("some programs are missing; installing them with scripts/install-middleware.sh");
    let script = layout.root().join("scripts/install-middleware.sh");
    let status = Command::new("/bin/sh")
        .arg(&script)
        .stdin(Stdio::inherit())
        .status()
        .with_context(|| format!("{} cannot be run", script.display()))?;
    if !status.success() {
        bail!("{} failed ({status})", script.display());
    }
    Ok(())
}
