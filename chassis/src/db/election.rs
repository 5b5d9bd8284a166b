//! Work for one of all replicas: that which holds a named lock of the schema.

use std::time::Duration;

use sqlx::Connection as _;
use sqlx::mysql::MySqlConnection;

use super::pool::Pool;

/// Idle time after which the server ends a candidate's session, and with it the lock, on top of the
/// time between two looks. An owner that vanished without closing its connection would keep the lock
/// for hours.
const IDLE_LIMIT: Duration = Duration::from_secs(30);

/// A candidate for work that one process of a service does at a time.
///
/// The lock lives as long as the session on a connection of its own, so it is free when the process
/// ends, however it ends. It keeps others from doing the same work, not from doing harm: work that
/// must not be done twice needs a guard of its own.
pub struct Election {
    pool: Pool,
    name: &'static str,
    idle_s: u64,
    session: Option<(MySqlConnection, bool)>,
}

impl Election {
    /// A candidate for the lock `name` of the schema, who stands again every `pace`.
    pub fn new(pool: Pool, name: &'static str, pace: Duration) -> Self {
        let idle_s = (pace + IDLE_LIMIT).as_secs();
        Self { pool, name, idle_s, session: None }
    }

    /// Says whether this process is the one now.
    pub async fn stand(&mut self) -> Result<bool, sqlx::Error> {
        let elected = self.try_stand().await;
        if elected.is_err() {
            // Its state is unknown. The lock ends with it, and the next time stands again.
            self.session = None;
        }
        elected
    }

    /// Lets another one at once.
    pub async fn resign(mut self) {
        if let Some((connection, _)) = self.session.take() {
            // Said goodbye to, the server frees the lock at once; else when it finds out.
            let _ = self.pool.bound(connection.close()).await;
        }
    }

    async fn try_stand(&mut self) -> Result<bool, sqlx::Error> {
        let (connection, elected) = match &mut self.session {
            Some(session) => session,
            empty => {
                let mut connection = self.pool.dedicated().await?;
                let limit = sqlx::query("SET SESSION wait_timeout = ?").bind(self.idle_s);
                self.pool.bound(limit.execute(&mut connection)).await?;
                empty.insert((connection, false))
            }
        };
        if *elected {
            self.pool.bound(connection.ping()).await?;
            return Ok(true);
        }
        // Named locks are server-wide, hence the schema in the name, hashed because names are limited
        // to 64 characters.
        let lock = "SELECT GET_LOCK(CONCAT('eh_', ?, ':', LEFT(SHA2(DATABASE(), 256), 32)), 0)";
        let locked = sqlx::query_scalar::<_, Option<i64>>(lock).bind(self.name);
        *elected = self.pool.bound(locked.fetch_one(connection)).await? == Some(1);
        Ok(*elected)
    }
}
