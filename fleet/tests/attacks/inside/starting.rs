//! Programs that must not start.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use chassis::config::{Profile, Sources};
use fleet::credentials::Credentials;
use fleet::layout::Layout;
use fleet::services::Service;

use super::wire::Inside;
use crate::support::stage::Stage;

/// A secret as a generator makes it, of 32 bytes.
const STRONG: &str = "Vb4uPqf0sYx1mCe8ZkTg3nRwJh6dLa7Q";

/// Secrets that are not set by default, because what they are for is off: weak ones are refused too.
const SWITCHED_OFF: [&str; 4] =
    ["bootstrap.admin_password", "discovery.token", "mail.smtp.password", "provider.api_key"];

/// The exit code of a configuration that is refused.
const EX_USAGE: i32 = 64;

/// A program with a configuration fit for production; only whether that is so is asked.
struct Program {
    service: &'static Service,
    settings: Vec<(String, String)>,
}

impl Program {
    fn new(service: &'static Service, credentials: &Credentials) -> Result<Self> {
        let mut program = Self { service, settings: Vec::new() };
        let text = |path: std::path::PathBuf| path.display().to_string();
        program.set("TLS__CERTIFICATE_PATH", &text(credentials.certificate(service.name)));
        program.set("TLS__KEY_PATH", &text(credentials.key(service.name)));
        program.set("TLS__CA_PATH", &text(credentials.ca(service.name)));
        for (end, file) in credentials.event_variables(service.name) {
            program.set(&end, &text(file));
        }
        if let Some(schema) = service.schema {
            program.set("DATABASE__URL", &format!("mysql://{schema}:{STRONG}@db:3306/{schema}"));
            program.set("AMQP__URL", &format!("amqps://hub:{STRONG}@mq:5671/%2f"));
        }
        // The key that signs events is a file of its own.
        let files = credentials.event_variables(service.name);
        let is_file =
            |end: &str| files.iter().any(|(file, _)| file.strip_suffix("_FILE") == Some(end));
        for secret in secrets(service)?.iter().filter(|secret| secret.is_needed) {
            if !is_file(&secret.end) {
                program.set(&secret.end, STRONG);
            }
        }
        if service.name == "notify-service" {
            program.set("MAIL__MODE", "smtp");
            program.set("MAIL__SMTP__HOST", "mx.example");
            program.set("MAIL__VERIFICATION_PAGE", "https://hub.example/verify-email");
            program.set("MAIL__RECOVERY_PAGE", "https://hub.example/recover-password");
        }
        if has_redis(service)? {
            program.set("REDIS__URL", &format!("rediss://:{STRONG}@cache:6379/0"));
        }
        Ok(program)
    }

    /// Sets a value in place of the one that there is, be it in a file.
    fn set(&mut self, end: &str, value: &str) {
        self.remove(end);
        self.settings.push((format!("{}__{end}", self.service.variable), value.to_owned()));
    }

    fn remove(&mut self, end: &str) {
        let name = format!("{}__{end}", self.service.variable);
        let file = format!("{name}_FILE");
        self.settings.retain(|(known, _)| *known != name && *known != file);
    }

    fn copy(&self) -> Self {
        Self { service: self.service, settings: self.settings.clone() }
    }

    fn with(&self, end: &str, value: &str) -> Result<Output> {
        let mut program = self.copy();
        program.set(end, value);
        program.check(&["--check-config"])
    }

    fn without(&self, end: &str) -> Result<Output> {
        let mut program = self.copy();
        program.remove(end);
        program.check(&["--check-config"])
    }

    fn check(&self, arguments: &[&str]) -> Result<Output> {
        let own = std::env::current_exe()?;
        let folder = own.parent().and_then(|deps| deps.parent()).context("no target folder")?;
        let mut command = Command::new(folder.join(self.service.name));
        command.env_clear().env("EH_PROFILE", "production").args(arguments);
        let output = command.envs(self.settings.iter().cloned()).output();
        output.with_context(|| format!("{} is not built", self.service.name))
    }
}

/// A key of a service that is a secret by its name.
struct KeyOfSecret {
    /// Its path, such as `paging.secret`.
    path: String,
    /// The end of its variable, such as `PAGING__SECRET`.
    end: String,
    /// Whether nobody starts without: what is empty in the defaults is switched off that way.
    is_needed: bool,
}

/// The defaults of a service, which are its documentation too.
fn defaults(service: &Service) -> Result<String> {
    let file = Layout::discover()?.root().join(service.name).join("config/default.toml");
    std::fs::read_to_string(&file).with_context(|| file.display().to_string())
}

fn has_redis(service: &Service) -> Result<bool> {
    Ok(defaults(service)?.lines().any(|line| line.starts_with("[redis]")))
}

/// Every secret of a service, so that one that is new is attacked as well.
fn secrets(service: &Service) -> Result<Vec<KeyOfSecret>> {
    let text = defaults(service)?;
    let table: toml::Value = toml::Value::Table(text.parse()?);
    let sources = Sources {
        prefix: service.variable.to_owned(),
        defaults: text,
        former: &[],
        profile: Profile::Production,
        folder: None,
        environment: BTreeMap::new(),
    };
    let key = |path: String| {
        let value = path.split('.').try_fold(&table, |node, key| node.get(key));
        let is_empty = match value {
            Some(toml::Value::String(text)) => text.is_empty(),
            Some(toml::Value::Array(all)) => all.is_empty(),
            _ => true,
        };
        let end = path.replace('.', "__").to_uppercase();
        KeyOfSecret { path, end, is_needed: !is_empty }
    };
    let secrets: Vec<_> = sources.secret_paths()?.into_iter().map(key).collect();
    ensure!(!secrets.is_empty(), "{} has no secret", service.name);
    Ok(secrets)
}

