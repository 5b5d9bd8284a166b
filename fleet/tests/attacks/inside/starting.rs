//! Programs that must not start.

use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use fleet::credentials::Credentials;
use fleet::services::Service;

use super::wire::Inside;
use crate::support::stage::Stage;

/// A secret as a generator makes it, of 32 bytes.
const STRONG: &str = "Vb4uPqf0sYx1mCe8ZkTg3nRwJh6dLa7Q";

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
        for (name, key) in secrets().filter(|(name, _)| *name == service.name) {
            ensure!(name == service.name);
            program.set(key, STRONG);
        }
        if service.name == "notify-service" {
            program.set("MAIL__MODE", "smtp");
            program.set("MAIL__SMTP__HOST", "mx.example");
            program.set("MAIL__VERIFICATION_PAGE", "https://hub.example/verify-email");
            program.set("MAIL__RECOVERY_PAGE", "https://hub.example/recover-password");
        }
        if service.name == Service::GATEWAY {
            program.set("REDIS__URL", &format!("rediss://:{STRONG}@cache:6379/0"));
        }
        Ok(program)
    }

    fn set(&mut self, end: &str, value: &str) {
        let name = format!("{}__{end}", self.service.variable);
        self.settings.retain(|(known, _)| *known != name);
        self.settings.push((name, value.to_owned()));
    }

    fn with(&self, end: &str, value: &str) -> Result<Output> {
        let mut settings = Self { service: self.service, settings: self.settings.clone() };
        settings.set(end, value);
        settings.check(&["--check-config"])
    }

    fn without(&self, end: &str) -> Result<Output> {
        let name = format!("{}__{end}", self.service.variable);
        let mut settings = self.settings.clone();
        settings.retain(|(known, _)| *known != name);
        Self { service: self.service, settings }.check(&["--check-config"])
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

/// The secrets that a service has for itself alone.
fn secrets() -> impl Iterator<Item = (&'static str, &'static str)> {
    [
        ("user-service", "PAGING__SECRET"),
        ("user-service", "MAIL__SEALING_KEY"),
        ("auth-service", "KEYS__SEALING_KEYS"),
        ("order-service", "PAGING__SECRET"),
        ("payment-service", "CALLBACK__KEYS"),
        ("notify-service", "PAGING__SECRET"),
        ("user-service", "AUDIT__KEY"),
        ("auth-service", "AUDIT__KEY"),
        ("order-service", "AUDIT__KEY"),
        ("payment-service", "AUDIT__KEY"),
        ("notify-service", "AUDIT__KEY"),
        ("notify-service", "MAIL__SEALING_KEYS"),
    ]
    .into_iter()
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
        } else {
            weak.extend([
                ("REDIS__URL", "redis://cache:6379".to_owned()),
                ("REDIS__URL", "redis://:Short7pw@cache:6379".to_owned()),
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
    let short = "Q7rT2xW9";
    for (name, end) in secrets() {
        let service = Service::find(name).context("no such service")?;
        let program = Program::new(service, &inside.credentials)?;
        let key = end.replace("__", ".").to_lowercase();
        refused(&program.without(end)?, &key, "development-only")?;
        refused(&program.with(end, "")?, &key, "")?;
        refused(&program.with(end, short)?, &key, short)?;
        let known = "development-only-0123456789abcdef-0123456789";
        refused(&program.with(end, known)?, &key, known)?;
    }
    for name in ["user-service", "auth-service", "order-service", "payment-service"] {
        let service = Service::find(name).context("no such service")?;
        let program = Program::new(service, &inside.credentials)?;
        refused(&program.without("EVENTS__SIGNING_KEY_FILE")?, "events.signing_key", "")?;
    }
    for service in Service::ALL {
        let program = Program::new(service, &inside.credentials)?;
        let output = program.check(&[&format!("--password={short}")])?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.code() == Some(EX_USAGE), "{said}");
        ensure!(!said.contains(short), "an argument is repeated: {said}");
    }
    nothing_of_the_environment(stage).await
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
