//! The layers of a configuration, and how an error finds its way back to the layer it came from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ::config::{Config, ConfigError as LibraryError, File, FileFormat, Map, Value, ValueKind};
use serde::de::DeserializeOwned;

use super::explain::{Explained, explain};
use super::former::FormerKey;
use super::strength::{find_weak, is_secret};
use super::tree::{merge, origin_of, set};
use super::{ConfigError, Profile};

const DEFAULTS: &str = "compiled-in default";

/// Everything that a configuration is made from.
#[derive(Clone, Debug)]
pub struct Sources {
    /// What the variables of this service begin with, such as `EH_ORDER`.
    pub prefix: String,
    /// The compiled-in TOML text.
    pub defaults: String,
    /// Names that keys had, under which they may still be set.
    pub former: &'static [FormerKey],
    /// Where the process runs.
    pub profile: Profile,
    /// Folder of the profiles' files.
    pub folder: Option<PathBuf>,
    /// The environment.
    pub environment: BTreeMap<String, String>,
}

impl Sources {
    /// Reads the environment of this process.
    pub fn from_process(prefix: &str, defaults: &str) -> Result<Self, ConfigError> {
        let environment = process_environment(prefix)?;
        let profile = environment.get("EH_PROFILE").map_or("development", String::as_str);
        let profile = Profile::parse(profile).ok_or_else(|| ConfigError::Variable {
            name: "EH_PROFILE".to_owned(),
            message: format!("`{profile}` is neither `development` nor `production`"),
        })?;
        Ok(Self {
            prefix: prefix.to_owned(),
            defaults: defaults.to_owned(),
            former: &[],
            profile,
            folder: environment.get("EH_CONFIG_DIR").map(PathBuf::from),
            environment,
        })
    }

    /// Takes keys under these former names too.
    #[must_use]
    pub fn with_former(self, former: &'static [FormerKey]) -> Self {
        Self { former, ..self }
    }

    /// Puts the layers together and reads the result.
    pub fn load<C: DeserializeOwned>(&self) -> Result<C, ConfigError> {
        let (defaults, mut merged) = self.layers()?;
        for key in self.former {
            key.apply(&mut merged, DEFAULTS)?;
        }
        if self.profile == Profile::Production {
            self.refuse_published_secrets(&defaults, &merged, "")?;
            if let Some((key, message)) = find_weak(&merged, "", "") {
                let origin = origin_of(&merged, &key);
                return Err(ConfigError::Value { key, message, origin });
            }
        }
        let tree = merged.clone();
        serde_path_to_error::deserialize(merged)
            .map_err(|error| self.explain(&tree, &error.path().to_string(), error.inner()))
    }

    /// Every value with where it came from, secrets only by their length. Nothing is refused here
    /// but what cannot be read: what is explained may be the reason of a refusal.
    pub fn explained(&self) -> Result<Vec<Explained>, ConfigError> {
        let (defaults, merged) = self.layers()?;
        Ok(explain(&defaults, &merged))
    }

    /// The defaults alone, and all layers together.
    fn layers(&self) -> Result<(Value, Value), ConfigError> {
        let mut defaults = Value::new(None, Map::<String, Value>::new());
        merge_toml(&mut defaults, &self.defaults, DEFAULTS)?;
        let mut merged = defaults.clone();
        if let Some((path, text)) = self.profile_file()? {
            merge_toml(&mut merged, &text, &format!("file {}", path.display()))?;
        }
        self.merge_environment(&mut merged)?;
        Ok((defaults, merged))
    }

    /// The dotted paths of the defaults' secrets, by their names: `paging.secret`, `callback.keys`.
    #[cfg(any(test, feature = "testing"))]
    pub fn secret_paths(&self) -> Result<Vec<String>, ConfigError> {
        let mut defaults = Value::new(None, Map::<String, Value>::new());
        merge_toml(&mut defaults, &self.defaults, DEFAULTS)?;
        let mut paths = super::strength::secret_paths(&defaults, "", "");
        paths.sort();
        Ok(paths)
    }

    fn profile_file(&self) -> Result<Option<(PathBuf, String)>, ConfigError> {
        let Some(folder) = &self.folder else {
            return Ok(None);
        };
        let path = folder.join(format!("{}.toml", self.profile.as_str()));
        if !path.exists() {
            return Ok(None);
        }
        let text = read(&path, "EH_CONFIG_DIR")?;
        Ok(Some((path, text)))
    }

