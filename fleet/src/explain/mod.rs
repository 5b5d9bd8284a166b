//! What a service is configured with: each key with its value, where that comes from, and what the
//! service's own documentation says about it.
//!
//! The service's binary tells values and origins (`--explain-config`), because it alone knows how
//! its layers are put together; it tells no secret.

mod defaults;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value;
use tokio::process::Command;

use self::defaults::Documented;
use crate::layout::Layout;
use crate::process::Records;
use crate::services::{Profile, Service};
use crate::ui;

/// A binary that only reads its configuration takes milliseconds.
const LIMIT: Duration = Duration::from_secs(10);
/// How the binary calls a value that nobody has set.
const DEFAULT: &str = "compiled-in default";

/// What the binary tells of one key.
#[derive(Clone, Debug, Deserialize)]
struct Told {
    key: String,
    #[serde(default)]
    value: Value,
    hidden_characters: Option<usize>,
    origin: String,
}

/// The configuration of a service.
#[derive(Debug)]
pub struct Configuration {
    service: &'static Service,
    told: Vec<Told>,
    documented: BTreeMap<String, Documented>,
    /// Why the service would not start with it.
    pub refusal: Option<String>,
}

/// Asks the binary of a service with these variables in its environment.
pub async fn ask(
    layout: &Layout,
    service: &'static Service,
    variables: &[(String, String)],
) -> Result<Configuration> {
    let program = binary(layout, service)?;
    let mut command = Command::new(&program);
    let command = command
        .arg("--explain-config")
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .current_dir(layout.root())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let shown = program.display();
    let output = tokio::time::timeout(LIMIT, command.output()).await;
    let output = output.with_context(|| format!("{shown} does not answer"))?;
    let output = output.with_context(|| format!("{shown} cannot be run"))?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if output.stdout.is_empty() {
        bail!("{shown} explains nothing: {said}");
    }
    let told = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("{shown} cannot be understood; build it anew"))?;
    let refusal = (!output.status.success()).then_some(said);
    Ok(Configuration { service, told, documented: documentation(layout.root(), service)?, refusal })
}

/// The one that runs, else the one that was built last.
fn binary(layout: &Layout, service: &Service) -> Result<PathBuf> {
    let records = Records::new(layout.records()).list()?;
    let running = records.into_iter().find(|record| record.name == service.name);
    let built = [Profile::Debug, Profile::Release]
        .map(|profile| layout.binaries(profile).join(service.name));
    let modified = |path: &PathBuf| path.metadata().and_then(|it| it.modified()).ok();
    let newest = built.into_iter().filter(|path| path.is_file()).max_by_key(modified);
    let found = running.map(|record| record.program).filter(|path| path.is_file()).or(newest);
    let name = service.name;
    found.with_context(|| format!("{name} is not built; run cargo build -p {name}"))
}

fn documentation(root: &Path, service: &Service) -> Result<BTreeMap<String, Documented>> {
    let file = root.join(service.name).join("config/default.toml");
    let text = std::fs::read_to_string(&file);
    Ok(defaults::parse(&text.with_context(|| format!("{} cannot be read", file.display()))?))
}

impl Configuration {
    /// One key, or all of a section; everything where none is named.
    pub fn render(&self, wanted: Option<&str>) -> Result<String> {
        let is_wanted = |key: &str| {
            wanted.is_none_or(|wanted| {
                key.strip_prefix(wanted)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            })
        };
        let found: Vec<String> =
            self.told.iter().filter(|told| is_wanted(&told.key)).map(|it| self.entry(it)).collect();
        if found.is_empty() {
            bail!("{}", self.unknown(wanted.unwrap_or_default()));
        }
        Ok(found.join("\n"))
    }

    fn entry(&self, told: &Told) -> String {
        let documented = self.documented.get(&told.key);
        let meaning = match documented {
            Some(Documented { comment, kind, .. }) if comment.is_empty() => (*kind).to_owned(),
            Some(Documented { comment, kind, .. }) => format!("{kind}: {comment}"),
            None => "not in the defaults".to_owned(),
        };
        let (key, origin) = (ui::printable(&told.key), self.origin(told, documented));
        format!("{key} = {}\n    {meaning}\n    from {origin}\n", value(told))
    }

