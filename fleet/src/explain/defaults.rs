//! The documentation of a service's keys: the lines of its `config/default.toml`.

use std::collections::BTreeMap;

/// What is said about a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Documented {
    /// In which line.
    pub(super) line: usize,
    /// What it sets; empty where nothing is said.
    pub(super) comment: String,
    /// What kind of value it takes.
    pub(super) kind: &'static str,
    /// The default as it is written.
    pub(super) default: String,
}

/// The keys of a text that is known to be TOML, by their dotted paths.
pub(super) fn parse(text: &str) -> BTreeMap<String, Documented> {
    let (mut keys, mut section, mut above) = (BTreeMap::new(), String::new(), String::new());
    for (number, line) in text.lines().enumerate() {
        let (code, comment) = split(line.trim());
        if let Some(name) = code.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            name.trim().clone_into(&mut section);
        } else if let Some((key, default)) = code.split_once('=') {
            let key = key.trim().trim_matches('"');
            let path = if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") };
            let default = default.trim().to_owned();
            let comment = if comment.is_empty() { above.trim() } else { comment };
            let kind = kind(&default);
            let comment = comment.to_owned();
            keys.insert(path, Documented { line: number + 1, comment, kind, default });
        }
        // A comment of its own line is about the key below it.
        if code.is_empty() && !comment.is_empty() {
            above = format!("{above} {comment}");
        } else {
            above.clear();
        }
    }
    keys
}

/// What stands before a comment, and the comment.
fn split(line: &str) -> (&str, &str) {
    let mut quote = None;
    for (place, c) in line.char_indices() {
        match (quote, c) {
            (None, '#') => return (line[..place].trim(), line[place + 1..].trim()),
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), _) if c == open => quote = None,
            _ => {}
        }
    }
    (line, "")
}

fn kind(default: &str) -> &'static str {
    match default.chars().next() {
        Some('"' | '\'') => "text",
        Some('[') => "list",
        Some('t' | 'f') => "true or false",
        _ if default.contains('.') => "number",
        _ => "whole number",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Layout;
    use crate::services::Service;

    const TEXT: &str = r##"# order-service: every setting.

trusted = []
[server]
listen = "127.0.0.1:1"   # gRPC, not "HTTP"
# how long running calls
# may take to finish
drain_timeout_ms = 10000
colour = "#fff"          # with a # in it

[discovery.static] # addresses
user-service = ["127.0.0.1:2"]
ratio = 1.0
on = true
"##;

    #[test]
    fn keys_have_lines_comments_and_kinds() {
        let keys = parse(TEXT);
        let told = |key: &str| {
            let it = &keys[key];
            (it.line, it.comment.as_str(), it.kind, it.default.as_str())
        };
        assert_eq!(told("trusted"), (3, "", "list", "[]"));
        assert_eq!(told("server.listen"), (5, "gRPC, not \"HTTP\"", "text", "\"127.0.0.1:1\""));
        let drain = "how long running calls may take to finish";
        assert_eq!(told("server.drain_timeout_ms"), (8, drain, "whole number", "10000"));
        assert_eq!(told("server.colour"), (9, "with a # in it", "text", "\"#fff\""));
        assert_eq!(told("discovery.static.user-service").0, 12);
        assert_eq!((told("discovery.static.ratio").2, keys.len()), ("number", 7));
        assert_eq!(told("discovery.static.on").2, "true or false");
    }

    /// Every key of a table, by its dotted path.
    fn paths(table: &toml::Table, path: &str) -> Vec<String> {
        table
            .iter()
            .flat_map(|(key, value)| match value {
                toml::Value::Table(table) => paths(table, &format!("{path}{key}.")),
                _ => vec![format!("{path}{key}")],
            })
            .collect()
    }

    #[test]
    fn the_defaults_of_every_service_are_understood() {
        let layout = Layout::discover().unwrap();
        for service in Service::ALL {
            let file = layout.root().join(service.name).join("config/default.toml");
            let text = std::fs::read_to_string(file).unwrap();
            let mut expected = paths(&text.parse().unwrap(), "");
            expected.sort();
            let found: Vec<String> = parse(&text).into_keys().collect();
            assert_eq!(found, expected, "{}", service.name);
        }
    }
}
