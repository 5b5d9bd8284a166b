//! A borrowed connection that only goes back to the pool when it is known to be in step.

use std::error::Error;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use sqlx::mysql::{MySql, MySqlConnection};
use sqlx::pool::PoolConnection;

use super::error::spoils_connection;

/// A connection out of the pool. Dropped without [`settle`](Self::settle) or
/// [`give_back`](Self::give_back) it is closed: the caller left in the middle of something, and
/// the server rolls back what was open.
#[derive(Debug)]
pub(super) struct Lease {
    connection: PoolConnection<MySql>,
    return_limit: Duration,
}

impl Lease {
    pub(super) fn new(mut connection: PoolConnection<MySql>, return_limit: Duration) -> Self {
        connection.close_on_drop();
        Self { connection, return_limit }
    }

    /// Gives the connection back unless `answer` says that it is broken.
    pub(super) fn settle<T, E>(self, answer: Result<T, E>) -> Result<T, E>
    where
        E: Error + 'static,
    {
        if !answer.as_ref().is_err_and(|error| spoils_connection(error)) {
            self.give_back();
        }
        answer
    }

    /// Gives the connection back.
    ///
    /// The pool pings on return and would wait without limit for a server gone silent, the place
    /// in the pool taken all the while; hence the timeout.
    #[expect(
        clippy::disallowed_methods,
        reason = "bounded work of the pool itself, which no shutdown has to wait for"
    )]
    pub(super) fn give_back(mut self) {
        let returning = self.connection.return_to_pool();
        tokio::spawn(tokio::time::timeout(self.return_limit, returning));
    }
}

impl Deref for Lease {
    type Target = MySqlConnection;

    fn deref(&self) -> &Self::Target {
        &self.connection
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.connection
    }
}
