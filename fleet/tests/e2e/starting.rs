//! How each of the six programs starts, or does not.

use std::process::{Command, Output};

use anyhow::{Context, Result};
use fleet::services::Service;

/// Runs a program that is expected to end by itself.
fn run(service: &Service, variable: &str, value: &str) -> Result<Output> {
    let own = std::env::current_exe()?;
    let folder = own.parent().and_then(|deps| deps.parent()).context("no target folder")?;
    let output = Command::new(folder.join(service.name)).env_clear().env(variable, value).output();
    output.with_context(|| format!("{} is not built; run cargo ehub test", service.name))
}

#[test]
#[ignore = "needs the built services: cargo ehub test"]
fn a_bad_configuration_ends_every_program_with_64_and_the_keys_name() -> Result<()> {
    for service in Service::ALL {
        for (key, value, named) in [
            ("SERVER__LISTNE", "127.0.0.1:1", "server.listne"),
            ("SERVER__LISTEN", "nowhere", "server.listen"),
            ("RUNTIME__WORKER_THREADS", "many", "runtime.worker_threads"),
        ] {
            let variable = format!("{}__{key}", service.variable);
            let output = run(service, &variable, value)?;
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(64), "{}: {said}", service.name);
            assert!(said.contains(named), "{}: {said}", service.name);
            assert!(said.contains(&variable), "{}: {said}", service.name);
        }
    }
    Ok(())
}

#[test]
#[ignore = "needs the built services: cargo ehub test"]
fn secrets_for_development_do_not_start_production() -> Result<()> {
    for service in Service::ALL.iter().filter(|service| service.name != Service::GATEWAY) {
        let output = run(service, "EH_PROFILE", "production")?;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{}: {said}", service.name);
        assert!(!said.contains("development-only-"), "{}: {said}", service.name);
    }
    Ok(())
}
