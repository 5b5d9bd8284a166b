//! What was released stays readable: every event as its producer sent it, every message and call of
//! the contract.
//!
//! `corpus/RELEASE/` holds one file per event, which the consumers' tests read with the types of
//! today, and a list of the contract's parts. It is written once per release and only grows:
//! `EH_CORPUS_WRITE=1 cargo test -p proto --test corpus` adds what is missing and changes nothing.

#![expect(clippy::unwrap_used, reason = "what a test cannot go on without fails it")]

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use prost::Message;
use prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorSet};
use proto::events::SCHEMAS;
use serde_json::Value;

const HOW: &str = "add it: EH_CORPUS_WRITE=1 cargo test -p proto --test corpus";

fn corpus() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/corpus"))
}

/// The folders of all releases.
fn releases() -> Vec<PathBuf> {
    let mut folders: Vec<_> =
        fs::read_dir(corpus()).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders
}

/// The folder of the release in the making, if what is missing there is to be added.
#[expect(
    clippy::disallowed_methods,
    reason = "asks for an act of the developer, not for a setting"
)]
fn to_write() -> Option<PathBuf> {
    std::env::var_os("EH_CORPUS_WRITE")?;
    let folder = corpus().join(env!("CARGO_PKG_VERSION"));
    fs::create_dir_all(folder.join("events")).unwrap();
    Some(folder)
}

/// Every part of the contract, one line each.
fn parts() -> BTreeSet<String> {
    let set = FileDescriptorSet::decode(proto::FILE_DESCRIPTOR_SET).unwrap();
    let mut parts = BTreeSet::new();
    let ours = set.file.iter().filter(|file| file.package().starts_with("enterprisehub."));
    for file in ours {
        for message in &file.message_type {
            add_message(&mut parts, file.package(), message);
        }
        for kind in &file.enum_type {
            add_enum(&mut parts, file.package(), kind);
        }
        for service in &file.service {
            for method in &service.method {
                let (service, method_name) = (service.name(), method.name());
                let (input, output) = (method.input_type(), method.output_type());
                let path = format!("{}.{service}/{method_name}", file.package());
                parts.insert(format!("call {path} takes {input} gives {output}"));
            }
        }
    }
    parts
}

fn add_message(parts: &mut BTreeSet<String>, scope: &str, message: &DescriptorProto) {
    let name = format!("{scope}.{}", message.name());
    parts.insert(format!("message {name}"));
    for field in &message.field {
        let (number, field_name) = (field.number(), field.name());
        let (label, kind) = (field.label().as_str_name(), field.r#type().as_str_name());
        let of = field.type_name();
        let line = format!("field {name} {number} {field_name} {label} {kind} {of}");
        parts.insert(line.trim_end().to_owned());
    }
    message.nested_type.iter().for_each(|nested| add_message(parts, &name, nested));
    message.enum_type.iter().for_each(|nested| add_enum(parts, &name, nested));
}

fn add_enum(parts: &mut BTreeSet<String>, scope: &str, kind: &EnumDescriptorProto) {
    for value in &kind.value {
        let (number, name) = (value.number(), value.name());
        parts.insert(format!("value {scope}.{} {number} {name}", kind.name()));
    }
}

fn released_parts() -> BTreeSet<String> {
    let lists = releases().into_iter().map(|folder| folder.join("contract.txt"));
    let texts = lists.filter(|list| list.exists()).map(|list| fs::read_to_string(list).unwrap());
    texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

#[test]
fn no_part_of_a_released_contract_is_gone_or_changed() {
    let (today, released) = (parts(), released_parts());
    let gone: Vec<_> = released.difference(&today).collect();
    assert!(gone.is_empty(), "add beside it, do not change it: {gone:#?}");
}

#[test]
fn the_corpus_has_every_part_of_the_contract() {
    let new: BTreeSet<String> = parts().difference(&released_parts()).cloned().collect();
    if let Some(folder) = to_write() {
        let list = folder.join("contract.txt");
        let there = fs::read_to_string(&list).unwrap_or_default();
        let lines = there.lines().map(str::to_owned).chain(new);
        let lines: BTreeSet<String> = lines.collect();
        let text: String = lines.into_iter().map(|line| line + "\n").collect();
        fs::write(list, text).unwrap();
        return;
    }
    assert!(new.is_empty(), "{HOW}; not there: {new:#?}");
}

/// Files of events, by the name of the event; further examples of it have a number behind.
fn released_events() -> Vec<(String, Value)> {
    let folders = releases().into_iter().map(|folder| folder.join("events"));
    let files = folders.flat_map(|folder| fs::read_dir(folder).unwrap());
    let mut events = Vec::new();
    for file in files {
        let path = file.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        events.push((name, serde_json::from_str(&text).unwrap()));
    }
    events
}

/// Whether `file` is the name of one of the event's files.
fn is_of(file: &str, event: &str) -> bool {
    let rest = file.strip_prefix(event);
    rest.is_some_and(|rest| rest.is_empty() || rest[1..].parse::<u32>().is_ok())
}

#[test]
fn released_events_follow_the_schemas_of_today() {
    let events = released_events();
    assert!(!events.is_empty());
    for (file, event) in events {
        let found = SCHEMAS.iter().find(|(name, _)| is_of(&file, name));
        let (_, schema) = found.unwrap_or_else(|| panic!("{file} has no schema any more"));
        let validator = jsonschema::validator_for(&serde_json::from_str(schema).unwrap()).unwrap();
        validator.validate(&event).unwrap_or_else(|error| panic!("{file}: {error}"));
    }
}

#[test]
fn the_corpus_has_every_event() {
    let there = released_events();
    for (event, schema) in SCHEMAS {
        if there.iter().any(|(file, _)| is_of(file, event)) {
            continue;
        }
        let Some(folder) = to_write() else { panic!("{HOW}; not there: {event}") };
        let schema: Value = serde_json::from_str(schema).unwrap();
        for (place, example) in schema["examples"].as_array().unwrap().iter().enumerate() {
            let number = if place == 0 { String::new() } else { format!(".{}", place + 1) };
            let file = folder.join("events").join(format!("{event}{number}.json"));
            fs::write(file, format!("{example}\n")).unwrap();
        }
    }
}
