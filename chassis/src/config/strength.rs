//! What production demands of every secret, wherever it stands in a configuration.
//!
//! The check goes by names and addresses, not by types, so that a new section cannot forget it.

use ::config::{Value, ValueKind};

use super::MIN_KEY_BYTES;

/// Shortest password of an account that a service uses.
const MIN_PASSWORD_BYTES: usize = 16;

/// Servers that are spoken to under an account: how their addresses begin, and the account that
/// every fresh one has. An address without an account stands for the latter.
const SERVERS: [(&str, &str); 6] = [
    ("mysql://", "root"),
    ("mariadb://", "root"),
    ("amqp://", "guest"),
    ("amqps://", "guest"),
    ("redis://", ""),
    ("rediss://", ""),
];

/// Whether a value is one that nobody else should know.
pub(super) fn is_secret(key: &str, value: &str) -> bool {
    let has_password = account_of(value).is_some_and(|account| account.contains(':'));
    !value.is_empty() && (is_secret_name(key) || has_password)
}

/// Whether a key is by its name one of a secret.
pub(super) fn is_secret_name(key: &str) -> bool {
    ["secret", "password", "token", "pepper", "key", "keys"].contains(&key)
        || ["_key", "_secret", "_password", "_keys", "_token"].iter().any(|end| key.ends_with(end))
}

/// The paths of everything below `node` that is a secret by its name, set or not.
#[cfg(any(test, feature = "testing"))]
pub(super) fn secret_paths(node: &Value, key: &str, path: &str) -> Vec<String> {
    match &node.kind {
        ValueKind::Table(table) => table
            .iter()
            .flat_map(|(key, value)| {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                secret_paths(value, key, &path)
            })
            .collect(),
        ValueKind::Array(_) | ValueKind::String(_) if is_secret_name(key) => vec![path.to_owned()],
        _ => Vec::new(),
    }
}

/// Finds the first secret below `node` that is too weak: its path, and what is wrong with it. The
/// message repeats nothing of it.
pub(super) fn find_weak(node: &Value, key: &str, path: &str) -> Option<(String, String)> {
    match &node.kind {
        ValueKind::Table(table) => {
            // In an order of its own, so that the same mistake is always told first.
            let mut keys: Vec<_> = table.iter().collect();
            keys.sort_by_key(|(key, _)| key.as_str());
            keys.into_iter().find_map(|(key, value)| {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                find_weak(value, key, &path)
            })
        }
        ValueKind::Array(values) => values.iter().find_map(|value| find_weak(value, key, path)),
        ValueKind::String(text) => weakness(key, text).map(|message| (path.to_owned(), message)),
        _ => None,
    }
}

fn weakness(key: &str, text: &str) -> Option<String> {
    let server = SERVERS.iter().find(|(scheme, _)| text.starts_with(scheme));
    if let Some((_, fresh)) = server {
        return weak_account(account_of(text).unwrap_or_default(), fresh);
    }
    if text.is_empty() || !is_secret_name(key) {
        return None;
    }
    if text.contains("development") {
        return Some("is the one for development, which anyone can read in the source".to_owned());
    }
    let least = if key.ends_with("password") { MIN_PASSWORD_BYTES } else { MIN_KEY_BYTES };
    (text.len() < least).then(|| format!("must have at least {least} bytes"))
}

fn weak_account(account: &str, fresh: &str) -> Option<String> {
    let (name, password) = account.split_once(':').unwrap_or((account, ""));
    let message = if password.is_empty() {
        "needs an account with a password".to_owned()
    } else if !fresh.is_empty() && (name.is_empty() || name == fresh) {
        format!("must not use the account {fresh}, which every such server has from the start")
    } else if password == name || password.contains("development") {
        "needs a password that is not for development".to_owned()
    } else if password.len() < MIN_PASSWORD_BYTES {
        format!("needs a password of at least {MIN_PASSWORD_BYTES} bytes")
    } else {
        return None;
    };
    Some(message)
}

/// What stands before the host of an address.
fn account_of(address: &str) -> Option<&str> {
    let (_, rest) = address.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    authority.rsplit_once('@').map(|(account, _)| account)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRONG: &str = "Vb4uPqf0sYx1mCe8ZkTg3nRwJh6dLa7Q";

    #[test]
    fn accounts_of_fresh_servers_and_short_passwords_are_weak() {
        for address in [
            "mysql://root:Vb4uPqf0sYx1mCe8@db/hub",
            "mysql://hub_order@db/hub",
            "mysql://hub_order:@db/hub",
            "mysql://db/hub",
            "mariadb://hub_order_and_more:hub_order_and_more@db/hub",
            "mysql://hub_order:Vb4uPqf0sYx1mCe@db/hub",
            "amqp://guest:Vb4uPqf0sYx1mCe8@mq/%2f",
            "amqp://mq/%2f",
            "amqps://hub:for-development-only@mq/%2f",
            "redis://cache:6379/0",
            "redis://:short@cache:6379/0",
            "rediss://cache/?password=p@ss",
        ] {
            assert!(weakness("url", address).is_some(), "{address}");
        }
    }

    #[test]
    fn strong_accounts_pass() {
        for address in [
            "mysql://hub_order:Vb4uPqf0sYx1mCe8@db/hub",
            "amqps://hub:Vb4uPqf0sYx1mCe8@mq/%2f",
            "redis://:Vb4uPqf0sYx1mCe8@cache:6379/0",
            "http://127.0.0.1:8500",
            "",
        ] {
            assert_eq!(weakness("url", address), None, "{address}");
        }
    }

    #[test]
    fn paths_of_secrets_are_found_whether_they_are_set_or_not() {
        let pair = |key: &str, kind: ValueKind| (key.to_owned(), Value::new(None, kind));
        let section: ::config::Map<_, _> = [
            pair("api_key", ValueKind::String(String::new())),
            pair("keys", ValueKind::Array(Vec::new())),
            pair("url", ValueKind::String("https://provider.example".to_owned())),
            pair("tokens_max", ValueKind::I64(1)),
        ]
        .into();
        let root = ::config::Map::from([pair("token", ValueKind::Table(section))]);
        let mut paths = secret_paths(&Value::new(None, root), "", "");
        paths.sort();
        assert_eq!(paths, ["token.api_key", "token.keys"]);
    }

    #[test]
    fn secrets_are_known_by_their_names_also_in_lists() {
        for key in ["secret", "signing_key", "keys", "admin_password", "token"] {
            assert!(weakness(key, "short").is_some(), "{key}");
            assert!(weakness(key, "development-only-0123456789abcdef0123").is_some(), "{key}");
            assert_eq!(weakness(key, STRONG), None, "{key}");
            assert_eq!(weakness(key, ""), None, "{key}: switched off");
        }
        assert_eq!(weakness("key_path", "a"), None);
        let list = Value::new(None, vec![Value::new(None, STRONG), Value::new(None, "short")]);
        let (path, message) = find_weak(&list, "keys", "callback.keys").unwrap();
        assert_eq!(path, "callback.keys");
        assert!(!message.contains("short"), "{message}");
    }
}
