//! Very many forged callbacks at once: customers are served, and the provider is heard.

use anyhow::{Result, ensure};
use fleet::harness::{Api, Reply};
use fleet::{Fleet, FleetOptions};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use reqwest::Method;

use super::provider::{HEADER, Notice, PATH, now, signed_at};
use crate::support::problem::refused;
use crate::support::stage::{Stage, new_address};
use crate::support::{PATIENCE, order};

/// `rate_limits.callback.requests` of this row's fleet: few enough to be used up on any machine.
const QUOTA: usize = 50;
/// Forged callbacks, and how many of them are on their way at once.
const FORGED: usize = 400;
const AT_ONCE: usize = 64;
/// What a customer orders meanwhile.
const ORDERS: usize = 10;

pub(super) async fn a148_a_flood_of_forged_callbacks(_stage: &Stage) -> Result<()> {
    let options = FleetOptions::default()
        .setting("EH_GATEWAY__RATE_LIMITS__CALLBACK__REQUESTS", &QUOTA.to_string())
        .setting("EH_GATEWAY__RATE_LIMITS__CALLBACK__WINDOW_S", "3600");
    // Of its own, so that no other row's callbacks are refused.
    let fleet = Fleet::start(options).await?;
    fleet.seed().await?;
    let gateway = fleet.gateway_urls().swap_remove(0);
    let customer = fleet.customer().await?;
    let open = order(&customer, "pm_never").await?;
    let good = Notice::success_of(&open)?.body();
    let attacker = Api::bound_to(&gateway, new_address())?;
    let provider = Api::bound_to(&gateway, new_address())?;

    let flood = stream::iter(0..FORGED).map(|number| forge(&attacker, number));
    let flood = flood.buffer_unordered(AT_ONCE).try_collect::<Vec<_>>();
    let shopping = async {
        for _ in 0..ORDERS {
            order(&customer, "pm_ok").await?;
        }
        anyhow::Ok(())
    };
    // As providers do: again, until it is taken.
    let hearing = fleet::wait::until("the good callback being taken", PATIENCE, || async {
        let reply = send(&provider, &good, &signed_at(now(), &good)).await?;
        Ok((reply.status == 200).then_some(()))
    });
    let (replies, (), ()) = tokio::try_join!(flood, shopping, hearing)?;

    let mut checked = 0;
    for reply in &replies {
        match reply.status {
            429 => refused(reply, 429, "RATE_LIMITED")?,
            503 => refused(reply, 503, "SERVICE_UNAVAILABLE")?,
            _ => {
                refused(reply, 401, "SIGNATURE_INVALID")?;
                checked += 1;
            }
        }
    }
    ensure!((1..=QUOTA).contains(&checked), "{checked} of {FORGED} reached payment-service");
    fleet.finish().await
}

async fn forge(attacker: &Api, number: usize) -> Result<Reply> {
    let signature = format!("t={},v1={}", now(), "0".repeat(64));
    send(attacker, &format!("{{\"id\":\"evt_{number}\"}}"), &signature).await
}

async fn send(api: &Api, body: &str, signature: &str) -> Result<Reply> {
    let request = api.request(Method::POST, PATH).body(body.to_owned());
    let request = request.header("content-type", "application/json").header(HEADER, signature);
    api.send(request).await
}
