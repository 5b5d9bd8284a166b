//! The connection pool and what each new session is told.

use std::str::FromStr;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use sqlx::mysql::{
    MySql, MySqlConnectOptions, MySqlConnection, MySqlPool, MySqlPoolOptions, MySqlQueryResult,
    MySqlRow, MySqlStatement, MySqlTypeInfo,
};
use sqlx::{ConnectOptions, Connection, Either, Execute, Executor, SqlStr};

use super::error::deadline_exceeded;
use super::lease::Lease;
use super::usage::Usage;
use crate::config::DatabaseConfig;
use crate::grpc::context;

/// A pool of connections to one schema; clones share it.
///
/// `&Pool` executes single statements, each bounded by the statement timeout and the deadline of
/// the call. It deliberately offers no bare connection: whoever holds one can wait for ever on a
/// server that went silent. See [`transaction`](super::transaction) and
/// [`session`](super::session) for more than one statement.
#[derive(Clone, Debug)]
pub struct Pool {
    inner: MySqlPool,
    statement_timeout: Duration,
    usage: Usage,
}

/// Opens a pool without connecting yet; the first statements do.
pub fn connect(config: &DatabaseConfig) -> Result<Pool, sqlx::Error> {
    let statement_timeout = config.statement_timeout();
    let idle_ping = config.idle_ping();
    let inner = MySqlPoolOptions::new()
        .max_connections(config.max_connections)
        .acquire_timeout(config.acquire_timeout())
        // A ping per acquire would be a round trip per statement; only a connection that rested
        // may have been closed by the server or a firewall meanwhile.
        .test_before_acquire(false)
        .before_acquire(move |connection, meta| {
            Box::pin(async move {
                if meta.idle_for >= idle_ping {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .after_connect(move |connection, _| Box::pin(prepare_session(connection, statement_timeout)))
        .connect_lazy_with(connect_options(config)?);
    let usage = Usage::new(config.max_connections);
    Ok(Pool { inner, statement_timeout, usage })
}

/// Reads the URL; statements are not logged, because their values are personal data.
pub(super) fn connect_options(config: &DatabaseConfig) -> Result<MySqlConnectOptions, sqlx::Error> {
    Ok(MySqlConnectOptions::from_str(config.url.expose())?.disable_statement_logging())
}

/// Sets isolation, the language of messages, and server-side time limits, which are named
/// differently by the two servers.
///
/// They end what a caller has already given up; the caller itself is freed by the client side.
async fn prepare_session(
    connection: &mut MySqlConnection,
    statement_timeout: Duration,
) -> Result<(), sqlx::Error> {
    let version: String =
        sqlx::query_scalar("SELECT VERSION()").fetch_one(&mut *connection).await?;
    let limits = session_limits(&version, statement_timeout);
    sqlx::raw_sql("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
        .execute(&mut *connection)
        .await?;
    sqlx::raw_sql(sqlx::AssertSqlSafe(limits)).execute(connection).await?;
    Ok(())
}

/// Writes the limits for the server whose version is `version`, and the language in which
/// [`violated_key`](super::violated_key) reads its messages, whatever the server's own is.
///
/// A lock wait ends first (whole seconds, at least one), so that it is reported as such and can be
/// retried. MySQL's `max_execution_time` covers SELECT only; there is nothing for writes.
fn session_limits(version: &str, statement_timeout: Duration) -> String {
    let lock_wait = (statement_timeout.as_secs() / 2).max(1);
    let limit = if version.contains("MariaDB") {
        format!("max_statement_time = {:.3}", statement_timeout.as_secs_f64())
    } else {
        format!("max_execution_time = {}", statement_timeout.as_millis())
    };
    format!("SET SESSION {limit}, innodb_lock_wait_timeout = {lock_wait}, lc_messages = 'en_US'")
}

impl Pool {
    /// Checks that a connection can be had and answers.
    pub async fn ping(&self) -> Result<(), sqlx::Error> {
        sqlx::query("SELECT 1").execute(self).await.map(|_| ())
    }

    /// Takes a connection out of the pool for good; its session is prepared like every other.
    ///
    /// For work that is bound to one session, such as holding a named lock.
    pub async fn dedicated(&self) -> Result<MySqlConnection, sqlx::Error> {
        Ok(self.inner.acquire().await?.detach())
    }

    /// Closes the pool: statements that run end, new ones are refused.
    pub async fn close(&self) {
        self.inner.close().await;
    }

    /// Awaits a statement on a [`dedicated`](Self::dedicated) connection within the limits of this
    /// pool. After a timeout that connection is out of step and must be dropped.
    pub(crate) async fn bound<T>(
        &self,
        statement: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, sqlx::Error> {
        self.limit()?.bound(statement).await.flatten()
    }

    /// Shows how many connections there are and what they do.
    pub(crate) fn sample(&self) {
        self.usage.sample(self.inner.size(), self.inner.num_idle());
    }

    /// Borrows a connection, within the acquire timeout and the call's deadline, and says how long
    /// what runs on it may take. That is counted when the connection is there: waiting for it takes
    /// time, and no statement may be sent when none is left.
    pub(super) async fn lease(&self) -> Result<(Lease, Limit), sqlx::Error> {
        self.limit()?;
        let patience = context::remaining().unwrap_or(Duration::MAX);
        let began = Instant::now();
        let acquired = tokio::time::timeout(patience, self.inner.acquire()).await;
        let acquired = acquired.map_err(|_| deadline_exceeded()).flatten();
        self.usage.acquired(began.elapsed(), &acquired);
        let connection = acquired?;
        let limit = self.limit()?;
        Ok((Lease::new(connection, self.statement_timeout), limit))
    }

    /// How long what starts now may take: the timeout, or less if the call's deadline is nearer.
    fn limit(&self) -> Result<Limit, sqlx::Error> {
        Limit::new(self.statement_timeout, context::remaining())
    }
}

/// A bound on waiting that remembers whose bound it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    duration: Duration,
    by_deadline: bool,
}

impl Limit {
    fn new(timeout: Duration, remaining: Option<Duration>) -> Result<Self, sqlx::Error> {
        match remaining {
            Some(left) if left.is_zero() => Err(deadline_exceeded()),
            Some(left) if left < timeout => Ok(Self { duration: left, by_deadline: true }),
            _ => Ok(Self { duration: timeout, by_deadline: false }),
        }
    }

    /// Awaits `work` no longer than this; what is given up leaves its connection unusable.
    pub(super) async fn bound<T>(self, work: impl Future<Output = T>) -> Result<T, sqlx::Error> {
        tokio::time::timeout(self.duration, work).await.map_err(|_| {
            if self.by_deadline { deadline_exceeded() } else { super::error::statement_timeout() }
        })
    }
}

type Step = Either<MySqlQueryResult, MySqlRow>;

impl<'p> Executor<'p> for &'_ Pool {
    type Database = MySql;

    /// Runs the statement to its end before it yields: results of a service are pages, and a
    /// stream that a caller may leave half read could not be bounded.
    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Step, sqlx::Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, MySql>,
    {
        let pool = self.clone();
        let steps = async move {
            let (mut lease, limit) = pool.lease().await?;
            let answer = limit.bound(lease.fetch_many(query).try_collect::<Vec<_>>()).await;
            lease.settle(answer.flatten())
        };
        stream::once(steps)
            .map_ok(|steps| stream::iter(steps.into_iter().map(Ok)))
            .try_flatten()
            .boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxFuture<'e, Result<Option<MySqlRow>, sqlx::Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, MySql>,
    {
        let pool = self.clone();
        Box::pin(async move {
            let (mut lease, limit) = pool.lease().await?;
            let answer = limit.bound(lease.fetch_optional(query)).await;
            lease.settle(answer.flatten())
        })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [MySqlTypeInfo],
    ) -> BoxFuture<'e, Result<MySqlStatement, sqlx::Error>>
    where
        'p: 'e,
    {
        let pool = self.clone();
        Box::pin(async move {
            let (mut lease, limit) = pool.lease().await?;
            let answer = limit.bound(lease.prepare_with(sql, parameters)).await;
            lease.settle(answer.flatten())
        })
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<sqlx::Describe<MySql>, sqlx::Error>>
    where
        'p: 'e,
    {
        let pool = self.clone();
        Box::pin(async move {
            let (mut lease, limit) = pool.lease().await?;
            let answer = limit.bound(lease.describe(sql)).await;
            lease.settle(answer.flatten())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_server_gets_limits_in_its_own_words() {
        let timeout = Duration::from_millis(2500);
        assert_eq!(
            session_limits("10.11.6-MariaDB-0+deb12u1", timeout),
            "SET SESSION max_statement_time = 2.500, innodb_lock_wait_timeout = 1, \
             lc_messages = 'en_US'"
        );
        assert_eq!(
            session_limits("8.4.3", timeout),
            "SET SESSION max_execution_time = 2500, innodb_lock_wait_timeout = 1, \
             lc_messages = 'en_US'"
        );
    }

    #[test]
    fn the_nearer_bound_wins() {
        let timeout = Duration::from_secs(2);
        let far = Limit::new(timeout, Some(Duration::from_secs(5))).unwrap();
        assert!(!far.by_deadline);
        let near = Limit::new(timeout, Some(Duration::from_secs(1))).unwrap();
        assert!(near.by_deadline);
        assert_eq!(near.duration, Duration::from_secs(1));
        assert!(Limit::new(timeout, Some(Duration::ZERO)).is_err());
    }
}
