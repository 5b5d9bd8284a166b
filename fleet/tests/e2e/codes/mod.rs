//! Every error code of the catalogue, as a client of the running fleet gets it.

mod faults;
mod identity;
mod input;
mod operations;
mod orders;
mod providers;

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use chassis::error::RemoteError;
use fleet::harness::{Api, Reply};
use fleet::{Fleet, FleetOptions};
use proto::errors::{PAGES, find};

/// Bodies may take this long, so that the test of slow ones is quick.
const BODY_READ_TIMEOUT_MS: &str = "1500";
/// Unpaid orders of a user, at most: more than the whole test needs of its customer.
const UNPAID: &str = "20";
/// More than the whole test needs; the test of the limit uses another class.
const UNLIMITED: &str = "100000";

/// The codes that were seen.
#[derive(Default)]
pub(crate) struct Seen(BTreeSet<&'static str>);

impl Seen {
    /// Checks that an answer is the problem document of this code.
    pub(crate) fn expect(&mut self, reply: &Reply, code: &str) -> Result<()> {
        let page = find(code).with_context(|| format!("{code} has no page"))?;
        let Reply { request, body, .. } = reply;
        ensure!(reply.code() == code, "{request}: {body} instead of {code}");
        ensure!(reply.status == page.status, "{request}: {} for {code}", reply.status);
        ensure!(body["status"] == page.status && body["title"] == page.title, "{request}: {body}");
        ensure!(body["type"] == format!("/docs/errors/{code}"), "{request}: {body}");
        ensure!(body["detail"].as_str().is_some_and(|text| !text.is_empty()), "{request}: {body}");
        ensure!(body["trace_id"].as_str().map(str::len) == Some(32), "{request}: {body}");
        let path = request.split_once(' ').map(|(_, path)| path);
        ensure!(body["instance"].as_str() == path, "{request}: {body}");
        let kind = reply.header("content-type");
        ensure!(kind == Some("application/problem+json"), "{request}: {kind:?}");
        self.0.insert(page.code);
        Ok(())
    }

    /// Checks that the answer of a service behind the gateway has this code, for what no client
    /// can bring about.
    pub(crate) fn expect_remote(&mut self, error: &RemoteError, code: &str) -> Result<()> {
        let page = find(code).with_context(|| format!("{code} has no page"))?;
        ensure!(error.reason == code, "{error:?} instead of {code}");
        ensure!(error.kind.http_status().as_u16() == page.status, "{error:?}");
        self.0.insert(page.code);
        Ok(())
    }
}

/// What every group of codes needs.
pub(crate) struct Stage {
    pub(crate) fleet: Fleet,
    pub(crate) visitor: Api,
    pub(crate) customer: Api,
    pub(crate) admin: Api,
    pub(crate) seen: Seen,
}

impl Stage {
    async fn set() -> Result<Self> {
        let options = FleetOptions::default()
            .setting("EH_GATEWAY__HTTP__BODY_READ_TIMEOUT_MS", BODY_READ_TIMEOUT_MS)
            .setting("EH_GATEWAY__RATE_LIMITS__LOGIN__REQUESTS", UNLIMITED)
            .setting("EH_GATEWAY__TOKEN__JWKS_MIN_INTERVAL_S", "1")
            .setting("EH_ORDER__ORDERS__OPEN_PER_USER_MAX", UNPAID);
        let fleet = Fleet::start(options).await?;
        fleet.seed().await?;
        let (visitor, customer) = (fleet.http()?, fleet.customer().await?);
        let admin = fleet.admin().await?;
        Ok(Self { fleet, visitor, customer, admin, seen: Seen::default() })
    }
}

#[tokio::test]
#[ignore = "needs the middleware: cargo ehub test"]
async fn every_code_of_the_catalogue_is_produced() -> Result<()> {
    let mut stage = Stage::set().await?;
    input::produce(&mut stage).await?;
    identity::produce(&mut stage).await?;
    orders::produce(&mut stage).await?;
    providers::produce(&mut stage).await?;
    operations::produce(&mut stage).await?;
    faults::produce(&mut stage).await?;
    let all: BTreeSet<&str> = PAGES.iter().map(|page| page.code).collect();
    let missing: Vec<_> = all.difference(&stage.seen.0).collect();
    assert!(missing.is_empty(), "{missing:?} were not produced");
    stage.fleet.finish().await
}