/// Checks that a start was refused, for this key, without a word of what was given.
fn refused(output: &Output, key: &str, given: &str) -> Result<()> {
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(EX_USAGE), "{key}: {:?}, {said}", output.status);
    ensure!(said.contains(key), "{said} does not name {key}");
    let printed = [&output.stdout[..], &output.stderr[..]].concat();
    let printed = String::from_utf8_lossy(&printed).into_owned();
    ensure!(given.is_empty() || !printed.contains(given), "{key} is repeated");
    ensure!(!printed.contains(STRONG), "{printed}");
    Ok(())
}

pub(super) async fn a134_default_accounts_of_servers(stage: &Stage) -> Result<()> {
    let inside = Inside::of(stage).await?;
    for service in Service::ALL {
        let program = Program::new(service, &inside.credentials)?;
        let control = program.check(&["--check-config"])?;
        let said = String::from_utf8_lossy(&control.stderr);
        ensure!(control.status.success(), "{}: {said}", service.name);
        let mut weak = Vec::new();
        if let Some(schema) = service.schema {
            weak.extend([
                ("DATABASE__URL", format!("mysql://root:{STRONG}@db:3306/{schema}")),
                ("DATABASE__URL", format!("mysql://{schema}:@db:3306/{schema}")),
                ("DATABASE__URL", format!("mysql://{schema}@db:3306/{schema}")),
                ("DATABASE__URL", format!("mysql://{schema}:{schema}@db:3306/{schema}")),
                ("DATABASE__URL", format!("mysql://{schema}:Short7pw@db:3306/{schema}")),
                ("AMQP__URL", "amqp://guest:guest@mq:5672/%2f".to_owned()),
                ("AMQP__URL", format!("amqp://guest:{STRONG}@mq:5672/%2f")),
                ("AMQP__URL", "amqp://mq:5672/%2f".to_owned()),
            ]);
        }
        if has_redis(service)? {
            weak.extend([
                ("REDIS__URL", "redis://cache:6379".to_owned()),
                ("REDIS__URL", "redis://:Short7pw@cache:6379".to_owned()),
                // None at all: each process would count guesses and requests by itself.
                ("REDIS__URL", String::new()),
            ]);
        }
        for (end, address) in weak {
            let key = end.replace("__", ".").to_lowercase();
            refused(&program.with(end, &address)?, &key, &address)?;
        }
        // Plain text to the others is none of a server, but as open.
        refused(&program.with("TLS__CERTIFICATE_PATH", "")?, "tls.certificate_path", "")?;
        for mode in ["allow", "prefer"] {
            refused(&program.with("TLS__MODE", mode)?, "tls.plain_text_until", "")?;
        }
    }
    Ok(())
}

pub(super) async fn a135_missing_default_and_short_secrets(stage: &Stage) -> Result<()> {
    let inside = Inside::of(stage).await?;
    let (short, known) = ("Q7rT2xW9", "development-only-0123456789abcdef-0123456789");
    let mut tried = BTreeSet::new();
    for service in Service::ALL {
        let program = Program::new(service, &inside.credentials)?;
        for KeyOfSecret { path, end, is_needed } in secrets(service)? {
            refused(&program.with(&end, short)?, &path, short)?;
            refused(&program.with(&end, known)?, &path, known)?;
            if is_needed {
                refused(&program.without(&end)?, &path, "development-only")?;
                refused(&program.with(&end, "")?, &path, "")?;
            }
            tried.insert(path);
        }
    }
    for path in SWITCHED_OFF {
        ensure!(tried.contains(path), "{path} is not among {tried:?}");
    }
    a_provider_that_is_asked_needs_a_key(&inside.credentials)?;
    for service in Service::ALL {
        let program = Program::new(service, &inside.credentials)?;
        let output = program.check(&[&format!("--password={short}")])?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.code() == Some(EX_USAGE), "{said}");
        ensure!(!said.contains(short), "an argument is repeated: {said}");
    }
    nothing_of_the_environment(stage).await
}

/// Whoever takes payments over HTTP proves who asks.
fn a_provider_that_is_asked_needs_a_key(credentials: &Credentials) -> Result<()> {
    let service = Service::find("payment-service").context("no such service")?;
    let mut program = Program::new(service, credentials)?;
    program.set("PROVIDER__KIND", "http");
    program.set("PROVIDER__URL", "https://api.provider.example");
    refused(&program.without("PROVIDER__API_KEY")?, "provider.api_key", "")?;
    let control = program.with("PROVIDER__API_KEY", STRONG)?;
    let said = String::from_utf8_lossy(&control.stderr);
    ensure!(control.status.success(), "{said}");
    Ok(())
}

/// The internal ports tell nothing of what a process was started with.
async fn nothing_of_the_environment(stage: &Stage) -> Result<()> {
    let client = fleet::http::client().build()?;
    let mut fleet = stage.fleet.lock().await;
    for service in Service::ALL {
        let base = fleet.internal_url(service.name, 0)?;
        for path in ["/env", "/debug", "/debug/vars", "/config", "/configprops", "/actuator/env"] {
            let reply = client.get(format!("{base}{path}")).send().await?;
            ensure!(reply.status().as_u16() == 404, "{base}{path}: {}", reply.status());
        }
        let metrics = client.get(format!("{base}/metrics")).send().await?.text().await?;
        ensure!(!metrics.contains("development-only"), "{}", service.name);
    }
    Ok(())
}
