//! What is done in one round.

use anyhow::{Result, ensure};
use serde_json::json;

use super::expansion::Expansion;
use super::load::Load;
use super::{REPLICAS, Turn, timed};
use crate::harness::Fleet;
use crate::middleware::Part;
use crate::services::Service;

/// Requests that are waited for after the schemas were changed, so that what was made of them is used.
const BORNE: usize = 50;

/// Replaces every process between the expansion of the schemas and their contraction.
pub(super) async fn replace_expanded(
    fleet: &mut Fleet,
    load: &Load,
    round: usize,
    turns: &mut Vec<Turn>,
) -> Result<()> {
    let expansion = Expansion::of_round(round);
    let work = async {
        let expanded = Box::pin(borne(load, expansion.expand(fleet)));
        turns.push(timed(round, "schemas expanded", load, expanded).await?);
        replace_all(fleet, load, round, turns).await
    };
    let replaced = Box::pin(work).await;
    if replaced.is_err() {
        // What was added must not stay. If it does, that is not what went wrong first.
        let _ = expansion.contract(fleet).await;
        return replaced;
    }
    let contracted = Box::pin(borne(load, expansion.contract(fleet)));
    turns.push(timed(round, "schemas contracted", load, contracted).await?);
    Ok(())
}

/// Makes a change, and waits until customers have met what it made.
async fn borne(load: &Load, change: impl Future<Output = Result<()>>) -> Result<()> {
    change.await?;
    load.until_more(BORNE).await
}

/// Replaces every process. The gateways come last: by then all that they call has been replaced.
async fn replace_all(
    fleet: &mut Fleet,
    load: &Load,
    round: usize,
    turns: &mut Vec<Turn>,
) -> Result<()> {
    let (edge, inner): (Vec<_>, Vec<_>) =
        Service::ALL.iter().partition(|service| service.name == Service::GATEWAY);
    for service in inner.into_iter().chain(edge) {
        for replica in 0..REPLICAS {
            let what = format!("{} {replica}", service.name);
            turns.push(timed(round, &what, load, replace(fleet, service.name, replica)).await?);
        }
    }
    Ok(())
}

/// Ends a process in order and starts it again, as this build. The next one must not have its turn before everybody
/// knows this one: for a caller that does not, nobody would be left.
async fn replace(fleet: &mut Fleet, service: &str, replica: usize) -> Result<()> {
    let code = fleet.terminate(service, replica).await?;
    ensure!(code == Some(0), "it ended with {code:?}");
    fleet.renew(service, replica)?;
    fleet.restart(service, replica).await?;
    fleet.all_acquainted().await
}

/// Publishes the next signing key, as `ehub keys rotate` does.
pub(super) async fn rotate_keys(fleet: &Fleet) -> Result<()> {
    let admin = fleet.admin().await?;
    admin
        .post("/api/v1/admin/keys/rotate", &json!({"withdraw_others": false}))
        .await?
        .require(200)?;
    Ok(())
}

/// Has the registry begin with nothing: every process registers again.
pub(super) async fn restart_registry(fleet: &mut Fleet) -> Result<()> {
    fleet.restart_server(Part::Consul).await?;
    fleet.all_registered().await
}
