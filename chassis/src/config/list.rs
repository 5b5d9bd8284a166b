//! Lists that an environment variable can hold too: `a,b` stands for `["a", "b"]`.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use super::Secret;

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    Many(Vec<String>),
    One(String),
}

impl OneOrMany {
    fn into_list(self) -> Vec<String> {
        match self {
            Self::Many(items) => items,
            Self::One(text) => text
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(str::to_owned)
                .collect(),
        }
    }
}

/// Reads a list of texts, for `#[serde(deserialize_with = "chassis::config::list::texts")]`.
pub fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    OneOrMany::deserialize(deserializer).map(OneOrMany::into_list)
}

/// Reads a list of secrets as [`texts`] does: in the environment none of them has a comma.
pub fn secrets<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Secret>, D::Error> {
    Ok(texts(deserializer)?.into_iter().map(Secret::new).collect())
}

/// Reads a map of such lists.
pub(super) fn map_of_lists<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, Vec<String>>, D::Error> {
    let map = BTreeMap::<String, OneOrMany>::deserialize(deserializer)?;
    Ok(map.into_iter().map(|(key, value)| (key, value.into_list())).collect())
}
