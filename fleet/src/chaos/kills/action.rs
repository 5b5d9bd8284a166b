//! Leads processes to their failpoints, and asks again until it is known what came of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::json;
use tokio::task::JoinSet;

use super::super::act::{Act, Point, Target};
use super::super::arena::Arena;
use super::super::draw::Draw;
use super::super::history::{Call, Op, Outcome};
use super::super::links;
use super::super::load::{Account, Ask, Sender, Shop};
use super::table::{Row, Way};
use crate::seed;

/// How long a process may take to come by at its failpoint.
const REACH_LIMIT: Duration = Duration::from_secs(15);
/// How long a client may need until it knows what came of its call.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// How often the processes are looked at.
const PAUSE: Duration = Duration::from_millis(10);
/// Pause of a client between two attempts.
const CLIENT_PAUSE: Duration = Duration::from_millis(100);

/// The client that leads processes to their end.
#[derive(Debug)]
pub(super) struct Actor {
    /// Sends calls.
    pub sender: Arc<Sender>,
    /// What it knows of its orders.
    pub shop: Arc<Shop>,
    draw: Draw,
    calls: usize,
}

impl Actor {
    /// A client of the fleet.
    pub(super) fn new(sender: Arc<Sender>, shop: Arc<Shop>) -> Self {
        Self { sender, shop, draw: Draw::new(rand::random()), calls: 0 }
    }

    /// One kill: the process dies at the point, and the client learns what came of its call.
    pub(super) async fn kill(&mut self, arena: &mut Arena, row: &Row) -> Result<()> {
        let ask = self.prepare(row.way).await?;
        let point = Point { service: row.service, point: row.point };
        if row.way == Way::End {
            return self.end(arena, point).await;
        }
        arena.perform(&Act::Arm(point)).await;
        let mut pursuit = JoinSet::new();
        if let Some(ask) = ask.clone() {
            pursuit.spawn(until_known(self.sender.clone(), ask, self.calls));
        }
        if let (Way::Expire, Some(order)) = (row.way, ask.as_ref().and_then(Ask::order)) {
            links::make_overdue(&arena.fleet, order).await?;
        }
        let died = until_death(arena, row.service).await;
        arena.perform(&Act::Disarm(point)).await;
        died?;
        let Some(ask) = ask else { return Ok(()) };
        let known = pursuit.join_next().await.context("the client is gone")???;
        self.shop.learn(&ask.account, &known);
        arena.supervise()?;
        if known.outcome == Outcome::Ok { Ok(()) } else { bail!("refused: {}", known.describe()) }
    }

    /// What has to be there before the point is armed, and the call that leads to it.
    async fn prepare(&mut self, way: Way) -> Result<Option<Ask>> {
        let (op, method) = match way {
            Way::Place(method) => return Ok(Some(self.placement(method)?)),
            Way::End => return Ok(None),
            Way::Pay => (Op::Pay, "pm_declined"),
            Way::Cancel => (Op::Cancel, "pm_declined"),
            Way::Expire => (Op::Read, "pm_declined"),
            Way::Refund => (Op::Refund, "pm_ok"),
        };
        let placement = self.placement(method)?;
        let account = placement.account.clone();
        let placed = until_known(self.sender.clone(), placement, self.calls).await?;
        let order = placed.order_id.clone().context("the order was not placed")?;
        self.shop.learn(&account, &placed);
        self.until_settled(&account, &order).await?;
        let body = if op == Op::Pay { json!({"payment_method": "pm_ok"}) } else { json!({}) };
        let (key, body) =
            if op == Op::Read { (None, None) } else { (Some(self.key()), Some(body)) };
        Ok(Some(Ask { op, account, order_id: Some(order), key, body }))
    }

    /// After an earlier kill, the first answer may be that the payment is still under way.
    async fn until_settled(&mut self, account: &Arc<Account>, order: &str) -> Result<()> {
        let end = Instant::now() + ANSWER_LIMIT;
        while Instant::now() < end {
            let (account, order_id) = (account.clone(), Some(order.to_owned()));
            let ask = Ask { op: Op::Read, account, order_id, key: None, body: None };
            let read = self.sender.send(&ask, self.calls % self.sender.gateways().max(1)).await?;
            if read.order_status.is_some_and(|status| status != "CREATED") {
                return Ok(());
            }
            tokio::time::sleep(CLIENT_PAUSE).await;
        }
        bail!("order {order} does not settle")
    }

    fn placement(&mut self, method: &str) -> Result<Ask> {
        let account = self.shop.customer(&mut self.draw).context("no customer")?;
        let items = json!([{"sku": seed::DEMO_SKU, "quantity": 1}]);
        let body = Some(json!({"items": items, "payment_method": method}));
        Ok(Ask { op: Op::Place, account, order_id: None, key: Some(self.key()), body })
    }

    fn key(&mut self) -> String {
        self.calls += 1;
        format!("kill-{:016x}{:016x}", self.draw.number(), self.draw.number())
    }

    /// Asks a process to end, which it does not do in order.
    async fn end(&mut self, arena: &mut Arena, point: Point) -> Result<()> {
        self.calls += 1;
        let service = point.service;
        let replica = self.calls % arena.fleet.replica_count(service).max(1);
        // The one from before may still be starting: only who is ready drains.
        arena.fleet.process_ready(service, replica).await?;
        arena.perform(&Act::Arm(point)).await;
        arena.fleet.ask_to_end(service, replica)?;
        let died = until_death(arena, service).await;
        arena.perform(&Act::Disarm(point)).await;
        let target = Target { service, replica };
        died.with_context(|| target.to_string())
    }
}

/// Waits until one of the service's processes has died at its failpoint, and starts its successor.
async fn until_death(arena: &mut Arena, service: &str) -> Result<()> {
    let known = arena.deaths.len();
    let end = Instant::now() + REACH_LIMIT;
    loop {
        arena.supervise()?;
        let fresh = &arena.deaths[known..];
        if fresh.iter().any(|death| death.process.starts_with(service)) {
            return Ok(());
        }
        if Instant::now() > end {
            bail!("nobody died within {} s", REACH_LIMIT.as_secs());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Sends a call, under its key as often as it takes to know what came of it.
async fn until_known(sender: Arc<Sender>, ask: Ask, first: usize) -> Result<Call> {
    let end = Instant::now() + ANSWER_LIMIT;
    for attempt in first.. {
        let call = sender.send(&ask, attempt % sender.gateways().max(1)).await?;
        if !call.must_be_repeated() {
            return Ok(call);
        }
        if Instant::now() > end {
            bail!("no answer within {} s, the last: {}", ANSWER_LIMIT.as_secs(), call.describe());
        }
        tokio::time::sleep(CLIENT_PAUSE).await;
    }
    bail!("no attempt was made")
}