    fn merge_environment(&self, tree: &mut Value) -> Result<(), ConfigError> {
        for (name, value) in &self.environment {
            let Some(rest) = name.strip_prefix(self.prefix.as_str()) else {
                continue;
            };
            if !rest.starts_with('_') {
                continue;
            }
            let path = rest.strip_prefix("__").map(str::to_lowercase).unwrap_or_default();
            let mut path: Vec<String> = path.split("__").map(str::to_owned).collect();
            if path.iter().any(String::is_empty) {
                let message = format!("expected {}__SECTION__KEY", self.prefix);
                return Err(ConfigError::Variable { name: name.clone(), message });
            }
            let (text, origin) = self.value_of(name, value, &mut path)?;
            // Shells cannot export names with a dash; services are named with one.
            let is_by_service = match path.as_slice() {
                [section, key, ..] => {
                    matches!(
                        (section.as_str(), key.as_str()),
                        ("discovery", "static") | ("events", "trusted")
                    )
                }
                _ => false,
            };
            if is_by_service {
                path.iter_mut().skip(2).for_each(|key| *key = key.replace('_', "-"));
            }
            set(tree, &path, Value::new(Some(&origin), text));
        }
        Ok(())
    }

    /// The text that a variable stands for, which may be in a file, and where it came from.
    fn value_of(
        &self,
        name: &str,
        value: &str,
        path: &mut [String],
    ) -> Result<(String, String), ConfigError> {
        let Some(plain) = name.strip_suffix("_FILE") else {
            return Ok((value.to_owned(), format!("environment variable {name}")));
        };
        if self.environment.contains_key(plain) {
            let message = format!("is set together with {plain}: which one counts is unclear");
            return Err(ConfigError::Variable { name: name.to_owned(), message });
        }
        if let Some(last) = path.last_mut() {
            last.truncate(last.len().saturating_sub("_file".len()));
        }
        let text = read(Path::new(value), &format!("environment variable {name}"))?;
        let origin = format!("file {value}, named by environment variable {name}");
        Ok((text.trim_end_matches(['\r', '\n']).to_owned(), origin))
    }

    /// In production no secret may keep the value that everybody can read in the source.
    fn refuse_published_secrets(
        &self,
        defaults: &Value,
        merged: &Value,
        path: &str,
    ) -> Result<(), ConfigError> {
        let (ValueKind::Table(defaults), ValueKind::Table(merged)) = (&defaults.kind, &merged.kind)
        else {
            return Ok(());
        };
        for (key, default) in defaults {
            let Some(actual) = merged.get(key) else {
                continue;
            };
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            self.refuse_published_secrets(default, actual, &path)?;
            let (ValueKind::String(default), ValueKind::String(actual)) =
                (&default.kind, &actual.kind)
            else {
                continue;
            };
            if default == actual && is_secret(key, actual) {
                return Err(ConfigError::Value {
                    message: "is the value for development, which anyone can read in the source"
                        .to_owned(),
                    origin: format!("set {}", self.variable(&path)),
                    key: path,
                });
            }
        }
        Ok(())
    }

    fn variable(&self, path: &str) -> String {
        format!("{}__{}", self.prefix, path.replace('.', "__").to_uppercase())
    }

    fn explain(&self, tree: &Value, path: &str, error: &LibraryError) -> ConfigError {
        let missing = missing_key(error);
        let key = match missing {
            Some(name) if path == "." => name.to_owned(),
            Some(name) if !path.ends_with(name) => format!("{path}.{name}"),
            _ => path.to_owned(),
        };
        let origin = match missing {
            Some(_) => format!("set {}", self.variable(&key)),
            None => origin_of(tree, path),
        };
        ConfigError::Value { key, message: message_of(error), origin }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one reader of the environment")]
fn process_environment(prefix: &str) -> Result<BTreeMap<String, String>, ConfigError> {
    let ours =
        |name: &str| name.starts_with(prefix) || matches!(name, "EH_PROFILE" | "EH_CONFIG_DIR");
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .filter(|(name, _)| ours(name))
        .map(|(name, value)| match value.into_string() {
            Ok(value) => Ok((name, value)),
            Err(_) => Err(ConfigError::Variable { name, message: "is not UTF-8".to_owned() }),
        })
        .collect()
}

fn read(path: &Path, origin: &str) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
        path: path.to_owned(),
        origin: origin.to_owned(),
        source,
    })
}

