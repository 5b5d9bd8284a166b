//! Budgets in Redis: one script per lease, one key per budget, so that it runs on a cluster too.

use std::time::Duration;

use async_trait::async_trait;
use chassis::redis::Redis;

use super::{Grant, Key, PermitStore, Quota, SPANS, StoreError, Subject, Unused};

const SCRIPT: &str = include_str!("take.lua");

/// The [`PermitStore`] in Redis.
pub struct RedisPermits {
    redis: Redis,
    script: redis::Script,
}

impl RedisPermits {
    /// Counts in `redis`. Does no I/O: the gateway starts while Redis is away.
    pub fn new(redis: Redis) -> Self {
        Self { redis, script: redis::Script::new(SCRIPT) }
    }

    fn key(&self, key: &Key) -> String {
        let class = key.class.name();
        self.redis.key(&match key.subject {
            Subject::User(id) => format!("quota:{class}:user:{}", id.simple()),
            Subject::Address(address) => format!("quota:{class}:address:{address}"),
        })
    }
}

#[async_trait]
impl PermitStore for RedisPermits {
    async fn take(
        &self,
        key: &Key,
        quota: &Quota,
        unused: Option<Unused>,
    ) -> Result<Grant, StoreError> {
        let mut connection = self.redis.connection();
        let mut call = self.script.prepare_invoke();
        let unused = unused.unwrap_or(Unused { span: 0, permits: 0 });
        call.key(self.key(key)).arg(quota.span_us()).arg(quota.requests).arg(quota.lease);
        call.arg(unused.permits).arg(unused.span).arg(SPANS);
        let answer = call.invoke_async(&mut connection);
        let answer = tokio::time::timeout(self.redis.timeout(), answer).await;
        let answer = answer.map_err(|elapsed| StoreError(elapsed.into()))?;
        let (granted, remaining, reset_us, retry_us, span, left_us) =
            answer.map_err(|error: redis::RedisError| StoreError(error.into()))?;
        Ok(Grant {
            granted,
            remaining,
            reset: Duration::from_micros(reset_us),
            retry_after: Duration::from_micros(retry_us),
            span,
            valid_for: Duration::from_micros(left_us),
        })
    }
}
