//! The tree that the layers are merged into; every value in it knows where it came from.

use ::config::{Map, Value, ValueKind};

/// Lays `layer` over `tree`: tables are united, everything else is replaced.
pub(super) fn merge(tree: &mut Value, layer: Value, origin: &str) {
    match (&mut tree.kind, layer.kind) {
        (ValueKind::Table(table), ValueKind::Table(layer)) => {
            for (key, value) in layer {
                let slot = table.entry(key).or_insert_with(|| Value::new(None, ValueKind::Nil));
                merge(slot, value, origin);
            }
        }
        (_, ValueKind::Table(layer)) => {
            *tree = Value::new(Some(&origin.to_owned()), Map::<String, Value>::new());
            merge(tree, Value::new(None, layer), origin);
        }
        (_, kind) => *tree = Value::new(Some(&origin.to_owned()), kind),
    }
}

/// Sets the value at `path`, making tables on the way.
pub(super) fn set(tree: &mut Value, path: &[String], value: Value) {
    let [first, rest @ ..] = path else {
        *tree = value;
        return;
    };
    if !matches!(tree.kind, ValueKind::Table(_)) {
        *tree = Value::new(None, Map::<String, Value>::new());
    }
    if let ValueKind::Table(table) = &mut tree.kind {
        let slot = table.entry(first.clone()).or_insert_with(|| Value::new(None, ValueKind::Nil));
        set(slot, rest, value);
    }
}

/// Where the value at `path` came from.
pub(super) fn origin_of(tree: &Value, path: &str) -> String {
    let mut node = tree;
    for key in path.split('.') {
        let ValueKind::Table(table) = &node.kind else {
            break;
        };
        let Some(next) = table.get(key.split('[').next().unwrap_or(key)) else {
            break;
        };
        node = next;
    }
    node.origin().map_or_else(|| first_origin(node), str::to_owned)
}

/// A table has no origin of its own; the first value inside speaks for it.
fn first_origin(node: &Value) -> String {
    let inside = match &node.kind {
        ValueKind::Table(table) => table.values().find_map(Value::origin),
        _ => None,
    };
    inside.unwrap_or("unknown origin").to_owned()
}