fn merge_toml(tree: &mut Value, text: &str, origin: &str) -> Result<(), ConfigError> {
    let layer = Config::builder()
        .add_source(File::from_str(text, FileFormat::Toml))
        .build()
        .map_err(|error| ConfigError::Syntax {
            origin: origin.to_owned(),
            message: without_excerpt(&error.to_string()),
        })?;
    merge(tree, layer.cache, origin);
    Ok(())
}

fn missing_key(error: &LibraryError) -> Option<&str> {
    match error {
        LibraryError::NotFound(key) => Some(key),
        LibraryError::At { error, .. } => missing_key(error),
        _ => None,
    }
}

/// The reason alone: key and origin are told in our own words.
fn message_of(error: &LibraryError) -> String {
    match error {
        LibraryError::Type { unexpected, expected, .. } => {
            format!("invalid type: {unexpected}, expected {expected}")
        }
        LibraryError::At { error, .. } => message_of(error),
        LibraryError::NotFound(_) => "is missing".to_owned(),
        other => other.to_string(),
    }
}

/// A TOML error quotes the line at fault, which may hold a secret: keeps the place and the reason.
fn without_excerpt(message: &str) -> String {
    let mut lines = message.lines();
    let first = lines.next().unwrap_or_default();
    match lines.rfind(|line| !line.contains('|')) {
        Some(reason) => format!("{first}: {}", reason.trim()),
        None => first.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use serde::Deserialize;

    use super::*;
    use crate::config::{
        AmqpConfig, DatabaseConfig, DiscoveryConfig, DiscoveryMode, EventsConfig, LogFormat,
        ServerConfig, TelemetryConfig,
    };

    const TOML: &str = r#"
        [server]
        listen = "127.0.0.1:50053"
        drain_timeout_ms = 9000
        [database]
        url = "mysql://hub_order:hub_order@127.0.0.1:3306/hub_order"
        [discovery.static]
        payment-service = ["127.0.0.1:50054"]
    "#;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        server: ServerConfig,
        database: DatabaseConfig,
        #[serde(default)]
        discovery: DiscoveryConfig,
        #[serde(default)]
        telemetry: TelemetryConfig,
        #[serde(default)]
        amqp: AmqpConfig,
        #[serde(default)]
        events: EventsConfig,
    }

    fn sources(environment: &[(&str, &str)]) -> Sources {
        let pairs =
            environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Sources {
            prefix: "EH_ORDER".to_owned(),
            defaults: TOML.to_owned(),
            former: &[],
            profile: Profile::Development,
            folder: None,
            environment: pairs.collect(),
        }
    }

    fn load(environment: &[(&str, &str)]) -> Result<Sample, ConfigError> {
        sources(environment).load()
    }

    fn refusal(environment: &[(&str, &str)]) -> String {
        load(environment).unwrap_err().to_string()
    }

    /// A folder of one test, gone when dropped.
    struct Folder(PathBuf);

    impl Folder {
        fn with(name: &str, text: &str) -> Self {
            let path = std::env::temp_dir().join(format!("chassis-config-{}", crate::id::new_id()));
            std::fs::create_dir_all(&path).unwrap();
            std::fs::write(path.join(name), text).unwrap();
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn defaults_alone_are_a_configuration() {
        let config = load(&[]).unwrap();
        assert_eq!(config.server.listen, SocketAddr::from(([127, 0, 0, 1], 50053)));
        assert_eq!(config.server.drain_timeout_ms, 9_000);
        assert_eq!(config.server.max_concurrency, 512);
        assert_eq!(config.discovery.fixed["payment-service"], ["127.0.0.1:50054"]);
        assert!(config.amqp.url.is_empty());
    }

    #[test]
    fn the_environment_wins_over_the_profile_and_the_profile_over_the_defaults() {
        let folder = Folder::with(
            "development.toml",
            "[server]\ndrain_timeout_ms = 1\nrequest_timeout_ms = 2\n",
        );
        let mut sources = sources(&[("EH_ORDER__SERVER__REQUEST_TIMEOUT_MS", "3")]);
        sources.folder = Some(folder.0.clone());
        let config: Sample = sources.load().unwrap();
        assert_eq!(config.server.drain_timeout_ms, 1);
        assert_eq!(config.server.request_timeout_ms, 3);
        assert_eq!(config.server.listen.port(), 50053);
    }

    #[test]
    fn the_environment_sets_values_of_every_type() {
        let config = load(&[
            ("EH_ORDER__TELEMETRY__FORMAT", "json"),
            ("EH_ORDER__TELEMETRY__SAMPLE_RATIO", "0.25"),
            ("EH_ORDER__DISCOVERY__MODE", "static"),
            ("EH_ORDER__DISCOVERY__STATIC__USER_SERVICE", "10.0.0.1:50051, 10.0.0.2:50051"),
            ("EH_ORDER__AMQP__URL", "12345678"),
        ])
        .unwrap();
        assert_eq!(config.telemetry.format, LogFormat::Json);
        assert!((config.telemetry.sample_ratio - 0.25).abs() < f64::EPSILON);
        assert_eq!(config.discovery.mode, DiscoveryMode::Static);
        assert_eq!(config.discovery.fixed["user-service"], ["10.0.0.1:50051", "10.0.0.2:50051"]);
        assert_eq!(config.amqp.url.expose(), "12345678");
    }

    #[test]
    fn a_secret_may_be_in_a_file() {
        let folder = Folder::with("url", "mysql://a:b@db/hub\n");
        let file = folder.0.join("url");
        let config = load(&[("EH_ORDER__DATABASE__URL_FILE", file.to_str().unwrap())]).unwrap();
        assert_eq!(config.database.url.expose(), "mysql://a:b@db/hub");
    }

    #[test]
    fn a_secret_file_must_be_readable_and_unrivalled() {
        let text = refusal(&[("EH_ORDER__DATABASE__URL_FILE", "/nonexistent/url")]);
        assert!(text.contains("/nonexistent/url"), "{text}");
        assert!(text.contains("EH_ORDER__DATABASE__URL_FILE"), "{text}");
        let text = refusal(&[
            ("EH_ORDER__DATABASE__URL", "mysql://x"),
            ("EH_ORDER__DATABASE__URL_FILE", "/nonexistent/url"),
        ]);
        assert!(text.contains("together with EH_ORDER__DATABASE__URL"), "{text}");
    }

    #[test]
    fn unknown_keys_are_refused_with_their_origin() {
        let text = refusal(&[("EH_ORDER__SERVER__DRAIN_TIMEOUT", "5")]);
        assert!(text.contains("server.drain_timeout"), "{text}");
        assert!(text.contains("environment variable EH_ORDER__SERVER__DRAIN_TIMEOUT"), "{text}");
        let text = refusal(&[("EH_ORDER__SEVER__LISTEN", "127.0.0.1:1")]);
        assert!(text.contains("sever"), "{text}");
        assert!(text.contains("EH_ORDER__SEVER__LISTEN"), "{text}");
    }

    #[test]
    fn variables_that_name_no_key_are_refused() {
        for name in ["EH_ORDER_SERVER__LISTEN", "EH_ORDER__", "EH_ORDER__SERVER____LISTEN"] {
            let text = refusal(&[(name, "x")]);
            assert!(text.contains(name), "{text}");
        }
    }

    #[test]
    fn variables_of_other_services_do_not_matter() {
        assert!(
            load(&[("EH_ORDERS__SERVER__NONSENSE", "x"), ("EH_PROFILE", "development")]).is_ok()
        );
    }

    #[test]
    fn a_bad_value_is_named_with_key_and_origin() {
        let text = refusal(&[("EH_ORDER__SERVER__DRAIN_TIMEOUT_MS", "soon")]);
        assert!(text.contains("`server.drain_timeout_ms`"), "{text}");
        assert!(text.contains("\"soon\""), "{text}");
        assert!(text.contains("environment variable EH_ORDER__SERVER__DRAIN_TIMEOUT_MS"), "{text}");
        let text = refusal(&[("EH_ORDER__SERVER__LISTEN", "localhost")]);
        assert!(text.contains("`server.listen`"), "{text}");
        let text = refusal(&[("EH_ORDER__TELEMETRY__FORMAT", "xml")]);
        assert!(text.contains("`telemetry.format`") && text.contains("xml"), "{text}");
    }

    #[test]
    fn a_missing_key_is_named_with_its_variable() {
        let mut sources = sources(&[]);
        sources.defaults = "[server]\nlisten = \"127.0.0.1:1\"\n".to_owned();
        let text = sources.load::<Sample>().unwrap_err().to_string();
        assert!(text.contains("`database`: is missing"), "{text}");
        assert!(text.contains("set EH_ORDER__DATABASE"), "{text}");
    }

    #[test]
    fn errors_do_not_quote_secrets() {
        let folder = Folder::with("development.toml", "[database]\nurl = 'mysql://u:hunter2@h\n");
        let mut broken = sources(&[]);
        broken.folder = Some(folder.0.clone());
        let text = broken.load::<Sample>().unwrap_err().to_string();
        assert!(text.contains("line 2"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }

    #[test]
    fn production_refuses_the_secrets_of_development() {
        let mut production = sources(&[]);
        production.profile = Profile::Production;
        let text = production.load::<Sample>().unwrap_err().to_string();
        assert!(text.contains("`database.url`"), "{text}");
        assert!(text.contains("EH_ORDER__DATABASE__URL"), "{text}");
        assert!(!text.contains("hub_order:hub_order"), "{text}");
        let mut with = |url: &str| {
            production.environment.insert("EH_ORDER__DATABASE__URL".to_owned(), url.to_owned());
            production.load::<Sample>().map_err(|error| error.to_string())
        };
        assert!(with("mysql://hub_order:Vb4uPqf0sYx1mCe8@db/hub").is_ok());
        let refused = with("mysql://root:Vb4uPqf0sYx1mCe8@db/hub").unwrap_err();
        assert!(refused.contains("`database.url`") && refused.contains("root"), "{refused}");
        assert!(refused.contains("environment variable EH_ORDER__DATABASE__URL"), "{refused}");
        assert!(!refused.contains("Vb4u"), "{refused}");
    }

    /// What is told of one key, as JSON.
    fn told(sources: &Sources, key: &str) -> serde_json::Value {
        let all = sources.explained().unwrap();
        let found = all.iter().find(|one| one.key == key);
        serde_json::to_value(found.unwrap_or_else(|| panic!("no {key} in {all:?}"))).unwrap()
    }

    #[test]
    fn every_value_is_explained_with_its_origin() {
        let folder = Folder::with("development.toml", "[server]\ndrain_timeout_ms = 1\n");
        let mut sources = sources(&[
            ("EH_ORDER__TELEMETRY__FORMAT", "json"),
            ("EH_ORDER__DISCOVERY__STATIC__USER_SERVICE", "10.0.0.1:50051"),
        ]);
        sources.folder = Some(folder.0.clone());
        let listen = told(&sources, "server.listen");
        assert_eq!(listen["value"], "127.0.0.1:50053");
        assert_eq!(listen["origin"], DEFAULTS);
        let drain = told(&sources, "server.drain_timeout_ms");
        assert_eq!(drain["value"], 1);
        assert!(drain["origin"].as_str().unwrap().ends_with("development.toml"), "{drain}");
        let user = told(&sources, "discovery.static.user-service");
        assert_eq!(user["value"], "10.0.0.1:50051");
        let variable = "environment variable EH_ORDER__DISCOVERY__STATIC__USER_SERVICE";
        assert_eq!(user["origin"], variable);
        let list = told(&sources, "discovery.static.payment-service");
        assert_eq!(list["value"], serde_json::json!(["127.0.0.1:50054"]));
    }

    #[test]
    fn secrets_are_explained_by_their_length_alone() {
        let folder = Folder::with("url", "mysql://u:hunter2@db/hub\n");
        let file = folder.0.join("url");
        let sources = sources(&[
            ("EH_ORDER__DATABASE__URL_FILE", file.to_str().unwrap()),
            ("EH_ORDER__DISCOVERY__TOKEN", "hunter2"),
            ("EH_ORDER__DATABASE__PASWORD", "hunter2"),
            ("EH_ORDER__AMQP__URL", "amqps://mq/?password=hunter2"),
        ]);
        let all = serde_json::to_string(&sources.explained().unwrap()).unwrap();
        assert!(!all.contains("hunter2"), "{all}");
        let url = told(&sources, "database.url");
        assert_eq!(url["hidden_characters"], 24);
        let origin = url["origin"].as_str().unwrap();
        assert!(origin.contains(file.to_str().unwrap()), "{origin}");
        assert!(origin.ends_with("named by environment variable EH_ORDER__DATABASE__URL_FILE"));
        // Misspelt, and refused at the start; until then it may be a secret.
        assert_eq!(told(&sources, "database.pasword")["hidden_characters"], 7);
        assert!(sources.load::<Sample>().is_err());
    }

    #[test]
    fn the_environment_names_services_without_a_dash() {
        let config = load(&[("EH_ORDER__EVENTS__TRUSTED__PAYMENT_SERVICE", "one, two")]).unwrap();
        assert_eq!(config.events.trusted["payment-service"], ["one", "two"]);
    }
}
