//! Who may reach whom.

use std::collections::{BTreeMap, BTreeSet};

use fleet::services::Service;
use serde_json::Value;

use super::{FOLDER, NAME, defaults, documents, is, items, of_service, text};
use crate::read;

/// Servers, and the section of the defaults of those who use them.
const SERVERS: [(&str, &str); 3] =
    [("mysql", "database"), ("rabbitmq", "amqp"), ("redis", "redis")];

/// The services that the table of a service lets in.
fn callers(service: &Service) -> BTreeSet<String> {
    let file = format!("{}/src/api/callers.rs", service.name);
    let source = read(&file);
    let product = source.split("#[cfg(test)]").next().unwrap().to_owned();
    let names = product.split("&str = \"").skip(1).filter_map(|rest| rest.split('"').next());
    let names: BTreeSet<String> = names.map(str::to_owned).collect();
    assert!(names.iter().all(|name| Service::find(name).is_some()), "{file}: {names:?}");
    names
}

/// The names of the peers of a rule, which it names by their service alone.
fn peers(rule: &Value, side: &str) -> BTreeSet<String> {
    let name = |peer: &Value| text(&peer["podSelector"]["matchLabels"][NAME]).to_owned();
    items(&rule[side]).iter().map(name).collect()
}

fn tcp(port: u16) -> Value {
    serde_json::json!([{ "protocol": "TCP", "port": port }])
}

#[test]
fn nothing_is_let_through_by_itself() {
    let (_, deny) = documents("base")
        .into_iter()
        .find(|(_, one)| is(one, "NetworkPolicy") && one["metadata"]["name"] == "default-deny")
        .unwrap();
    let nothing = serde_json::json!({ "podSelector": {}, "policyTypes": ["Ingress", "Egress"] });
    assert_eq!(deny["spec"], nothing);
    for (file, policy) in documents("").iter().filter(|(_, one)| is(one, "NetworkPolicy")) {
        for (rules, side) in [("ingress", "from"), ("egress", "to")] {
            for rule in items(&policy["spec"][rules]) {
                // A rule without peers or ports lets everybody or everything through.
                assert!(!items(&rule[side]).is_empty(), "{}: {rule}", file.display());
                assert!(!items(&rule["ports"]).is_empty(), "{}: {rule}", file.display());
            }
        }
    }
}

#[test]
fn a_service_is_reached_by_its_callers_alone() {
    for service in Service::ALL.iter().filter(|one| one.name != Service::GATEWAY) {
        let policy = of_service(service, "NetworkPolicy");
        let selected = serde_json::json!({ "matchLabels": { NAME: service.name } });
        assert_eq!(policy["spec"]["podSelector"], selected);
        let [rule] = items(&policy["spec"]["ingress"]) else { panic!("{policy}") };
        assert_eq!(peers(rule, "from"), callers(service), "{}", service.name);
        assert_eq!(rule["ports"], tcp(service.port), "{}", service.name);
    }
}

#[test]
fn a_service_reaches_and_finds_what_it_may_call() {
    for service in Service::ALL {
        let called = |other: &&Service| {
            other.name != Service::GATEWAY && callers(other).contains(service.name)
        };
        let expected: BTreeMap<&str, Value> =
            Service::ALL.iter().filter(called).map(|one| (one.name, tcp(one.port))).collect();
        let policy = of_service(service, "NetworkPolicy");
        let mut found = BTreeMap::new();
        for rule in items(&policy["spec"]["egress"]) {
            for peer in peers(rule, "to") {
                let peer = Service::find(&peer).unwrap().name;
                found.insert(peer, rule["ports"].clone());
            }
        }
        assert_eq!(found, expected, "{}", service.name);

        let text = read(format!("{FOLDER}/base/{}/config.env", service.name));
        let prefix = format!("{}__DISCOVERY__STATIC__", service.variable);
        let addresses: BTreeSet<&str> =
            text.lines().filter(|line| line.starts_with(&prefix)).collect();
        let wanted: BTreeSet<String> = Service::ALL
            .iter()
            .filter(called)
            .map(|one| {
                let name = one.name.replace('-', "_").to_uppercase();
                format!("{prefix}{name}=dns+{}:{}", one.name, one.port)
            })
            .collect();
        let wanted: BTreeSet<&str> = wanted.iter().map(String::as_str).collect();
        assert_eq!(addresses, wanted, "{}", service.name);
    }
}

#[test]
fn a_service_reaches_the_servers_that_it_uses() {
    for service in Service::ALL {
        let sections = defaults(service);
        let labels = &of_service(service, "Deployment")["spec"]["template"]["metadata"]["labels"];
        for (server, section) in SERVERS {
            let is_client = labels[format!("enterprisehub/{server}")] == "client";
            assert_eq!(is_client, sections.contains_key(section), "{}: {server}", service.name);
        }
    }
    for overlay in ["overlays/dev", "overlays/prod"] {
        let policies = documents(overlay);
        for (server, _) in SERVERS {
            let is_it = |one: &&(_, Value)| {
                is(&one.1, "NetworkPolicy")
                    && one.1["metadata"]["name"] == format!("{server}-clients")
            };
            let (_, policy) = policies.iter().find(is_it).unwrap_or_else(|| panic!("{server}"));
            let clients = serde_json::json!({ format!("enterprisehub/{server}"): "client" });
            assert_eq!(policy["spec"]["podSelector"]["matchLabels"], clients, "{overlay}");
            assert_eq!(items(&policy["spec"]["egress"]).len(), 1, "{overlay}: {server}");
        }
    }
}
