//! A doorbell between processes: Redis pub/sub that says "look", and nothing else.
//!
//! What is sent is not read, so whoever can publish in Redis can make others look more often, which
//! they bound themselves, and can make nobody believe anything. Rings may be lost: whoever listens
//! also looks without being rung, at the pace that it can afford.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::redis::Redis;

/// The first pause between attempts to listen; it doubles up to the longest one.
const PAUSE: Duration = Duration::from_millis(100);
/// The longest pause between those attempts.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Longest silence until the connection is asked whether it still stands.
const PROBE_AFTER: Duration = Duration::from_secs(5);

/// The side that rings; clones ring the same bell. Without Redis nobody hears it.
#[derive(Clone, Debug, Default)]
pub struct Doorbell {
    rung: Arc<Notify>,
}

impl Doorbell {
    /// Creates a bell.
    pub fn new() -> Self {
        Self::default()
    }

    /// Rings, without waiting for anything.
    pub fn ring(&self) {
        self.rung.notify_one();
    }

    /// Carries rings to `channel` in Redis until `stop` is cancelled. Many at once become one.
    pub async fn carry(self, redis: Redis, channel: String, stop: CancellationToken) {
        let work = async {
            loop {
                self.rung.notified().await;
                let outcome = publish(&redis, &channel).await;
                metrics::counter!("eh_doorbell_rings_total",
                    "outcome" => if outcome.is_ok() { "ok" } else { "error" })
                .increment(1);
                if let Err(error) = outcome {
                    tracing::debug!(error, "nobody hears the doorbell");
                }
            }
        };
        let _stopped: Option<()> = stop.run_until_cancelled(work).await;
    }
}

async fn publish(redis: &Redis, channel: &str) -> Result<(), String> {
    let mut connection = redis.connection();
    let mut command = ::redis::cmd("PUBLISH");
    command.arg(channel).arg("look");
    let sent = command.query_async::<i64>(&mut connection);
    match tokio::time::timeout(redis.timeout(), sent).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("no answer in time".to_owned()),
    }
}

/// Rings `bell` whenever somebody rings `channel`, and whenever the connection has come back: rings
/// may have been missed meanwhile. Ends when `stop` is cancelled.
pub async fn listen(redis: Redis, channel: String, bell: Arc<Notify>, stop: CancellationToken) {
    let work = async {
        let mut backoff = Backoff::new(PAUSE, PAUSE_MAX);
        loop {
            if let Err(error) = hear(&redis, &channel, &bell, &mut backoff).await {
                tracing::debug!(error = %error, "the doorbell is out of order");
            }
            backoff.pause().await;
        }
    };
    let _stopped: Option<()> = stop.run_until_cancelled(work).await;
}

async fn hear(
    redis: &Redis,
    channel: &str,
    bell: &Notify,
    backoff: &mut Backoff,
) -> ::redis::RedisResult<()> {
    let (mut sink, mut rings) = redis.subscriber().await?.split();
    sink.subscribe(channel).await?;
    backoff.reset();
    bell.notify_one();
    loop {
        match tokio::time::timeout(PROBE_AFTER, rings.next()).await {
            Ok(Some(_ring)) => bell.notify_one(),
            Ok(None) => return Ok(()),
            // A server that is cut off says nothing, and neither does one to which nobody comes.
            Err(_silence) => {
                let answer = sink.ping::<::redis::Value>();
                if tokio::time::timeout(PAUSE_MAX, answer).await.is_err() {
                    return Ok(());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{RedisConfig, Secret};
    use crate::testing::redis_url;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn connect(url: &str) -> Redis {
        let config = RedisConfig { url: Secret::new(url), ..RedisConfig::default() };
        crate::redis::connect(&config).unwrap().unwrap()
    }

    #[tokio::test]
    #[ignore = "needs Redis: cargo ehub test"]
    async fn a_ring_is_heard_by_everybody_who_listens() {
        let (redis, stop) = (connect(&redis_url()), CancellationToken::new());
        let channel = format!("test:{}", crate::id::new_id());
        let bells = [(); 2].map(|()| Arc::new(Notify::new()));
        for bell in &bells {
            let (bell, channel) = (Arc::clone(bell), channel.clone());
            #[expect(clippy::disallowed_methods, reason = "a test waits for what it needs")]
            tokio::spawn(listen(redis.clone(), channel, bell, stop.clone()));
        }
        let heard = |bell: Arc<Notify>| async move {
            tokio::time::timeout(PATIENCE, bell.notified()).await.unwrap();
        };
        for bell in &bells {
            heard(Arc::clone(bell)).await;
        }
        let doorbell = Doorbell::new();
        doorbell.ring();
        let carried = doorbell.carry(redis, channel, stop.clone());
        let listened = async {
            for bell in &bells {
                heard(Arc::clone(bell)).await;
            }
            stop.cancel();
        };
        tokio::join!(carried, listened);
    }

    #[tokio::test]
    async fn an_absent_redis_holds_nobody_up() {
        let (redis, stop) = (connect("redis://127.0.0.1:1"), CancellationToken::new());
        let doorbell = Doorbell::new();
        let rung = async {
            for _ in 0..100 {
                doorbell.ring();
                tokio::task::yield_now().await;
            }
            stop.cancel();
        };
        tokio::join!(doorbell.clone().carry(redis, "nobody".to_owned(), stop.clone()), rung);
    }
}
