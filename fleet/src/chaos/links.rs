//! The fleet's links as acts name them: proxies, Redis, the provider, and a client with locks.

use std::time::Duration;

use anyhow::{Context, Result};
use sqlx::{Connection, MySqlConnection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::act::{Does, Link};
use crate::address;
use crate::harness::{self, Fleet};
use crate::services::Service;

/// How long a side door may take: a server that another fault holds up answers to nobody.
const LIMIT: Duration = Duration::from_secs(2);

/// Every link that an act may name in this fleet; those of the sandbox provider exist with it.
pub fn all(fleet: &Fleet) -> Vec<Link> {
    let services = || Service::ALL.iter().map(|service| service.name);
    let stores = Service::ALL.iter().filter(|one| one.schema.is_some()).map(|one| one.name);
    let called = services().filter(|name| *name != Service::GATEWAY);
    let amqp = stores.clone().map(Link::Amqp);
    let links = stores.map(Link::Mysql).chain(amqp).chain(called.map(Link::Grpc));
    let of_provider = fleet.provider().map(|_| [Link::Provider, Link::Callbacks]);
    let links = links.chain(of_provider.into_iter().flatten());
    links.chain([Link::Redis, Link::Consul]).collect()
}

/// Makes a link do something.
pub fn set(fleet: &Fleet, link: Link, does: Does) -> Result<()> {
    for one in proxied(fleet, link) {
        fleet.proxy(one)?.set_mode(does.mode());
    }
    Ok(())
}

/// Waits until a link refuses or takes connections, as it was told.
pub async fn settled(fleet: &Fleet, link: Link) -> Result<()> {
    for one in proxied(fleet, link) {
        fleet.proxy(one)?.settled().await.with_context(|| format!("{link:?}"))?;
    }
    Ok(())
}

/// The proxies that a link is made of.
fn proxied(fleet: &Fleet, link: Link) -> Vec<harness::Link> {
    let each = |service: &str| 0..fleet.replica_count(service);
    match link {
        Link::Mysql(service) => vec![harness::Link::Mysql(service)],
        Link::Amqp(service) => vec![harness::Link::Amqp(service)],
        Link::Redis => vec![harness::Link::Redis],
        Link::Consul => vec![harness::Link::Consul],
        Link::Provider => vec![harness::Link::Provider],
        Link::Callbacks => each(Service::GATEWAY).map(harness::Link::Callbacks).collect(),
        Link::Grpc(service) => {
            each(service).map(|replica| harness::Link::Grpc(service, replica)).collect()
        }
    }
}

/// Makes Redis forget everything.
pub async fn flush_redis(fleet: &Fleet) -> Result<()> {
    let url = address::parse(&fleet.addresses().redis, &["redis"])?;
    let (host, port) = (url.host_str().unwrap_or("127.0.0.1"), url.port().unwrap_or(6379));
    let flush = async {
        let mut stream = TcpStream::connect((host, port)).await?;
        stream.write_all(b"FLUSHALL\r\n").await?;
        let mut reply = [0; 5];
        stream.read_exact(&mut reply).await?;
        anyhow::ensure!(&reply == b"+OK\r\n", "Redis did not flush");
        Ok(())
    };
    timeout(LIMIT, flush).await?
}

/// Lets the time of an unpaid order run out at once, instead of waiting for it.
pub async fn make_overdue(fleet: &Fleet, order: &str) -> Result<()> {
    let id = uuid::Uuid::parse_str(order)?;
    let mut connection = fleet.database("order-service").await?;
    let changed = sqlx::query("UPDATE orders SET expires_at = UTC_TIMESTAMP(6) WHERE id = ?")
        .bind(id)
        .execute(&mut connection)
        .await?;
    anyhow::ensure!(changed.rows_affected() == 1, "there is no order {order}");
    Ok(connection.close().await?)
}

/// A transaction that has locked every product.
#[derive(Debug)]
pub struct Lock {
    connection: MySqlConnection,
}

/// Locks every product, as a report or a careless person would.
pub async fn lock_products(fleet: &Fleet) -> Result<Lock> {
    let lock = async {
        let mut connection = fleet.database("order-service").await?;
        sqlx::query("SET SESSION innodb_lock_wait_timeout = 1").execute(&mut connection).await?;
        sqlx::query("START TRANSACTION").execute(&mut connection).await?;
        sqlx::query("SELECT sku FROM products FOR UPDATE").fetch_all(&mut connection).await?;
        anyhow::Ok(Lock { connection })
    };
    timeout(LIMIT, lock).await.context("no lock in time")?
}

impl Lock {
    /// Keeps the lock for a while and lets go.
    pub async fn hold(mut self, time: Duration) -> Result<()> {
        tokio::time::sleep(time).await;
        let end = async {
            sqlx::query("ROLLBACK").execute(&mut self.connection).await?;
            self.connection.close().await
        };
        Ok(timeout(LIMIT, end).await.context("the lock ends with its connection")??)
    }
}
