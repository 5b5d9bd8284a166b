//! Asks a server whether it answers, in its own protocol.

use std::time::Duration;

use anyhow::Result;
use reqwest::Url;
use sqlx::{Connection, MySqlConnection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Part;
use crate::{address, wait};

const PROBE_LIMIT: Duration = Duration::from_secs(2);
/// Protocol header of AMQP 0-9-1; the broker answers it with a method frame, whose type is 1.
const AMQP_HEADER: &[u8] = b"AMQP\x00\x00\x09\x01";

/// Waits until the server answers.
pub(super) async fn until_answering(part: Part, url: &Url, limit: Duration) -> Result<()> {
    wait::until("an answer", limit, || async { Ok(answers(part, url).await.then_some(())) }).await
}

/// Whether the server answers now.
pub(super) async fn answers(part: Part, url: &Url) -> bool {
    let probe = async {
        match part {
            Part::MySql => mysql(url).await,
            Part::Redis => redis(url).await,
            Part::RabbitMq => amqp(url).await,
            Part::Consul => consul(url).await,
        }
    };
    timeout(PROBE_LIMIT, probe).await.unwrap_or(false)
}

/// A login, because MySQL accepts connections before its accounts are ready.
async fn mysql(url: &Url) -> bool {
    match MySqlConnection::connect(url.as_str()).await {
        Ok(connection) => connection.close().await.is_ok(),
        Err(_) => false,
    }
}

/// A server that demands a password is as alive as one that greets.
async fn redis(url: &Url) -> bool {
    if url.scheme() == "rediss" {
        return connect(url, Part::Redis).await.is_some();
    }
    let reply = exchange(url, Part::Redis, b"PING\r\n").await;
    matches!(reply.as_deref(), Some([b'+', ..] | [b'-', b'N', b'O', ..]))
}

async fn amqp(url: &Url) -> bool {
    if url.scheme() == "amqps" {
        return connect(url, Part::RabbitMq).await.is_some();
    }
    let reply = exchange(url, Part::RabbitMq, AMQP_HEADER).await;
    matches!(reply.as_deref(), Some([1, ..]))
}

/// Registrations fail until the agent's server has elected itself.
async fn consul(url: &Url) -> bool {
    let Ok(url) = url.join("/v1/status/leader") else {
        return false;
    };
    match client().get(url).send().await {
        Ok(reply) => reply.text().await.is_ok_and(|leader| leader.contains(':')),
        Err(_) => false,
    }
}

/// Whether RabbitMQ's management API accepts the account in the address.
pub(super) async fn management(url: &Url) -> bool {
    let Ok(overview) = url.join("/api/overview") else {
        return false;
    };
    let reply = timeout(PROBE_LIMIT, client().get(overview).send()).await;
    matches!(reply, Ok(Ok(reply)) if reply.status().is_success())
}

/// Never through a proxy: the servers are on this machine or in its network.
fn client() -> reqwest::Client {
    crate::http::client().build().unwrap_or_default()
}

async fn connect(url: &Url, part: Part) -> Option<TcpStream> {
    TcpStream::connect(address::host_port(url, part.usual_port())).await.ok()
}

async fn exchange(url: &Url, part: Part, request: &[u8]) -> Option<Vec<u8>> {
    let mut stream = connect(url, part).await?;
    stream.write_all(request).await.ok()?;
    let mut reply = vec![0; 64];
    let length = stream.read(&mut reply).await.ok()?;
    reply.truncate(length);
    Some(reply)
}
