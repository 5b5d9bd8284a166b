//! Every value of a configuration with where it came from, for people who wonder. No secret.

use ::config::{Value, ValueKind};
use serde::Serialize;

use super::strength::{is_secret, is_secret_name};

/// Sections whose keys are names of services, which are in no documentation.
const BY_SERVICE: [&str; 2] = ["discovery.static", "events.trusted"];

/// Half of an account, which is told of no more than the other half.
const ADMINISTRATOR: &str = "admin_email";

/// One value.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explained {
    /// Dotted path of the key.
    pub key: String,
    /// The value, or what may be told of it.
    #[serde(flatten)]
    pub told: Told,
    /// Where it came from.
    pub origin: String,
}

/// What is told of a value.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Told {
    /// All of it.
    Value(serde_json::Value),
    /// Of a secret, or of what stands under a misspelt key and may be one: its length.
    HiddenCharacters(usize),
}

/// Everything in `merged`, by key; what has no place in `defaults` is hidden.
pub(super) fn explain(defaults: &Value, merged: &Value) -> Vec<Explained> {
    let mut explained = Vec::new();
    collect((Some(defaults), merged), "", "", &mut explained);
    explained.sort_by(|one, other| one.key.cmp(&other.key));
    explained
}

fn collect(
    (default, node): (Option<&Value>, &Value),
    name: &str,
    path: &str,
    explained: &mut Vec<Explained>,
) {
    let ValueKind::Table(table) = &node.kind else {
        let is_value = |default: &Value| !matches!(default.kind, ValueKind::Table(_));
        let is_documented = default.is_some_and(is_value)
            || BY_SERVICE.iter().any(|section| {
                path.strip_prefix(section).is_some_and(|rest| rest.starts_with('.'))
            });
        explained.push(Explained {
            key: path.to_owned(),
            told: told(name, node, is_documented),
            origin: node.origin().unwrap_or("unknown origin").to_owned(),
        });
        return;
    };
    for (key, value) in table {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let default = default.and_then(|default| match &default.kind {
            ValueKind::Table(table) => table.get(key),
            _ => None,
        });
        collect((default, value), key, &path, explained);
    }
}

fn told(name: &str, value: &Value, is_documented: bool) -> Told {
    let length = characters(value);
    let is_private = is_secret_name(name) || name == ADMINISTRATOR || holds_account(name, value);
    if length > 0 && (!is_documented || is_private) {
        return Told::HiddenCharacters(length);
    }
    Told::Value(as_json(value))
}

fn holds_account(name: &str, value: &Value) -> bool {
    match &value.kind {
        // More than a strict reading of addresses finds: a password may hold what ends an authority.
        ValueKind::String(text) => {
            is_secret(name, text)
                || text.to_ascii_lowercase().contains("password=")
                || text.split_once("://").is_some_and(|(_, rest)| rest.contains('@'))
        }
        ValueKind::Array(values) => values.iter().any(|value| holds_account(name, value)),
        _ => false,
    }
}

/// Characters of all texts and numbers in a value.
fn characters(value: &Value) -> usize {
    match &value.kind {
        ValueKind::String(text) => text.chars().count(),
        ValueKind::Array(values) => values.iter().map(characters).sum(),
        ValueKind::Nil | ValueKind::Boolean(_) | ValueKind::Table(_) => 0,
        _ => value.to_string().chars().count(),
    }
}

fn as_json(value: &Value) -> serde_json::Value {
    match &value.kind {
        ValueKind::Nil => serde_json::Value::Null,
        ValueKind::Boolean(value) => (*value).into(),
        ValueKind::I64(value) => (*value).into(),
        ValueKind::U64(value) => (*value).into(),
        ValueKind::Float(value) => (*value).into(),
        ValueKind::String(value) => value.clone().into(),
        ValueKind::Array(values) => values.iter().map(as_json).collect(),
        // TOML has no greater numbers, and tables are taken apart before.
        _ => value.to_string().into(),
    }
}

