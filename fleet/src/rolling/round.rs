//! What is done in one round.

use anyhow::{Result, ensure};
use serde_json::json;

use super::load::Load;
use super::{REPLICAS, Turn, timed};
use crate::harness::Fleet;
use crate::middleware::Part;
use crate::services::Service;

/// Replaces every process. The gateways come last: by then all that they call has been replaced.
pub(super) async fn replace_all(
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
