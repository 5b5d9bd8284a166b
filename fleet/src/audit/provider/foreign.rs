//! Reading the ledger of a provider outside the fleet: page by page over HTTP, or from a file.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use uuid::Uuid;

use super::{Charge, Provider, Standing};

const PAGE: u32 = 1_000;
const PAGE_LIMIT: Duration = Duration::from_secs(10);

/// A charge as the provider's API gives it.
#[derive(Deserialize)]
struct Listed {
    reference: Uuid,
    provider_reference: String,
    amount: i64,
    currency: String,
    status: Status,
    #[serde(default)]
    refunds: Vec<Refund>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Pending,
    Captured,
    Declined,
}

#[derive(Deserialize)]
struct Refund {
    refund_id: Uuid,
    amount: i64,
}

#[derive(Deserialize)]
struct Page {
    charges: Vec<Listed>,
    next: Option<String>,
}

impl From<Listed> for Charge {
    fn from(listed: Listed) -> Self {
        Self {
            reference: listed.reference,
            provider_reference: Some(listed.provider_reference),
            amount: listed.amount,
            currency: listed.currency,
            standing: match listed.status {
                Status::Pending => Standing::Pending,
                Status::Captured => Standing::Captured,
                Status::Declined => Standing::Declined,
            },
            refunds: listed.refunds.into_iter().map(|one| (one.refund_id, one.amount)).collect(),
        }
    }
}

/// The whole ledger; `None` when the provider is simulated and its ledger in our own schema.
pub(in crate::audit) async fn read(provider: &Provider) -> Result<Option<Vec<Charge>>> {
    match provider {
        Provider::Simulated => Ok(None),
        Provider::Http { url, api_key } => pages(url, api_key).await.map(Some),
        Provider::File(path) => file(path).map(Some),
    }
}

async fn pages(url: &str, api_key: &str) -> Result<Vec<Charge>> {
    let client = crate::http::client().timeout(PAGE_LIMIT).build()?;
    let base = format!("{}/v1/charges", url.trim_end_matches('/'));
    let (mut charges, mut after) = (Vec::new(), None::<String>);
    loop {
        let mut request = client.get(&base).bearer_auth(api_key).query(&[("limit", PAGE)]);
        if let Some(after) = &after {
            request = request.query(&[("after", after)]);
        }
        let reply = request.send().await.and_then(reqwest::Response::error_for_status);
        let page: Page =
            reply.context("the provider does not answer")?.json().await.context("no ledger")?;
        charges.extend(page.charges.into_iter().map(Charge::from));
        match page.next {
            None => return Ok(charges),
            // A cursor that does not move would be followed for ever.
            next if next == after => bail!("the provider's ledger does not go on after {after:?}"),
            next => after = next,
        }
    }
}

fn file(path: &Path) -> Result<Vec<Charge>> {
    let name = path.display();
    let lines = BufReader::new(File::open(path).with_context(|| format!("{name}"))?).lines();
    let mut order = Vec::new();
    let mut charges: HashMap<String, Charge> = HashMap::new();
    for (number, line) in (1..).zip(lines) {
        let line = line.with_context(|| format!("{name}"))?;
        if line.trim().is_empty() {
            continue;
        }
        let listed: Listed = serde_json::from_str(&line)
            .with_context(|| format!("{name}: line {number} is not a charge"))?;
        let key = listed.provider_reference.clone();
        if charges.insert(key.clone(), listed.into()).is_none() {
            order.push(key);
        }
    }
    Ok(order.iter().filter_map(|key| charges.remove(key)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_of_a_charge_counts() {
        let path = std::env::temp_dir().join(format!("ehub-ledger-{}", std::process::id()));
        let line = |status: &str| {
            format!(
                "{{\"reference\":\"{}\",\"provider_reference\":\"ch_1\",\"amount\":5,\
                 \"currency\":\"CNY\",\"status\":\"{status}\",\"refunds\":[]}}\n",
                Uuid::nil()
            )
        };
        std::fs::write(&path, line("pending") + "\n" + &line("captured")).unwrap();
        let charges = file(&path).unwrap();
        assert_eq!(charges.len(), 1);
        assert_eq!(charges[0].standing, Standing::Captured);
        std::fs::write(&path, line("pending") + "{").unwrap();
        assert!(format!("{:#}", file(&path).unwrap_err()).contains("line 2"));
        std::fs::remove_file(path).unwrap();
    }
}
