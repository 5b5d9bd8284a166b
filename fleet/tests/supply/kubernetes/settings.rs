//! The variables of the services, and which of them are secrets.

use std::collections::{BTreeMap, BTreeSet};

use fleet::services::Service;
use serde_json::Value;

use super::{FOLDER, defaults, documents, is, items, text};
use crate::read;

/// Where the Secret of a service is mounted.
const SECRETS: &str = "/etc/enterprisehub/secrets/";
/// Variables that are no key of a service.
const COMMON: [&str; 1] = ["EH_PROFILE"];

type Variables = Vec<(String, String)>;

fn pair(line: &str) -> (String, String) {
    let (name, value) = line.split_once('=').unwrap_or_else(|| panic!("{line}"));
    (name.to_owned(), value.to_owned())
}

/// What the base sets for a service.
fn base(service: &Service) -> Variables {
    let text = read(format!("{FOLDER}/base/{}/config.env", service.name));
    text.lines().filter(|line| !line.starts_with('#')).map(pair).collect()
}

/// What a generator of a part of the manifests adds for a service.
fn generated(folder: &str, generator: &str, name: &str) -> Variables {
    let found = documents(folder).into_iter().flat_map(|(_, document)| {
        let all = items(&document[generator]).to_vec();
        all.into_iter().filter(|one| one["name"] == name).collect::<Vec<_>>()
    });
    found.flat_map(|one| items(&one["literals"]).to_vec()).map(|one| pair(text(&one))).collect()
}

fn config(folder: &str, service: &Service) -> Variables {
    generated(folder, "configMapGenerator", service.name)
}

/// What keeps a variable from being a setting of the service.
fn fault(service: &Service, name: &str) -> Option<String> {
    if COMMON.contains(&name) {
        return None;
    }
    let prefix = format!("{}__", service.variable);
    let Some(path) = name.strip_prefix(&prefix) else {
        return Some(format!("{name} is not of {}", service.name));
    };
    let path = path.strip_suffix("_FILE").unwrap_or(path).to_lowercase();
    let keys: Vec<&str> = path.split("__").collect();
    let defaults = toml::Value::Table(defaults(service));
    let mut node = Some(&defaults);
    for (depth, key) in keys.iter().enumerate() {
        let named_by_service =
            matches!(keys[..depth], ["discovery", "static"] | ["events", "trusted"]);
        if named_by_service {
            let other = Service::find(&key.replace('_', "-"));
            return other.is_none().then(|| format!("{name} names no service"));
        }
        node = node.and_then(|node| node.get(key));
    }
    node.is_none_or(toml::Value::is_table).then(|| format!("{name} is no key of {}", service.name))
}

#[test]
fn every_variable_is_a_setting_of_its_service() {
    for service in Service::ALL {
        let parts = ["components/consul", "overlays/dev", "overlays/prod"];
        let added = parts.iter().flat_map(|part| config(part, service));
        for (name, _) in base(service).into_iter().chain(added) {
            assert_eq!(fault(service, &name), None);
        }
    }
}

#[test]
fn a_variable_that_no_service_knows_is_seen() {
    let order = Service::find("order-service").unwrap();
    for name in [
        "EH_ORDER__SERVER__LISTEN",
        "EH_ORDER__DATABASE__URL_FILE",
        "EH_ORDER__DISCOVERY__STATIC__USER_SERVICE",
        "EH_PROFILE",
    ] {
        assert_eq!(fault(order, name), None);
    }
    for name in [
        "EH_ORDER__SERVER__LISTENS",
        "EH_ORDER__SERVER",
        "EH_ORDER__REDIS__URL",
        "EH_USER__SERVER__LISTEN",
        "EH_ORDER__DISCOVERY__STATIC__PAYMENTS",
        "EH_ORDERS__SERVER__LISTEN",
    ] {
        assert!(fault(order, name).is_some(), "{name}");
    }
}

