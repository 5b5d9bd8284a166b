//! `ehub keys`: the signing keys of the running fleet.

use std::process::ExitCode;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::administrator::Administrator;
use crate::ui;

/// Options of `keys`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    administrator: Administrator,
}

#[derive(Clone, Copy, Debug, clap::Subcommand)]
enum Action {
    /// Shows every published key
    List,
    /// Publishes the next key, which signs once every service knows it
    Rotate {
        /// Sign with the new key at once and withdraw all others: every access token issued before is
        /// worthless. For a key that somebody else may have
        #[arg(long)]
        withdraw_others: bool,
    },
}

pub(super) async fn run(args: &Args) -> Result<ExitCode> {
    let admin = args.administrator.login().await?;
    let keys = match args.action {
        Action::List => admin.get("/api/v1/admin/keys").await?.require(200)?,
        Action::Rotate { withdraw_others } => {
            let body = json!({"withdraw_others": withdraw_others});
            admin.post("/api/v1/admin/keys/rotate", &body).await?.require(200)?
        }
    };
    for key in keys["items"].as_array().context("no keys in the answer")? {
        ui::line(&line(key));
    }
    Ok(ExitCode::SUCCESS)
}

fn line(key: &Value) -> String {
    let text = |member: &str| key[member].as_str().unwrap_or("-").to_owned();
    format!(
        "{:<8} {}  signs from {}  published until {}",
        text("state"),
        text("kid"),
        text("signs_from"),
        text("published_until")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_one_line() {
        let key = json!({"kid": "k", "state": "SIGNING", "signs_from": "2026-01-02T03:04:05.006Z",
            "published_until": null});
        let expected = "SIGNING  k  signs from 2026-01-02T03:04:05.006Z  published until -";
        assert_eq!(line(&key), expected);
    }
}
