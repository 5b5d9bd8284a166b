//! The load: customers who order, pay, cancel, ask for their money, read, and repeat themselves.
//!
//! It is an open loop: arrivals keep their times whatever the fleet does, so that a slow fleet is
//! not spared. Whatever ends unknown is asked again under the same key until the answer is known.

pub mod client;
pub mod mix;
pub mod shop;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

pub use self::client::{Account, Ask, Sender};
use self::mix::Mix;
pub use self::shop::Shop;
use super::draw::Draw;
use super::history::{Call, Op, Outcome};

/// Share of the answered calls that are sent again with the same key, in a hundred.
const REPEATED: u64 = 30;
/// Pauses of a client that does not know what came of its call: they grow, and no two clients keep
/// the same step, as polite clients do. Impatient ones would be a fault that nobody drew.
pub(super) const PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(4));
/// Arrivals beyond so many calls under way are dropped and counted: the client is one process.
const MOST_AT_ONCE: usize = 400;

/// How the load runs.
#[derive(Debug)]
pub struct Load {
    /// Sends and records.
    pub sender: Arc<Sender>,
    /// What is known of the shop.
    pub shop: Arc<Shop>,
    /// What is asked.
    pub mix: Mix,
    /// Arrivals in a second.
    pub rate: u32,
}

/// What the load did besides the recorded calls.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Arrivals.
    pub arrivals: usize,
    /// Arrivals that were dropped because too many calls were under way.
    pub dropped: usize,
    /// Keys whose outcome never became known.
    pub unresolved: usize,
}

impl Load {
    /// Runs until told to stop, then until every call is answered or `patience` is over.
    pub async fn run(
        mut self,
        mut stop: watch::Receiver<bool>,
        patience: Duration,
    ) -> Result<Tally> {
        let unresolved = Arc::new(AtomicUsize::new(0));
        let (mut tally, mut calls) = (Tally::default(), JoinSet::new());
        let mut ticks = interval(Duration::from_secs(1) / self.rate.max(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                _ = stop.wait_for(|stopped| *stopped) => break,
            }
            while let Some(ended) = calls.try_join_next() {
                ended??;
            }
            tally.arrivals += 1;
            if calls.len() >= MOST_AT_ONCE {
                tally.dropped += 1;
                continue;
            }
            if let Some(ask) = self.mix.next(&self.shop) {
                let customer = self.customer(stop.clone(), &unresolved, patience);
                calls.spawn(customer.pursue(ask));
            }
        }
        while let Some(ended) = calls.join_next().await {
            ended??;
        }
        tally.unresolved = unresolved.load(Ordering::Relaxed);
        Ok(tally)
    }

    fn customer(
        &mut self,
        stop: watch::Receiver<bool>,
        unresolved: &Arc<AtomicUsize>,
        patience: Duration,
    ) -> Customer {
        Customer {
            sender: self.sender.clone(),
            shop: self.shop.clone(),
            draw: self.mix.fork(),
            stop,
            unresolved: unresolved.clone(),
            patience,
        }
    }
}

/// Reads every order that a reply has named, once: what was acknowledged must be there.
pub async fn read_everything(sender: &Sender, shop: &Shop) -> Result<()> {
    for (place, (id, account)) in shop.all().into_iter().enumerate() {
        let ask = Ask { op: Op::Read, account, order_id: Some(id), key: None, body: None };
        sender.send(&ask, place % sender.gateways().max(1)).await?;
    }
    Ok(())
}

/// Somebody who wants to know what came of a call.
struct Customer {
    sender: Arc<Sender>,
    shop: Arc<Shop>,
    draw: Draw,
    stop: watch::Receiver<bool>,
    unresolved: Arc<AtomicUsize>,
    patience: Duration,
}

impl Customer {
    async fn pursue(mut self, ask: Ask) -> Result<()> {
        let Some(known) = self.until_known(&ask).await? else {
            self.unresolved.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        };
        if known.outcome == Outcome::Ok {
            self.shop.learn(&ask.account, &known);
        }
        if ask.key.is_some() && self.draw.percent(REPEATED) {
            self.until_known(&ask).await?;
        }
        Ok(())
    }

    /// Asks again until the answer is known; `None` when patience ended first. A read is asked
    /// once: nobody depends on its answer.
    async fn until_known(&mut self, ask: &Ask) -> Result<Option<Call>> {
        let (mut pause, mut give_up) = (PAUSE.0, None);
        loop {
            let call = self.once(ask).await?;
            if ask.key.is_none() || !call.must_be_repeated() {
                return Ok(Some(call));
            }
            // While faults last, a client has all the patience; they may last.
            if *self.stop.borrow() {
                let end = *give_up.get_or_insert_with(|| Instant::now() + self.patience);
                if Instant::now() > end {
                    return Ok(None);
                }
            }
            let percent = u32::try_from(self.draw.between(50, 150)).unwrap_or(100);
            tokio::time::sleep(pause * percent / 100).await;
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    async fn once(&mut self, ask: &Ask) -> Result<Call> {
        let gateways = u64::try_from(self.sender.gateways()).unwrap_or(1).max(1);
        let gateway = usize::try_from(self.draw.number() % gateways).unwrap_or_default();
        self.sender.send(ask, gateway).await
    }
}
