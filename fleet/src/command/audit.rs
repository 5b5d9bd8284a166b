//! `ehub audit`: reads what a fleet has stored and names every broken promise.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};

use crate::audit::seals::Keys;
use crate::audit::{self, Provider, Sources, metrics};
use crate::layout::Layout;
use crate::local::AdministratorAddresses;
use crate::ui;

/// What the audit answers when it could not look, or could not pass on what it saw.
const COULD_NOT_LOOK: u8 = 2;

/// Options of `audit`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Database server with an account that may read every schema; by default that of the fleet
    /// that `up` has started
    #[arg(long, value_name = "URL")]
    mysql: Option<String>,
    /// File with that address: whoever is on this machine can read the arguments of a command
    #[arg(long, value_name = "FILE", conflicts_with = "mysql")]
    mysql_file: Option<PathBuf>,
    /// What stands before the names of the schemas
    #[arg(long, default_value = "hub_")]
    prefix: String,
    /// Management API of the broker with its account; by default that of the local fleet
    #[arg(long, value_name = "URL")]
    management: Option<String>,
    /// Name space of the fleet in the broker
    #[arg(long, default_value = "enterprisehub")]
    namespace: String,
    /// Base address of a payment provider whose ledger is compared, instead of the simulated one
    #[arg(long, value_name = "URL", requires = "provider_key_file")]
    provider: Option<String>,
    /// File with the provider's API key
    #[arg(long, value_name = "FILE")]
    provider_key_file: Option<PathBuf>,
    /// File with the provider's charges, one JSON object in a line
    #[arg(long, value_name = "FILE", conflicts_with = "provider")]
    provider_ledger: Option<PathBuf>,
    /// History of client calls, one JSON object in a line; see docs/AUDIT.md
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
    /// Pieces of a product that were put on sale in all; may be repeated
    #[arg(long = "stock", value_name = "SKU=PIECES", value_parser = parse_stock)]
    stock: Vec<(String, u64)>,
    /// Dead letters that were planted on purpose
    #[arg(long, default_value_t = 0)]
    planted: u64,
    /// Seconds that what is under way is given before it counts as stuck; with --settle 0, else 60
    #[arg(long, value_name = "SECONDS")]
    grace: Option<u64>,
    /// Waits until the fleet is quiet, at most this many seconds
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "60")]
    settle: Option<u64>,
    /// File with the keys that the audit log is sealed with, one in a line, older ones included; by
    /// default those of development for the fleet that `up` has started
    #[arg(long, value_name = "FILE")]
    audit_key_file: Option<PathBuf>,
    /// Time in RFC 3339 from which on a change must have its row in the audit log; by default, since
    /// its schema has one
    #[arg(long, value_name = "TIME")]
    audit_since: Option<DateTime<Utc>>,
    /// Prints the report as JSON
    #[arg(long)]
    json: bool,
    /// Writes what was found as metrics, for the textfile collector of the node exporter; the name has
    /// to end in .prom
    #[arg(long, value_name = "FILE", value_parser = metrics::parse_file)]
    metrics: Option<PathBuf>,
}

pub(super) async fn run(args: &Args) -> Result<ExitCode> {
    let report = match look(args).await {
        Ok(report) => report,
        Err(error) => {
            ui::error_line(&format!("error: the audit could not look: {error:#}"));
            return Ok(ExitCode::from(COULD_NOT_LOOK));
        }
    };
    if args.json {
        ui::line(&serde_json::to_string_pretty(&report)?);
    } else {
        ui::line(&report.to_string());
    }
    let is_passed_on = pass_on(&report, args.metrics.as_deref());
    Ok(match (report.is_clean(), is_passed_on) {
        (false, _) => ExitCode::FAILURE,
        (true, false) => ExitCode::from(COULD_NOT_LOOK),
        (true, true) => ExitCode::SUCCESS,
    })
}

/// Whether what was found is where somebody collects it, if anybody does.
fn pass_on(report: &audit::Report, file: Option<&Path>) -> bool {
    let Some(file) = file else { return true };
    let written = metrics::write(report, file);
    if let Err(error) = &written {
        ui::error_line(&format!("error: {error:#}"));
    }
    written.is_ok()
}

async fn look(args: &Args) -> Result<audit::Report> {
    audit::run(&sources(args)?).await
}

