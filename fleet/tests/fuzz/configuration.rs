//! Configurations: the text of a file, and variables of the environment.

use std::collections::BTreeMap;
use std::fmt::Debug;

use chassis::config::{Profile, Sources};
use chassis::run::Service;

use crate::engine::{Target, fuzz};

const CANARY: &str = "canary-0123456789abcdef0123456789abcdef";

/// What the corpus and the words call every service.
const PREFIX: &str = "EH_ORDER";

/// Variables, one a line, and below a line of three dashes a text in place of the defaults. The
/// canary is in the variable `secret`, behind what has to be in front of it.
fn sources<S: Service>(input: &str, (secret, front): (&str, &str)) -> Sources {
    let input = input.replace(PREFIX, S::ENV_PREFIX);
    let (variables, defaults) =
        input.split_once("\n---\n").unwrap_or((input.as_str(), S::DEFAULTS));
    let pairs = variables.lines().filter_map(|line| line.split_once('='));
    // A `_FILE` would be opened, and an input may name a device that never ends.
    let pairs = pairs.filter(|(name, _)| !name.ends_with("_FILE"));
    let mut environment: BTreeMap<String, String> =
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    environment.insert(format!("{}__{secret}", S::ENV_PREFIX), format!("{front}{CANARY}"));
    Sources {
        prefix: S::ENV_PREFIX.to_owned(),
        defaults: defaults.to_owned(),
        profile: if input.len().is_multiple_of(2) {
            Profile::Development
        } else {
            Profile::Production
        },
        folder: None,
        environment,
        former: S::FORMER_KEYS,
    }
}

/// The message without what it quotes: that would make every refusal a new one.
fn reason(message: &str) -> String {
    message.split(['`', '"']).step_by(2).collect::<String>().chars().take(80).collect()
}

/// A refusal never repeats a secret, and nor does the `Debug` of what is accepted.
fn configurations<S: Service<Config: Debug>>(secret: (&str, &str)) {
    let words = [
        "EH_ORDER__",
        "__",
        "SERVER__LISTEN=",
        "DATABASE__URL=mysql://a:b@c/d",
        "[server]",
        "[[x]]",
        "= ",
        "\n",
        "\n---\n",
        "\"",
        "'''",
        "#",
        "PAGING=1",
        "[paging]\nsecret = 1\n",
        "paging = 3\n",
        "AUDIT=1",
        "REDIS=1",
        "EVENTS__TRUSTED__PAYMENT_SERVICE=",
        "true",
        "[1, 2]",
        "{ a = 1 }",
    ];
    let seeds = vec![format!("x=y\n---\n{}", S::DEFAULTS).into_bytes()];
    fuzz(&Target { name: "configuration", words: &words, seeds }, |input| {
        let text = String::from_utf8_lossy(input);
        match sources::<S>(&text, secret).load::<S::Config>() {
            Ok(config) => {
                assert!(!format!("{config:?}").contains(CANARY), "shown by Debug");
                "accepted".to_owned()
            }
            Err(error) => {
                let message = format!("{error} {error:?}");
                assert!(!message.contains(CANARY), "{message} repeats a secret");
                reason(&error.to_string())
            }
        }
    });
}

#[test]
fn a140_configurations_of_the_gateway() {
    configurations::<gateway_service::App>(("REDIS__URL", "redis://hub:"));
}

#[test]
fn a140_configurations_of_user_service() {
    configurations::<user_service::App>(("AUDIT__KEY", ""));
}

#[test]
fn a140_configurations_of_auth_service() {
    configurations::<auth_service::App>(("KEYS__SEALING_KEYS", ""));
}

#[test]
fn a140_configurations_of_order_service() {
    configurations::<order_service::App>(("PAGING__SECRET", ""));
}

#[test]
fn a140_configurations_of_payment_service() {
    configurations::<payment_service::App>(("CALLBACK__KEYS", ""));
}

#[test]
fn a140_configurations_of_notify_service() {
    configurations::<notify_service::App>(("AUDIT__KEY", ""));
}
