//! The connection to Redis: one multiplexed connection that comes back by itself.
//!
//! Redis is never waited for at the start and holds nothing that cannot be lost: without it, rate
//! limits and caches are those of the process.

use std::time::Duration;

use ::redis::aio::{ConnectionManager, ConnectionManagerConfig, PubSub};
use ::redis::{Client, ErrorKind, RedisResult};

use crate::config::RedisConfig;

/// Longest pause between two attempts to connect.
const RECONNECT_PAUSE_MAX: Duration = Duration::from_secs(1);
/// Attempts that one request waits for. The timeout of the request ends the wait long before.
const RECONNECT_ATTEMPTS: usize = 1;

/// Longest attempt to connect for a subscription.
const SUBSCRIBE_MAX: Duration = Duration::from_secs(1);

/// A connection whose clones share one socket.
#[derive(Clone)]
pub struct Redis {
    client: Client,
    manager: ConnectionManager,
    namespace: String,
    timeout: Duration,
}

/// Prepares the connection; `None` when no address is configured. Does no I/O: the socket is
/// opened by the first command.
pub fn connect(config: &RedisConfig) -> RedisResult<Option<Redis>> {
    if config.url.is_empty() {
        return Ok(None);
    }
    let client = Client::open(config.url.expose())?;
    let limits = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(config.timeout()))
        .set_response_timeout(Some(config.timeout()))
        .set_max_delay(RECONNECT_PAUSE_MAX)
        .set_number_of_retries(RECONNECT_ATTEMPTS);
    let manager = ConnectionManager::new_lazy_with_config(client.clone(), limits)?;
    let redis =
        Redis { client, manager, namespace: config.namespace.clone(), timeout: config.timeout() };
    Ok(Some(redis))
}

impl Redis {
    /// The connection, for commands and scripts. Wrap uses in [`Redis::timeout`]: a command that
    /// finds the connection broken may otherwise wait for the next attempt to connect.
    pub fn connection(&self) -> ConnectionManager {
        self.manager.clone()
    }

    /// A connection of its own for somebody who subscribes: what it hears comes at any time.
    pub async fn subscriber(&self) -> RedisResult<PubSub> {
        match tokio::time::timeout(SUBSCRIBE_MAX, self.client.get_async_pubsub()).await {
            Ok(connected) => connected,
            Err(_) => Err((ErrorKind::Io, "no connection in time").into()),
        }
    }

    /// Longest wait for an answer, connecting included.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// A key in the namespace of this installation.
    pub fn key(&self, name: &str) -> String {
        format!("{}:{name}", self.namespace)
    }

    /// Checks that the server answers.
    pub async fn ping(&self) -> Result<(), String> {
        let mut connection = self.manager.clone();
        let ping = ::redis::cmd("PING");
        let answer = ping.query_async::<String>(&mut connection);
        match tokio::time::timeout(self.timeout, answer).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no answer within {} ms", self.timeout.as_millis())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn config(url: &str) -> RedisConfig {
        RedisConfig { url: Secret::new(url), ..RedisConfig::default() }
    }

    #[tokio::test]
    async fn no_address_means_no_redis() {
        assert!(connect(&config("")).unwrap().is_none());
        assert!(connect(&config("http://127.0.0.1")).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn an_absent_server_costs_no_more_than_the_timeout() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        // The address accepts and never answers: the worst kind of absence.
        let url = format!("redis://{}", listener.local_addr().unwrap());
        let redis = connect(&config(&url)).unwrap().unwrap();
        let answer = tokio::time::timeout(redis.timeout(), redis.ping()).await;
        assert!(answer.expect("whoever asks is not held up any longer").is_err());
        assert_eq!(redis.key("limits:1"), "enterprisehub:limits:1");
    }

    #[tokio::test]
    #[ignore = "needs Redis: cargo ehub test"]
    async fn a_server_answers() {
        let redis = connect(&config(&crate::testing::redis_url())).unwrap().unwrap();
        let answered = async {
            while redis.ping().await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), answered).await.unwrap();
    }
}
