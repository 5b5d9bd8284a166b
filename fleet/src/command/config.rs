//! `ehub config`: what a service is configured with, and where each value comes from.

use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::layout::Layout;
use crate::services::Service;
use crate::{explain, local, ui};

/// Options of `config`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Action {
    /// Tells every key with its value, its origin and its meaning, in the environment that `up` gives the
    /// service; of a secret, only that it is set
    #[command(
        after_help = "The exit code is 1 when the service would refuse to start with it.\n\n\
        Examples:\n  \
        cargo ehub config explain order-service\n  \
        cargo ehub config explain order amqp\n  \
        cargo ehub config explain gateway server.listen --profile production"
    )]
    Explain {
        /// The service; `-service` may be left out
        service: String,
        /// One key, such as server.listen, or a section, such as server
        key: Option<String>,
        /// The profile, instead of that of the environment
        #[arg(long, value_enum)]
        profile: Option<Profile>,
    },
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Profile {
    Development,
    Production,
}

impl Profile {
    fn as_str(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Production => "production",
        }
    }
}

pub(super) async fn run(args: &Args) -> Result<ExitCode> {
    let Action::Explain { service, key, profile } = &args.action;
    let (layout, service) = (Layout::discover()?, find(service)?);
    let given = local::environment(&layout, service)?;
    if given.is_none() {
        ui::error_line("no fleet runs here: what `up` would set is missing, such as addresses");
    }
    let mut variables = given.unwrap_or_default();
    variables.extend(profile.map(|it| ("EH_PROFILE".to_owned(), it.as_str().to_owned())));
    let configuration = explain::ask(&layout, service, &variables).await?;
    ui::line(&configuration.render(key.as_deref())?);
    match &configuration.refusal {
        None => Ok(ExitCode::SUCCESS),
        Some(reason) => {
            ui::error_line(&format!("the service would not start: {reason}"));
            Ok(ExitCode::FAILURE)
        }
    }
}

fn find(name: &str) -> Result<&'static Service> {
    let found = Service::find(name).or_else(|| Service::find(&format!("{name}-service")));
    found.with_context(|| {
        let names: Vec<&str> = Service::ALL.iter().map(|service| service.name).collect();
        format!("there is no service {name:?}; there are {}", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_named_with_or_without_their_ending() {
        for name in ["order", "order-service"] {
            assert_eq!(find(name).unwrap().name, "order-service");
        }
        let error = find("redis").unwrap_err().to_string();
        assert!(error.contains("notify-service"), "{error}");
    }
}