#[cfg(test)]
mod tests {
    use ::config::{Config, File, FileFormat};
    use serde_json::json;

    use super::*;

    const DEFAULTS: &str = r#"
        [provider]
        url = ""
        urls = []
        from = "Hub <hub@hub.example>"
        timeout_ms = 5000
        ratio = 0.5
        signing_key = ""
        [bootstrap]
        admin_email = ""
        [discovery.static]
        user-service = ["10.0.0.1:50051"]
    "#;

    fn tree(text: &str) -> Value {
        let source = File::from_str(text, FileFormat::Toml);
        Config::builder().add_source(source).build().unwrap().cache
    }

    /// What is told of the one value that is set.
    fn told(text: &str) -> Told {
        let explained = explain(&tree(DEFAULTS), &tree(text));
        let [one] = &explained[..] else { panic!("{text}: {explained:?}") };
        one.told.clone()
    }

    #[test]
    fn numbers_are_hidden_like_texts() {
        for (text, length) in [
            ("[provider]\npin = 4711", 4),
            ("[provider]\npins = [12, 345]", 5),
            ("[provider]\nshare = 0.25", 4),
            ("[provider]\nsigning_key = 12345678", 8),
        ] {
            assert_eq!(told(text), Told::HiddenCharacters(length), "{text}");
        }
        assert_eq!(told("[provider]\ntimeout_ms = 4711"), Told::Value(json!(4711)));
        assert_eq!(told("[provider]\nratio = 0.25"), Told::Value(json!(0.25)));
    }

    #[test]
    fn what_is_a_value_in_one_layer_and_a_section_in_another_is_hidden() {
        for text in [
            "provider = \"hunter2\"",
            "provider = [\"hunter\", \"2\"]",
            "discovery = \"hunter2\"",
            "[discovery]\nstatic = \"hunter2\"",
            "[provider.url]\nhost = \"hunter2\"",
        ] {
            assert_eq!(told(text), Told::HiddenCharacters(7), "{text}");
        }
        let text = "[discovery.static]\norder-service = \"10.0.0.2:1\"";
        assert_eq!(told(text), Told::Value(json!("10.0.0.2:1")), "the key is a service's name");
    }

    #[test]
    fn addresses_with_an_account_are_hidden_whatever_its_password_holds() {
        for address in [
            "mysql://hub:hunter2@db/hub",
            "https://hub:hunter@2@pay.example/",
            "https://hub:hunter/2@pay.example/",
            "https://hub:hunter?2@pay.example/",
            "https://hub:hunter#2@pay.example/",
            "https://hub:hun://ter2@pay.example/",
            "https://hunter2@pay.example/",
            "https://pay.example/?password=hunter2",
            "https://pay.example/?PassWord=hunter2",
        ] {
            let hidden = Told::HiddenCharacters(address.len());
            assert_eq!(told(&format!("[provider]\nurl = \"{address}\"")), hidden, "{address}");
            let list = format!("[provider]\nurls = [\"\", \"{address}\"]");
            assert_eq!(told(&list), hidden, "{address}");
        }
    }

    #[test]
    fn what_is_no_secret_is_told() {
        for text in ["https://pay.example/v1?a=b#c", "10.0.0.1:50051", "", "pay@pay.example"] {
            let value = Told::Value(json!(text));
            assert_eq!(told(&format!("[provider]\nurl = \"{text}\"")), value);
            assert_eq!(told(&format!("[provider]\nfrom = \"{text}\"")), value);
        }
        assert_eq!(told("[provider]\nsigning_key = \"\""), Told::Value(json!("")), "none is set");
    }

    #[test]
    fn of_the_first_administrator_not_even_the_name_is_told() {
        let text = "[bootstrap]\nadmin_email = \"li@hub.example\"";
        assert_eq!(told(text), Told::HiddenCharacters(14));
    }
}
