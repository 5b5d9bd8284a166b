//! Adapter: attempts in Redis, one script per step, one key per meter, so that it runs on a cluster
//! too. A key expires when everything that it counts is forgotten.

use std::time::Duration;

use ::redis::{FromRedisValue, RedisError, Script, ScriptInvocation};
use async_trait::async_trait;

use super::{Admission, AttemptStore, MEMBERS_MAX, Meter, StoreError, Ticket};
use crate::redis::Redis;

const BEGIN: &str = include_str!("begin.lua");
const TAKE_BACK: &str = include_str!("take_back.lua");
const CLEAR: &str = "return redis.call('DEL', KEYS[1])";

/// Counts attempts in Redis, together with every other process that does.
pub struct RedisAttempts {
    redis: Redis,
    begin: Script,
    take_back: Script,
    clear: Script,
}

impl RedisAttempts {
    /// Counts in `redis`. Does no I/O: a service starts while Redis is away.
    pub fn new(redis: Redis) -> Self {
        let [begin, take_back, clear] = [BEGIN, TAKE_BACK, CLEAR].map(Script::new);
        Self { redis, begin, take_back, clear }
    }

    fn prepare<'a>(&self, script: &'a Script, meter: &Meter) -> ScriptInvocation<'a> {
        let mut call = script.prepare_invoke();
        call.key(self.redis.key(&format!("throttle:{}", meter.key)));
        call
    }

    async fn ask<T: FromRedisValue>(&self, call: ScriptInvocation<'_>) -> Result<T, StoreError> {
        let mut connection = self.redis.connection();
        let answer = call.invoke_async(&mut connection);
        let answer = tokio::time::timeout(self.redis.timeout(), answer).await;
        let answer = answer.map_err(|elapsed| StoreError(elapsed.into()))?;
        answer.map_err(|error: RedisError| StoreError(error.into()))
    }
}

#[async_trait]
impl AttemptStore for RedisAttempts {
    async fn begin(&self, meter: &Meter) -> Result<Admission, StoreError> {
        let mut call = self.prepare(&self.begin, meter);
        let rule = &meter.rule;
        call.arg(rule.free).arg(micros(rule.pause)).arg(micros(rule.pause_max));
        call.arg(micros(rule.forget).max(1)).arg(member(meter)).arg(MEMBERS_MAX);
        let (admitted, counted, pause_until, left): (u8, u8, u64, u64) = self.ask(call).await?;
        if admitted == 0 {
            return Ok(Admission::Refused { retry_after: Duration::from_micros(left) });
        }
        let is_counted = counted == 1;
        Ok(Admission::Admitted(Ticket { is_counted, pause_until, is_shared: true }))
    }

    async fn take_back(&self, meter: &Meter, ticket: &Ticket) -> Result<(), StoreError> {
        if !ticket.is_counted {
            return Ok(());
        }
        let mut call = self.prepare(&self.take_back, meter);
        call.arg(ticket.pause_until).arg(member(meter));
        self.ask(call).await.map(|_: i64| ())
    }

    async fn clear(&self, meter: &Meter) -> Result<(), StoreError> {
        let call = self.prepare(&self.clear, meter);
        self.ask(call).await.map(|_: i64| ())
    }
}

fn member(meter: &Meter) -> String {
    meter.member.map(|member| format!("{member:016x}")).unwrap_or_default()
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
