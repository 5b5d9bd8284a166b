//! What a fleet still has to do until it has come to rest.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::Result;
use sqlx::{AssertSqlSafe, Connection, MySqlConnection};

use super::broker;
use super::provider::Provider;
use crate::harness::Fleet;

const PAUSE: Duration = Duration::from_millis(200);

/// What is counted in whose schema.
const COUNTS: [(&str, &str, &str); 10] = [
    (
        "order-service",
        "open payment attempts",
        "SELECT COUNT(*) FROM payment_attempts WHERE open_order_id IS NOT NULL",
    ),
    ("order-service", "refunds under way", "SELECT COUNT(*) FROM refunds WHERE done_at IS NULL"),
    ("order-service", "orders REFUNDING", "SELECT COUNT(*) FROM orders WHERE status = 'REFUNDING'"),
    ("order-service", "events of orders to publish", "SELECT COUNT(*) FROM outbox"),
    (
        "payment-service",
        "undecided payments",
        "SELECT COUNT(*) FROM payments WHERE status IN ('INITIATED', 'PENDING')",
    ),
    (
        "payment-service",
        "payments REFUNDING",
        "SELECT COUNT(*) FROM payments WHERE status = 'REFUNDING'",
    ),
    ("payment-service", "events of payments to publish", "SELECT COUNT(*) FROM outbox"),
    ("user-service", "events of users to publish", "SELECT COUNT(*) FROM outbox"),
    ("auth-service", "events of sessions to publish", "SELECT COUNT(*) FROM outbox"),
    (
        "order-service",
        "calls without an answer",
        "SELECT COUNT(*) FROM idempotency_claims WHERE answer IS NULL AND payment_id IS NULL",
    ),
];

/// What will still happen without being asked for: their time runs out.
const UNPAID: (&str, &str, &str) = (
    "order-service",
    "unpaid orders",
    "SELECT COUNT(*) FROM orders WHERE status IN ('CREATED', 'PAYMENT_FAILED')",
);

/// What is left to do, by name; empty when the fleet is at rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing(pub Vec<(String, u64)>);

impl Standing {
    /// Looks at the schemas, the queues and the provider.
    pub async fn of(fleet: &Fleet, provider: Option<&Provider>) -> Result<Self> {
        let mut left = count(fleet, &COUNTS).await?;
        let waiting = broker::waiting(fleet).await?.into_iter();
        left.extend(waiting.map(|(queue, count)| (format!("messages to {queue}"), count)));
        if let Some(provider) = provider {
            left.push((
                "callbacks of the provider".to_owned(),
                provider.pending_callbacks().await?,
            ));
        }
        left.retain(|(_, count)| *count > 0);
        Ok(Self(left))
    }

    /// Waits until nothing is left; returns how long that took, or what is left at the limit.
    pub async fn settle(
        fleet: &Fleet,
        provider: Option<&Provider>,
        limit: Duration,
    ) -> Result<Result<Duration, Self>> {
        until_empty(limit, || Self::of(fleet, provider)).await
    }

    /// Waits until a fleet at rest stays so: an order that expires while it is judged would be
    /// found with its notice still under way.
    pub async fn end(
        fleet: &Fleet,
        provider: Option<&Provider>,
        limit: Duration,
    ) -> Result<Result<Duration, Self>> {
        let all = || async {
            let mut left = count(fleet, &[UNPAID]).await?;
            left.extend(Self::of(fleet, provider).await?.0);
            Ok(Self(left))
        };
        until_empty(limit, all).await
    }
}

/// Counts in the schemas of services; rows of one service that follow each other share a connection.
async fn count(fleet: &Fleet, what: &[(&str, &str, &str)]) -> Result<Vec<(String, u64)>> {
    let mut left = Vec::new();
    let mut connection: Option<(&str, MySqlConnection)> = None;
    for (service, what, sql) in what.iter().copied() {
        let mut open = match connection.take() {
            Some((owner, open)) if owner == service => open,
            _ => fleet.database(service).await?,
        };
        let count: i64 = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut open).await?;
        left.push((what.to_owned(), u64::try_from(count).unwrap_or_default()));
        connection = Some((service, open));
    }
    if let Some((_, open)) = connection {
        open.close().await?;
    }
    left.retain(|(_, count)| *count > 0);
    Ok(left)
}

async fn until_empty<F, Fut>(limit: Duration, look: F) -> Result<Result<Duration, Standing>>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<Standing>>,
{
    let start = Instant::now();
    loop {
        let standing = look().await?;
        if standing.0.is_empty() {
            return Ok(Ok(start.elapsed()));
        }
        if start.elapsed() > limit {
            return Ok(Err(standing));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let left: Vec<String> =
            self.0.iter().map(|(what, count)| format!("{count} {what}")).collect();
        f.write_str(&left.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn left(count: u64) -> Standing {
        let left = [("orders".to_owned(), count), ("events".to_owned(), 1)];
        Standing(left.into_iter().filter(|_| count > 0).collect())
    }

    #[tokio::test(start_paused = true)]
    async fn a_fleet_is_at_rest_when_nothing_is_left() {
        let looks = Cell::new(3);
        let look = || async {
            looks.set(looks.get() - 1);
            Ok(left(looks.get()))
        };
        assert!(until_empty(Duration::from_mins(1), look).await.unwrap().is_ok());
        assert_eq!(looks.get(), 0, "it was looked at until then, and not longer");
    }

    #[tokio::test]
    async fn what_is_left_at_the_limit_is_told() {
        let outcome = until_empty(Duration::ZERO, || async { Ok(left(2)) }).await.unwrap();
        assert_eq!(outcome.unwrap_err().to_string(), "2 orders, 1 events");
        let failed = until_empty(Duration::ZERO, || async { anyhow::bail!("no database") });
        assert!(failed.await.is_err(), "not to be able to look is not to be at rest");
    }
}
