//! Keys that had another name: what is set under the former one counts under the present one.

use ::config::{Value, ValueKind};

use super::ConfigError;
use super::tree::{origin_of, set};

/// A key of one value that became a list. What is set under its former name is a list of one: it is
/// not split, so that a value with a comma stays one.
#[derive(Clone, Copy, Debug)]
pub struct FormerKey {
    /// Section and name that it had, such as `keys.sealing_key`; in no default any more.
    pub former: &'static str,
    /// Section and name of the list, such as `keys.sealing_keys`.
    pub list: &'static str,
}

impl FormerKey {
    /// Moves what is set under the former name. Refuses a list that is set beside it, which is one
    /// that does not come from `defaults`.
    pub(super) fn apply(self, tree: &mut Value, defaults: &str) -> Result<(), ConfigError> {
        let Some(value) = take(tree, self.former) else {
            return Ok(());
        };
        let origin = value.origin().unwrap_or("unknown origin").to_owned();
        if origin_of(tree, self.list) != defaults {
            let message = format!(
                "is the former name of `{}`, which is set too: which one counts is unclear",
                self.list
            );
            return Err(ConfigError::Value { key: self.former.to_owned(), message, origin });
        }
        let path: Vec<String> = self.list.split('.').map(str::to_owned).collect();
        set(tree, &path, Value::new(Some(&origin), ValueKind::Array(vec![value])));
        Ok(())
    }
}

fn take(tree: &mut Value, path: &str) -> Option<Value> {
    let (section, name) = path.split_once('.')?;
    let ValueKind::Table(sections) = &mut tree.kind else {
        return None;
    };
    let ValueKind::Table(keys) = &mut sections.get_mut(section)?.kind else {
        return None;
    };
    keys.remove(name)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::config::{Profile, Secret, Sources};

    const TOML: &str = "[keys]\nsealing_keys = [\"development-only\"]\n";
    const FORMER: &[FormerKey] =
        &[FormerKey { former: "keys.sealing_key", list: "keys.sealing_keys" }];
    const OLD: &str = "Vb4uPqf0sYx1mCe8,ZkTg3nRwJh6dLa7Q";

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        keys: Keys,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Keys {
        #[serde(deserialize_with = "crate::config::list::secrets")]
        sealing_keys: Vec<Secret>,
    }

    fn load(profile: Profile, environment: &[(&str, &str)]) -> Result<Vec<String>, String> {
        let pairs =
            environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let sources = Sources {
            prefix: "EH_AUTH".to_owned(),
            defaults: TOML.to_owned(),
            former: FORMER,
            profile,
            folder: None,
            environment: pairs.collect(),
        };
        let sample: Sample = sources.load().map_err(|error| error.to_string())?;
        Ok(sample.keys.sealing_keys.iter().map(|key| key.expose().to_owned()).collect())
    }

    #[test]
    fn what_is_set_under_the_former_name_is_a_list_of_one() {
        for profile in [Profile::Development, Profile::Production] {
            assert_eq!(load(profile, &[("EH_AUTH__KEYS__SEALING_KEY", OLD)]).unwrap(), [OLD]);
        }
        assert_eq!(load(Profile::Development, &[]).unwrap(), ["development-only"]);
        let list = load(Profile::Production, &[("EH_AUTH__KEYS__SEALING_KEYS", OLD)]);
        assert_eq!(list.unwrap(), ["Vb4uPqf0sYx1mCe8", "ZkTg3nRwJh6dLa7Q"]);
    }

    #[test]
    fn both_names_at_once_are_refused_and_so_is_a_weak_value() {
        let both = [("EH_AUTH__KEYS__SEALING_KEY", OLD), ("EH_AUTH__KEYS__SEALING_KEYS", OLD)];
        let said = load(Profile::Development, &both).unwrap_err();
        assert!(said.contains("`keys.sealing_key`") && said.contains("`keys.sealing_keys`"));
        assert!(said.contains("variable EH_AUTH__KEYS__SEALING_KEY)"), "{said}");
        assert!(!said.contains("Vb4u"), "{said}");
        for weak in ["development-only-sealing-key-0123456789abcdef", "too short"] {
            let said = load(Profile::Production, &[("EH_AUTH__KEYS__SEALING_KEY", weak)]);
            let said = said.unwrap_err();
            assert!(said.contains("keys.sealing_key") && !said.contains(weak), "{said}");
            assert!(said.contains("EH_AUTH__KEYS__SEALING_KEY"), "{said}");
        }
    }
}