    /// Where a value comes from; one that was set, with the default that it overrides.
    fn origin(&self, told: &Told, documented: Option<&Documented>) -> String {
        let line =
            documented.map(|it| format!("{}/config/default.toml:{}", self.service.name, it.line));
        match line {
            Some(line) if told.origin == DEFAULT => line,
            Some(line) if told.hidden_characters.is_some() => {
                format!("{}, over {line}", told.origin)
            }
            Some(line) => {
                let default = documented.map(|it| it.default.as_str()).unwrap_or_default();
                format!("{}, over {default} of {line}", told.origin)
            }
            None => told.origin.clone(),
        }
    }

    fn unknown(&self, wanted: &str) -> String {
        let name = self.service.name;
        let sections: Vec<&str> =
            self.told.iter().map(|told| told.key.split('.').next().unwrap_or_default()).collect();
        let section = wanted.split('.').next().unwrap_or_default();
        if sections.contains(&section) && wanted.contains('.') {
            return format!(
                "{name} has no key {wanted}; cargo ehub config explain {name} {section}"
            );
        }
        let sections: std::collections::BTreeSet<&str> = sections.into_iter().collect();
        let sections = sections.into_iter().collect::<Vec<_>>().join(", ");
        format!("{name} has no key {wanted}; its sections are {sections}")
    }
}

fn value(told: &Told) -> String {
    match told.hidden_characters {
        Some(length) => format!("(set, {length} characters, not shown)"),
        None => ui::printable(&told.value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configuration() -> Configuration {
        let told = serde_json::json!([
            {"key": "amqp.url", "value": "", "origin": DEFAULT},
            {"key": "database.url", "hidden_characters": 24,
             "origin": "file /run/url, named by environment variable EH_ORDER__DATABASE__URL_FILE"},
            {"key": "server.drain", "value": "5", "origin": "environment variable EH_ORDER__SERVER__DRAIN"},
            {"key": "server.wrong", "hidden_characters": 1, "origin": "file x.toml"},
        ]);
        Configuration {
            service: Service::find("order-service").unwrap(),
            told: serde_json::from_value(told).unwrap(),
            documented: defaults::parse(
                "[server]\ndrain = 9 # how long\n[database]\nurl = \"x\"\n[amqp]\nurl = \"\"\n",
            ),
            refusal: None,
        }
    }

    #[test]
    fn a_key_is_told_with_value_meaning_and_origin() {
        let configuration = configuration();
        assert_eq!(
            configuration.render(Some("server.drain")).unwrap(),
            "server.drain = \"5\"\n    whole number: how long\n    \
             from environment variable EH_ORDER__SERVER__DRAIN, over 9 of order-service/config/default.toml:2\n"
        );
        let secret = configuration.render(Some("database")).unwrap();
        assert!(secret.starts_with("database.url = (set, 24 characters, not shown)\n"), "{secret}");
        assert!(
            secret.contains("from file /run/url") && secret.contains("default.toml:4"),
            "{secret}"
        );
        let default = configuration.render(Some("amqp.url")).unwrap();
        assert!(default.ends_with("from order-service/config/default.toml:6\n"), "{default}");
        assert!(
            configuration.render(Some("server.wrong")).unwrap().contains("not in the defaults")
        );
        assert_eq!(configuration.render(None).unwrap().matches("    from ").count(), 4);
    }

    #[test]
    fn of_what_is_hidden_the_default_is_hidden_too() {
        assert_eq!(
            configuration().render(Some("database.url")).unwrap(),
            "database.url = (set, 24 characters, not shown)\n    text\n    \
             from file /run/url, named by environment variable EH_ORDER__DATABASE__URL_FILE, \
             over order-service/config/default.toml:4\n"
        );
    }

    #[test]
    fn a_key_that_is_not_there_is_refused_with_those_that_are() {
        let refusal = |wanted| configuration().render(Some(wanted)).unwrap_err().to_string();
        assert!(refusal("serve").contains("its sections are amqp, database, server"));
        assert!(refusal("server.dra").contains("explain order-service server"));
    }
}
