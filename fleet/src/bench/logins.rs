//! How long refused logins take: of accounts that are there, and of those that are not.
//!
//! Both walk through the same memory (`eh_password_work_kib_total`, which a test holds); whatever else
//! tells them apart shows here.

use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::json;

use super::samples::{Samples, milliseconds};
use crate::harness::Api;
use crate::harness::api::new_email;

/// The password of the account that is there.
const PASSWORD: &str = "a-customers-long-password";
/// Tries of each kind before any counts: connections are made, and pages are read.
const WARM_UP: usize = 5;

/// What refused logins took.
#[derive(Clone, Debug, Default)]
pub struct Logins {
    /// Of an account that is there.
    pub known: Samples,
    /// Of accounts that are not.
    pub unknown: Samples,
}

impl Logins {
    /// How far the medians lie apart, in percent of the one of accounts that are there.
    pub fn difference_percent(&self) -> f64 {
        self.unknown.difference_percent(&self.known)
    }

    /// As a table.
    pub fn rows(&self) -> Vec<Vec<String>> {
        let head = ["account", "tries", "median", "p95", "difference"].map(str::to_owned);
        let row = |name: &str, samples: &Samples, difference: String| {
            let [median, p95] = [50, 95].map(|percent| milliseconds(samples.percentile(percent)));
            vec![name.to_owned(), samples.count().to_string(), median, p95, difference]
        };
        vec![
            head.to_vec(),
            row("known", &self.known, String::new()),
            row("unknown", &self.unknown, format!("{:+.1} %", self.difference_percent())),
        ]
    }
}

/// Tries a wrong password so many times with an account that is there, and with as many that are not.
pub async fn measure(visitor: &Api, tries: usize) -> Result<Logins> {
    let known = new_email();
    visitor.register(&known, PASSWORD, "Customer").await?.require(201)?;
    for _ in 0..WARM_UP {
        refused_login(visitor, &known).await?;
        refused_login(visitor, &new_email()).await?;
    }
    let mut logins = Logins::default();
    for n in 0..tries {
        // One after the other, the other one first each time: what disturbs the machine disturbs both
        // alike.
        for is_known in [n % 2 == 0, n % 2 == 1] {
            let email = if is_known { known.clone() } else { new_email() };
            let taken = refused_login(visitor, &email).await?;
            let samples = if is_known { &mut logins.known } else { &mut logins.unknown };
            samples.add(taken);
        }
    }
    Ok(logins)
}

async fn refused_login(visitor: &Api, email: &str) -> Result<Duration> {
    let body = json!({"email": email, "password": "a wrong password"});
    let reply = visitor.post("/api/v1/auth/login", &body).await?;
    match reply.status {
        401 => Ok(reply.elapsed),
        429 => bail!(
            "wrong passwords are slowed down here ({}): leave --url out, or set \
             EH_AUTH__THROTTLE__{{ACCOUNT,ADDRESS,SPRAYING}}__FREE and \
             EH_GATEWAY__RATE_LIMITS__LOGIN__REQUESTS to {} where the fleet starts",
            reply.code(),
            super::UNLIMITED
        ),
        status => bail!("a wrong password was answered by {status}: {}", reply.body),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_tells_medians_and_how_far_they_lie_apart() {
        let of = |milliseconds: u64| (0..4).map(|_| Duration::from_millis(milliseconds)).collect();
        let logins = Logins { known: of(20), unknown: of(19) };
        let [_, known, unknown] = logins.rows().try_into().unwrap();
        assert_eq!(known, ["known", "4", "20.00 ms", "20.00 ms", ""]);
        assert_eq!(unknown, ["unknown", "4", "19.00 ms", "19.00 ms", "-5.0 %"]);
    }
}
