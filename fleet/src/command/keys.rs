//! `ehub keys`: the signing keys of the running fleet.

use std::process::ExitCode;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::seed::base_url;
use crate::harness::Api;
use crate::{seed, ui};

/// Options of `keys`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
    /// Base address of the API; by default that of the fleet that `up` has started
    #[arg(long, global = true)]
    url: Option<String>,
    /// E-mail address of an administrator; by default the one of the development profile. The password is
    /// taken from EHUB_ADMIN_PASSWORD
    #[arg(long, global = true)]
    email: Option<String>,
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
    let (email, password) = administrator(args.email.as_ref());
    let admin = Api::new(base_url(args.url.as_ref())?)?
        .login(&email, &password)
        .await
        .context("the administrator cannot log in")?;
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

/// Whom to log in as. A password has no place on the command line, where every process can read it.
fn administrator(email: Option<&String>) -> (String, String) {
    let password = crate::environment::find("EHUB_ADMIN_PASSWORD");
    (
        email.map_or_else(|| seed::ADMIN_EMAIL.to_owned(), Clone::clone),
        password.unwrap_or_else(|| seed::ADMIN_PASSWORD.to_owned()),
    )
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
