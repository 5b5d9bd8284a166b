//! One entry of a log, in either form that a service writes: for people, or one JSON object a line.

use std::fmt::Write;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

/// How grave an entry is; what is graver is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Level {
    /// Every step.
    Trace,
    /// What a developer asks for.
    Debug,
    /// What an operator wants to know.
    Info,
    /// What heals by itself, once or twice.
    Warn,
    /// What somebody has to look at.
    Error,
}

impl Level {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "TRACE" => Some(Self::Trace),
            "DEBUG" => Some(Self::Debug),
            "INFO" => Some(Self::Info),
            "WARN" => Some(Self::Warn),
            "ERROR" => Some(Self::Error),
            _ => None,
        }
    }
}

/// What a process has written at one time: one row, or several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When; absent where the file does not tell.
    pub time: Option<DateTime<Utc>>,
    /// How grave.
    pub level: Option<Level>,
    /// The trace that it belongs to.
    pub trace: Option<String>,
    /// What is shown of it.
    pub text: String,
}

impl Entry {
    /// The entry that a line begins; `None` for a further row of the one before.
    ///
    /// `service` is the name that a program puts in front of what it says on standard error.
    pub fn begin(line: &str, service: &str) -> Option<Self> {
        from_json(line).or_else(|| from_text(line)).or_else(|| last_words(line, service))
    }

    /// What stands in front of the first entry of a file.
    pub fn without_head(text: String) -> Self {
        Self { time: None, level: None, trace: None, text }
    }
}

fn from_json(line: &str) -> Option<Entry> {
    if !line.starts_with('{') {
        return None;
    }
    let object: Map<String, Value> = serde_json::from_str(line).ok()?;
    let text = |key: &str| object.get(key).and_then(Value::as_str);
    Some(Entry {
        time: Some(time(text("timestamp")?)?),
        level: text("level").and_then(Level::parse),
        trace: text("trace_id").map(str::to_owned),
        text: as_text(&object),
    })
}

/// The same words in the same order as in the form for people.
fn as_text(object: &Map<String, Value>) -> String {
    const IN_FRONT: [&str; 8] =
        ["timestamp", "level", "target", "message", "span", "trace_id", "span_id", "service.name"];
    let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
    let mut line = format!("{} {:>5} ", text("timestamp"), text("level"));
    if let Some(Value::Object(span)) = object.get("span") {
        let name = span.get("name").and_then(Value::as_str).unwrap_or_default();
        let fields = span.iter().filter(|(key, _)| *key != "name");
        let _ = write!(line, "{name}{{{}}}: ", fields_of(fields));
    }
    let _ = write!(line, "{}: {}", text("target"), text("message"));
    let fields = fields_of(object.iter().filter(|(key, _)| !IN_FRONT.contains(&key.as_str())));
    for (before, rest) in [(" ", fields.as_str()), (" trace_id=", text("trace_id"))] {
        if !rest.is_empty() {
            line.push_str(before);
            line.push_str(rest);
        }
    }
    line
}

fn fields_of<'a>(fields: impl Iterator<Item = (&'a String, &'a Value)>) -> String {
    let fields = fields.map(|(key, value)| match value {
        Value::String(text) => format!("{key}={text}"),
        other => format!("{key}={other}"),
    });
    let mut fields: Vec<String> = fields.collect();
    fields.sort();
    fields.join(" ")
}

fn from_text(line: &str) -> Option<Entry> {
    let (first, rest) = line.split_once(' ')?;
    let level = rest.split_whitespace().next().and_then(Level::parse)?;
    Some(Entry {
        time: Some(time(first)?),
        level: Some(level),
        trace: trailing_trace(line),
        text: line.to_owned(),
    })
}

/// The trace is last on a line; what comes before may be anything.
fn trailing_trace(line: &str) -> Option<String> {
    let (_, trace) = line.rsplit_once(" trace_id=")?;
    is_trace(trace).then(|| trace.to_owned())
}

/// Whether a text is a W3C trace id.
pub fn is_trace(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// A panic, or why a program did not start: they have no time, and are never further rows.
fn last_words(line: &str, service: &str) -> Option<Entry> {
    let is_panic = line.starts_with("thread '") && line.contains("panicked at");
    let is_said = line.strip_prefix(service).is_some_and(|rest| rest.starts_with(": "));
    (is_panic || is_said)
        .then(|| Entry { level: Some(Level::Error), ..Entry::without_head(line.to_owned()) })
}

fn time(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    fn begin(line: &str) -> Option<Entry> {
        Entry::begin(line, "order-service")
    }

    #[test]
    fn a_line_for_people_tells_time_level_and_trace() {
        let line = format!(
            "2026-01-02T03:04:05.006789Z  WARN order.place{{order.id=7}}: order_service::x: late trace_id={TRACE}"
        );
        let entry = begin(&line).unwrap();
        assert_eq!(entry.time.unwrap().timestamp_micros(), 1_767_323_045_006_789);
        assert_eq!((entry.level, entry.trace.as_deref()), (Some(Level::Warn), Some(TRACE)));
        assert_eq!(entry.text, line);
    }

    #[test]
    fn a_json_line_reads_as_one_for_people_does() {
        let line = format!(
            r#"{{"service.name":"order-service","trace_id":"{TRACE}","span_id":"1","timestamp":"2026-01-02T03:04:05.006Z","level":"INFO","message":"placed","user.id":"u","n":3,"target":"t","span":{{"name":"order.place","order.id":7}}}}"#
        );
        let entry = begin(&line).unwrap();
        assert_eq!((entry.level, entry.trace.as_deref()), (Some(Level::Info), Some(TRACE)));
        assert_eq!(
            entry.text,
            format!(
                "2026-01-02T03:04:05.006Z  INFO order.place{{order.id=7}}: t: placed n=3 user.id=u trace_id={TRACE}"
            )
        );
    }

    #[test]
    fn further_rows_begin_no_entry() {
        for line in ["", "   0: core::panicking", "{\"half\":", "{\"level\":\"INFO\"}", "note: run"]
        {
            assert_eq!(begin(line), None, "{line}");
        }
        let no_level = "2026-01-02T03:04:05Z something";
        assert_eq!(begin(no_level), None);
    }

    #[test]
    fn last_words_are_entries_of_their_own() {
        for line in ["thread 'main' (7) panicked at src/x.rs:1:2:", "order-service: no such file"] {
            let entry = begin(line).unwrap();
            assert_eq!((entry.time, entry.level), (None, Some(Level::Error)), "{line}");
        }
        assert_eq!(begin("order-services: x"), None);
    }

    #[test]
    fn only_a_trace_at_the_end_is_one() {
        let line = "2026-01-02T03:04:05Z  INFO t: said \"x trace_id=1\" trace_id=nonsense";
        assert_eq!(begin(line).unwrap().trace, None);
        assert!(!is_trace(&TRACE.to_uppercase()) && !is_trace("4bf9"));
    }

    #[test]
    fn graver_levels_are_greater() {
        assert!(Level::Error > Level::Warn && Level::Info > Level::Debug);
    }
}