fn sources(args: &Args) -> Result<Sources> {
    let named = args.management.clone();
    let (mysql, management, ledger) = if let Some(url) = mysql(args)? {
        (url, named, Provider::Simulated)
    } else {
        let local = AdministratorAddresses::load(&Layout::discover()?)?;
        let ledger = local.ledger();
        (local.mysql, named.or(local.amqp_management), ledger)
    };
    let default_grace = if args.settle.is_some() { 0 } else { 60 };
    Ok(Sources {
        mysql,
        prefix: args.prefix.clone(),
        provider: provider(args)?.unwrap_or(ledger),
        management,
        namespace: args.namespace.clone(),
        history: args.history.clone(),
        stock: args.stock.iter().cloned().collect::<BTreeMap<_, _>>(),
        planted: args.planted,
        grace: Duration::from_secs(args.grace.unwrap_or(default_grace)),
        settle: args.settle.map(Duration::from_secs),
        audit_keys: audit_keys(args)?,
        audit_since: args.audit_since,
    })
}

/// The database server that the arguments name.
fn mysql(args: &Args) -> Result<Option<String>> {
    let Some(file) = &args.mysql_file else { return Ok(args.mysql.clone()) };
    let text = std::fs::read_to_string(file).context("the address of MySQL cannot be read")?;
    Ok(Some(text.trim().to_owned()))
}

/// What the audit log is sealed with.
fn audit_keys(args: &Args) -> Result<Keys> {
    match &args.audit_key_file {
        Some(file) => {
            let text = std::fs::read_to_string(file).context("the audit keys cannot be read")?;
            Ok(Keys::new(text.lines()))
        }
        None if args.mysql.is_none() && args.mysql_file.is_none() => {
            Keys::of_development(&Layout::discover()?)
        }
        None => Ok(Keys::default()),
    }
}

/// The ledger that the arguments name.
fn provider(args: &Args) -> Result<Option<Provider>> {
    if let Some(file) = &args.provider_ledger {
        return Ok(Some(Provider::File(file.clone())));
    }
    let (Some(url), Some(file)) = (&args.provider, &args.provider_key_file) else {
        return Ok(None);
    };
    let key = std::fs::read_to_string(file).context("the provider's key cannot be read")?;
    Ok(Some(Provider::Http { url: url.clone(), api_key: key.trim().to_owned() }))
}

fn parse_stock(text: &str) -> Result<(String, u64), String> {
    let (sku, pieces) = text.split_once('=').ok_or("expected SKU=PIECES")?;
    let pieces = pieces.parse().map_err(|_| "the pieces are not a number".to_owned())?;
    Ok((sku.to_owned(), pieces))
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, FromArgMatches as _};

    use super::*;

    fn parsed(words: &[&str]) -> Args {
        let command = Args::augment_args(clap::Command::new("audit"));
        let words = std::iter::once("audit").chain(words.iter().copied());
        Args::from_arg_matches(&command.try_get_matches_from(words).unwrap()).unwrap()
    }

    #[test]
    fn an_address_may_be_in_a_file() {
        let name = format!("ehub-audit-address-{:016x}", rand::random::<u64>());
        let file = std::env::temp_dir().join(name);
        let args = parsed(&["--mysql-file", file.to_str().unwrap()]);
        assert!(mysql(&args).unwrap_err().to_string().contains("cannot be read"));
        std::fs::write(&file, "mysql://audit@db\n").unwrap();
        assert_eq!(mysql(&args).unwrap().as_deref(), Some("mysql://audit@db"));
        std::fs::remove_file(&file).unwrap();
        let args = parsed(&["--mysql", "mysql://db"]);
        assert_eq!(mysql(&args).unwrap().as_deref(), Some("mysql://db"));
        assert_eq!(mysql(&parsed(&[])).unwrap(), None);
    }

    #[test]
    fn what_cannot_be_passed_on_is_no_clean_audit() {
        let report = audit::Report::default();
        assert!(pass_on(&report, None));
        assert!(!pass_on(&report, Some(Path::new("/nowhere/at/all/audit.prom"))));
    }

    #[test]
    fn stock_is_a_product_and_a_number() {
        assert_eq!(parse_stock("TEA-001=10"), Ok(("TEA-001".to_owned(), 10)));
        assert!(parse_stock("TEA-001").is_err() && parse_stock("TEA-001=many").is_err());
    }
}
