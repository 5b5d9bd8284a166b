//! Where what is entrusted to the fleet must not turn up: answers that refuse, logs, metrics, traces.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Result, ensure};
use fleet::harness::Reply;
use fleet::services::Service;
use fleet::{Fleet, FleetOptions};

use super::collector::Collector;
use super::journey::{Canaries, travel};
use crate::support::PATIENCE;
use crate::support::stage::Stage;

/// The names of what is in a text and must not be.
fn found(text: &str, canaries: &[(&'static str, String)]) -> BTreeSet<&'static str> {
    let text = text.to_lowercase();
    canaries.iter().filter(|(_, secret)| text.contains(secret)).map(|(name, _)| *name).collect()
}

/// Services that tell as much as they can, in logs and in traces.
async fn start(collector: &Collector) -> Result<Fleet> {
    let options = Service::ALL.iter().fold(FleetOptions::default(), |options, service| {
        let variable = |end: &str| format!("{}__TELEMETRY__{end}", service.variable);
        options
            .setting(&variable("FILTER"), "debug")
            .setting(&variable("OTLP_ENDPOINT"), &collector.endpoint)
    });
    Fleet::start(options).await
}

/// What is sent is sent to every part of a fleet of its own, and no part repeats it.
pub(super) async fn a136_canaries(_: &Stage) -> Result<()> {
    let (collector, mut canaries) = (Collector::start().await?, Canaries::new());
    let mut fleet = start(&collector).await?;
    fleet.seed().await?;
    let replies = travel(&fleet, &mut canaries).await?;
    let canaries = canaries.all();
    let mut faults = in_refusals(&replies, &canaries)?;
    faults.extend(in_metrics(&mut fleet, &canaries).await?);
    for source in ["user-service", "auth-service", "order-service", "payment-service"] {
        fleet.until_published(source).await?;
    }
    // Spans that wait are sent at the end.
    for service in Service::ALL {
        fleet.terminate(service.name, 0).await?;
    }
    let names: BTreeSet<&str> = Service::ALL.iter().map(|service| service.name).collect();
    fleet::wait::until("spans of all services", PATIENCE, || async {
        Ok((collector.heard_of(names.iter().copied()) == names).then_some(()))
    })
    .await?;
    faults.extend(
        found(&collector.text(), &canaries).iter().map(|name| format!("{name} in a trace")),
    );
    faults.extend(in_logs(&fleet, &canaries)?);
    ensure!(faults.is_empty(), "{faults:#?}");
    fleet.finish().await
}

fn in_refusals(replies: &[Reply], canaries: &[(&'static str, String)]) -> Result<Vec<String>> {
    let refusals: Vec<_> = replies.iter().filter(|reply| reply.status >= 400).collect();
    ensure!(refusals.len() > 100, "only {} refusals", refusals.len());
    let faults = refusals.iter().flat_map(|reply| {
        let said = format!("{:?} {}", reply.headers, reply.body);
        let names = found(&said, canaries).into_iter();
        names.map(move |name| {
            format!("{name} in {} of {}: {}", reply.status, reply.request, reply.body)
        })
    });
    Ok(faults.collect())
}

async fn in_metrics(fleet: &mut Fleet, canaries: &[(&'static str, String)]) -> Result<Vec<String>> {
    let client = fleet::http::client().build()?;
    let mut faults = Vec::new();
    for service in Service::ALL {
        let url = format!("{}/metrics", fleet.internal_url(service.name, 0)?);
        let text = client.get(url).send().await?.error_for_status()?.text().await?;
        ensure!(text.contains("build_info"), "{} has no metrics", service.name);
        let names = found(&text, canaries).into_iter();
        faults.extend(names.map(|name| format!("{name} in the metrics of {}", service.name)));
    }
    Ok(faults)
}

/// The logs of the services, and of the servers that the fleet has for itself.
fn in_logs(fleet: &Fleet, canaries: &[(&'static str, String)]) -> Result<Vec<String>> {
    let (mut faults, mut seen, mut is_chatty) = (Vec::new(), BTreeSet::new(), false);
    for entry in fs::read_dir(fleet.log_folder())? {
        let entry = entry?;
        let file = entry.file_name().to_string_lossy().into_owned();
        let bytes = fs::read(entry.path())?;
        let text = String::from_utf8_lossy(&bytes);
        for line in text.lines() {
            let names = found(line, canaries).into_iter();
            faults.extend(names.map(|name| format!("{name} in {file}: {line}")));
        }
        is_chatty |= text.contains("DEBUG");
        if !text.is_empty() {
            seen.insert(file.trim_end_matches(".log").to_owned());
        }
    }
    let all = Service::ALL.iter().all(|service| seen.contains(service.name));
    ensure!(all && is_chatty, "only {seen:?} have told what they do");
    Ok(faults)
}