#[test]
fn services_listen_where_they_are_expected() {
    for service in Service::ALL {
        let variables: BTreeMap<_, _> = base(service).into_iter().collect();
        let of = |key: &str| variables[&format!("{}__{key}", service.variable)].as_str();
        assert_eq!(of("SERVER__LISTEN"), format!("0.0.0.0:{}", service.port));
        assert_eq!(of("SERVER__INTERNAL_LISTEN"), format!("0.0.0.0:{}", service.internal_port));
        for (key, file) in
            [("CERTIFICATE_PATH", "tls.crt"), ("KEY_PATH", "tls.key"), ("CA_PATH", "ca.crt")]
        {
            assert_eq!(of(&format!("TLS__{key}")), format!("/etc/enterprisehub/tls/{file}"));
        }
    }
}

/// The keys of the Secret that these variables read.
fn files(variables: &[(String, String)]) -> BTreeSet<String> {
    let files = variables.iter().filter(|(name, _)| name.ends_with("_FILE"));
    let files = files.map(|(name, path)| {
        path.strip_prefix(SECRETS).unwrap_or_else(|| panic!("{name} is not in the Secret"))
    });
    files.map(str::to_owned).collect()
}

fn is_secret(variable: &str) -> bool {
    let ends = ["SECRET", "PASSWORD", "TOKEN", "KEY", "KEYS", "TRUSTED", "DATABASE__URL"];
    ends.iter().any(|end| variable.ends_with(end))
        || ["AMQP__URL", "REDIS__URL"].iter().any(|end| variable.ends_with(end))
}

#[test]
fn secrets_are_referred_to_and_never_said() {
    for (file, document) in documents("") {
        assert!(!is(&document, "Secret"), "{}", file.display());
        let generator = &document["secretGenerator"];
        let is_dev = file.parent().unwrap().ends_with("overlays/dev");
        assert!(generator.is_null() || is_dev, "{}", file.display());
    }
    for service in Service::ALL {
        let parts = ["components/consul", "overlays/dev", "overlays/prod"];
        let added = parts.iter().flat_map(|part| config(part, service));
        for (name, _) in base(service).into_iter().chain(added) {
            assert!(!is_secret(&name), "{name} is told by a ConfigMap");
        }
    }
    assert!(is_secret("EH_ORDER__DATABASE__URL") && is_secret("EH_AUTH__KEYS__SEALING_KEY"));
}

#[test]
fn development_has_exactly_the_secrets_that_are_read() {
    for service in Service::ALL {
        let mut variables = base(service);
        variables.extend(config("overlays/dev", service));
        let name = format!("{}-secrets", service.name);
        let given = generated("overlays/dev", "secretGenerator", &name);
        let given: BTreeSet<String> = given.into_iter().map(|(key, _)| key).collect();
        assert_eq!(given, files(&variables), "{name}");
    }
}

#[test]
fn the_guide_lists_the_secrets_of_production() {
    let guide = read("docs/KUBERNETES.md");
    for service in Service::ALL {
        let mut variables = base(service);
        variables.extend(config("overlays/prod", service));
        let keys = files(&variables).into_iter().map(|key| format!("`{key}`"));
        let row =
            format!("| `{}-secrets` | {} |", service.name, keys.collect::<Vec<_>>().join(", "));
        assert!(guide.lines().any(|line| line == row), "{row}");
    }
}

#[test]
fn production_is_production() {
    for service in Service::ALL {
        let variables = config("overlays/prod", service);
        let profile = variables.iter().find(|(name, _)| name == "EH_PROFILE");
        assert_eq!(profile.map(|(_, value)| value.as_str()), Some("production"));
    }
    let overlay = documents("overlays/prod");
    let images = overlay.iter().flat_map(|(_, one)| items(&one["images"]));
    for image in images {
        let tag = text(&image["newTag"]);
        assert!(tag != "latest" && !tag.is_empty(), "{image}");
    }
    let unknown = |(_, one): &&(_, Value)| is(one, "StatefulSet") || is(one, "Deployment");
    assert_eq!(overlay.iter().filter(unknown).count(), 0, "servers are managed elsewhere");
}
