//! As much of YAML as the manifests of `deploy/kubernetes` and the workflows are written in: documents
//! of mappings and lists by indentation, flow collections on one line, quoted and plain scalars, and
//! literal text.

use serde_json::{Map, Number, Value};

/// Reads all documents of a file.
pub(crate) fn parse(text: &str) -> Vec<Value> {
    let documents = text.split("\n---\n").map(Lines::of);
    documents.filter(|lines| !lines.lines.is_empty()).map(|mut lines| lines.document()).collect()
}

struct Lines {
    /// Indentation and what follows it.
    lines: Vec<(usize, String)>,
    at: usize,
}

impl Lines {
    fn of(text: &str) -> Self {
        let lines = text.lines().filter(|line| {
            let line = line.trim_start();
            !line.is_empty() && !line.starts_with('#')
        });
        let lines = lines.map(|line| {
            let indent = line.len() - line.trim_start().len();
            (indent, line[indent..].trim_end().to_owned())
        });
        Self { lines: lines.collect(), at: 0 }
    }

    fn document(&mut self) -> Value {
        let value = self.node(0);
        assert_eq!(self.at, self.lines.len(), "not read: {:?}", self.lines.get(self.at));
        value
    }

    /// The line that comes next, if it is indented like this.
    fn next(&self, indent: usize) -> Option<&str> {
        let (found, text) = self.lines.get(self.at)?;
        (*found == indent).then_some(text)
    }

    fn node(&mut self, indent: usize) -> Value {
        match self.next(indent) {
            Some(line) if line.starts_with("- ") => self.list(indent),
            _ => self.mapping(indent),
        }
    }

    fn list(&mut self, indent: usize) -> Value {
        let mut items = Vec::new();
        while let Some(item) = self.next(indent).and_then(|line| line.strip_prefix("- ")) {
            let item = item.to_owned();
            if entry(&item).is_some() {
                // The first entry of a mapping, which goes on below it.
                self.lines[self.at] = (indent + 2, item);
                items.push(self.mapping(indent + 2));
            } else {
                self.at += 1;
                items.push(flow(&item));
            }
        }
        Value::Array(items)
    }

    fn mapping(&mut self, indent: usize) -> Value {
        let mut members = Map::new();
        while let Some((key, rest)) = self.next(indent).and_then(entry) {
            let (key, rest) = (key.trim_matches('"').to_owned(), rest.to_owned());
            self.at += 1;
            let value = if rest.starts_with('|') {
                self.literal(indent)
            } else if rest.is_empty() {
                self.below(indent)
            } else {
                flow(&rest)
            };
            assert!(members.insert(key.clone(), value).is_none(), "{key} is there twice");
        }
        Value::Object(members)
    }

    fn below(&mut self, indent: usize) -> Value {
        match self.lines.get(self.at) {
            Some((deeper, _)) if *deeper > indent => self.node(*deeper),
            _ => Value::Null,
        }
    }

    fn literal(&mut self, indent: usize) -> Value {
        let mut text = String::new();
        while let Some((deeper, line)) = self.lines.get(self.at).filter(|line| line.0 > indent) {
            text.push_str(&" ".repeat(deeper - indent));
            text.push_str(line);
            text.push('\n');
            self.at += 1;
        }
        Value::String(text)
    }
}

/// The key and what stands behind it, if the line begins with a key.
fn entry(line: &str) -> Option<(&str, &str)> {
    if line.starts_with(['{', '[']) {
        return None;
    }
    if line.starts_with('"') && !line[1..].contains("\":") {
        return None;
    }
    match line.split_once(": ") {
        Some((key, value)) => Some((key, without_comment(value))),
        None => line.strip_suffix(':').map(|key| (key, "")),
    }
}

fn without_comment(value: &str) -> &str {
    if value.starts_with('"') { value } else { value.split(" #").next().unwrap_or(value).trim() }
}

/// A scalar or a collection on one line.
fn flow(text: &str) -> Value {
    let mut rest = text.trim();
    let value = if rest.starts_with(['{', '[', '"']) { take(&mut rest) } else { plain(rest) };
    let is_plain = !text.trim().starts_with(['{', '[', '"']);
    assert!(is_plain || rest.trim().is_empty() || rest.trim().starts_with('#'), "{text}");
    value
}

/// Takes one value off the front, inside a flow collection.
fn take(rest: &mut &str) -> Value {
    *rest = rest.trim_start();
    if let Some(inside) = rest.strip_prefix('[') {
        *rest = inside;
        return Value::Array(take_items(rest, ']', take));
    }
    if let Some(inside) = rest.strip_prefix('{') {
        *rest = inside;
        let members = take_items(rest, '}', |rest| {
            let (key, value) = rest.split_once(':').unwrap();
            let key = key.trim().trim_matches('"').to_owned();
            *rest = value;
            (key, take(rest))
        });
        return Value::Object(members.into_iter().collect());
    }
    if let Some(inside) = rest.strip_prefix('"') {
        let (text, behind) = inside.split_once('"').unwrap();
        *rest = behind;
        return Value::String(text.to_owned());
    }
    let end = rest.find([',', ']', '}']).unwrap_or(rest.len());
    let (text, behind) = rest.split_at(end);
    *rest = behind;
    plain(text.trim())
}

fn take_items<T>(rest: &mut &str, end: char, mut one: impl FnMut(&mut &str) -> T) -> Vec<T> {
    let mut items = Vec::new();
    loop {
        *rest = rest.trim_start();
        if let Some(behind) = rest.strip_prefix(end) {
            *rest = behind;
            return items;
        }
        items.push(one(rest));
        *rest = rest.trim_start();
        *rest = rest.strip_prefix(',').unwrap_or(rest);
        assert!(!rest.is_empty(), "a collection without an end");
    }
}

fn plain(text: &str) -> Value {
    match text {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        "" | "null" => Value::Null,
        _ => match text.parse::<u64>() {
            Ok(number) => Value::Number(Number::from(number)),
            Err(_) => Value::String(text.to_owned()),
        },
    }
}

#[test]
fn documents_are_read_as_they_are_written() {
    let documents = parse(
        "# why\nkind: A\nspec:\n  list:\n    - name: one # not this\n      port: 80\n    - plain\n    \
         - { a: \"b: c\", d: [e, 1, true] }\n  empty: {}\n  text: |-\n    - x\n      y\n  url: \
         http://x:1\n---\nkind: B\nlist: [\"a,b\", c]\n\"on\":\n  push:\n",
    );
    let [first, second] = &documents[..] else { panic!("{documents:?}") };
    assert_eq!(first["kind"], "A");
    let list = &first["spec"]["list"];
    assert_eq!((&list[0]["name"], &list[0]["port"]), (&"one".into(), &80.into()));
    assert_eq!((&list[1], &list[2]["a"]), (&"plain".into(), &"b: c".into()));
    assert_eq!(list[2]["d"], serde_json::json!(["e", 1, true]));
    assert_eq!(first["spec"]["empty"], serde_json::json!({}));
    assert_eq!(first["spec"]["text"], "  - x\n    y\n");
    assert_eq!(first["spec"]["url"], "http://x:1");
    assert_eq!(second["list"], serde_json::json!(["a,b", "c"]));
    assert_eq!(second["on"]["push"], Value::Null);
}
