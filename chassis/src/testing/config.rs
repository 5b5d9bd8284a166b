//! The configuration of a service under test.

use std::fmt::Debug;

use crate::config::{BaseConfig as _, Profile, Sources};
use crate::run::Service;

/// The shipped defaults of `S` with `settings` on top, each named as in the environment without
/// the service's prefix: `("SERVER__REQUEST_TIMEOUT_MS", "30000")`. Of equal names the last one
/// counts. The environment itself is not looked at.
///
/// # Panics
///
/// When the service refuses the settings.
#[expect(clippy::panic, reason = "a test cannot go on with settings that are refused")]
pub fn defaults_with<'s, S: Service>(
    settings: impl IntoIterator<Item = (&'s str, &'s str)>,
) -> S::Config {
    let sources = sources::<S>(settings);
    sources.load().unwrap_or_else(|error| panic!("{}: {error}", S::NAME))
}

/// Why `S` refuses to start with `settings` on top of its defaults; empty if it does not.
///
/// # Panics
///
/// When the settings cannot even be read.
pub fn refusal<'s, S: Service>(settings: impl IntoIterator<Item = (&'s str, &'s str)>) -> String {
    let refused = defaults_with::<S>(settings).validate(Profile::Development).err();
    refused.map(|error| error.to_string()).unwrap_or_default()
}

/// The secrets of `S` that the `Debug` form of its configuration shows: names of variables without
/// the service's prefix. Every key that is a secret by its name is set, and the password of every
/// server's address.
///
/// # Panics
///
/// When the service refuses the settings, or has no secret at all: then none would be looked for.
#[expect(clippy::panic, reason = "a test cannot go on with settings that are refused")]
pub fn secrets_shown<S: Service<Config: Debug>>() -> Vec<String> {
    let defaults = sources::<S>([]);
    let paths = defaults.secret_paths().unwrap_or_else(|error| panic!("{}: {error}", S::NAME));
    let mut secrets: Vec<(String, String)> =
        paths.iter().enumerate().map(|(n, path)| (variable(path), canary(n))).collect();
    let servers = [("database", "mysql"), ("amqp", "amqp"), ("redis", "redis")];
    for (n, (section, scheme)) in servers.into_iter().enumerate() {
        if S::DEFAULTS.lines().any(|line| line.starts_with(&format!("[{section}]"))) {
            let address = format!("{scheme}://hub:{}@127.0.0.1/hub", canary(100 + n));
            secrets.push((variable(&format!("{section}.url")), address));
        }
    }
    assert!(!secrets.is_empty(), "{} has no secret", S::NAME);
    let settings = secrets.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let config = defaults_with::<S>(settings);
    shown(&format!("{config:?} {config:#?}"), &secrets)
}

/// The names of the secrets whose canaries are in a text.
fn shown(text: &str, secrets: &[(String, String)]) -> Vec<String> {
    let canary_of = |value: &str| {
        let start = value.find(CANARY).unwrap_or_default();
        value[start..].chars().take(CANARY.len() + 4).collect::<String>()
    };
    let is_shown = |(_, value): &&(String, String)| text.contains(&canary_of(value));
    secrets.iter().filter(is_shown).map(|(key, _)| key.clone()).collect()
}

/// How every made-up secret begins: long enough to be one.
const CANARY: &str = "canary-Vb4uPqf0sYx1mCe8ZkTg3nRwJh6d-";

fn canary(number: usize) -> String {
    format!("{CANARY}{number:04}")
}

/// `callback.keys` as in the environment.
fn variable(path: &str) -> String {
    path.replace('.', "__").to_uppercase()
}

fn sources<'s, S: Service>(settings: impl IntoIterator<Item = (&'s str, &'s str)>) -> Sources {
    let variable = |(key, value): (&str, &str)| (format!("{}__{key}", S::ENV_PREFIX), value.into());
    Sources {
        prefix: S::ENV_PREFIX.to_owned(),
        defaults: S::DEFAULTS.to_owned(),
        former: S::FORMER_KEYS,
        profile: Profile::Development,
        folder: None,
        environment: settings.into_iter().map(variable).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_is_shown_is_named() {
        let pair = |key: &str, value: String| (key.to_owned(), value);
        let secrets = [
            pair("A__KEY", canary(1)),
            pair("B__URL", format!("mysql://hub:{}@db/hub", canary(2))),
            pair("C__KEY", canary(3)),
        ];
        let text = format!("Config {{ a: {:?}, b: {:?}, c: *** }}", secrets[0].1, secrets[1].1);
        assert_eq!(shown(&text, &secrets), ["A__KEY", "B__URL"]);
        assert_eq!(variable("callback.keys"), "CALLBACK__KEYS");
    }
}
