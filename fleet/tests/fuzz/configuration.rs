//! Configurations: the text of a file, and variables of the environment.

use std::collections::BTreeMap;

use chassis::config::{Profile, Sources};
use chassis::run::Service as _;
use order_service::{App, Config};

use crate::engine::{Target, fuzz};

const CANARY: &str = "canary-0123456789abcdef0123456789abcdef";

/// Variables, one a line, and below a line of three dashes a text in place of the defaults.
fn sources(input: &str) -> Sources {
    let (variables, defaults) = input.split_once("\n---\n").unwrap_or((input, App::DEFAULTS));
    let pairs = variables.lines().filter_map(|line| line.split_once('='));
    // A `_FILE` would be opened, and an input may name a device that never ends.
    let pairs = pairs.filter(|(name, _)| !name.ends_with("_FILE"));
    let mut environment: BTreeMap<String, String> =
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    environment.insert(format!("{}__PAGING__SECRET", App::ENV_PREFIX), CANARY.to_owned());
    Sources {
        prefix: App::ENV_PREFIX.to_owned(),
        defaults: defaults.to_owned(),
        profile: if input.len().is_multiple_of(2) {
            Profile::Development
        } else {
            Profile::Production
        },
        folder: None,
        environment,
        former: App::FORMER_KEYS,
    }
}

/// The message without what it quotes: that would make every refusal a new one.
fn reason(message: &str) -> String {
    message.split(['`', '"']).step_by(2).collect::<String>().chars().take(80).collect()
}

/// A refusal never repeats a secret, and nor does the `Debug` of what is accepted.
#[test]
fn a140_configurations() {
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
        "EVENTS__TRUSTED__PAYMENT_SERVICE=",
        "true",
        "[1, 2]",
        "{ a = 1 }",
    ];
    fuzz(&Target { name: "configuration", words: &words, seeds: vec![] }, |input| {
        let text = String::from_utf8_lossy(input);
        match sources(&text).load::<Config>() {
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
