//! The manifests of `deploy/kubernetes`: what every pod, setting and policy in them has to be.

mod network;
mod pods;
mod settings;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use fleet::services::Service;
use serde_json::Value;

use crate::{read, root, yaml};

const FOLDER: &str = "deploy/kubernetes";
/// The label by which everything of a service is found.
const NAME: &str = "app.kubernetes.io/name";

/// All documents below a folder of the manifests, each with its file.
fn documents(folder: &str) -> Vec<(PathBuf, Value)> {
    let mut files = Vec::new();
    collect(&root().join(FOLDER).join(folder), &mut files);
    files.sort();
    assert!(!files.is_empty(), "{folder} is empty");
    let read = |file: PathBuf| {
        let documents = yaml::parse(&read(&file));
        documents.into_iter().map(move |document| (file.clone(), document)).collect::<Vec<_>>()
    };
    files.into_iter().flat_map(read).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|end| end == "yaml") {
            files.push(path);
        }
    }
}

/// The only document of this kind that the base has for a service.
fn of_service(service: &Service, kind: &str) -> Value {
    let found = documents(&format!("base/{}", service.name));
    let mut found = found.into_iter().map(|(_, document)| document).filter(|one| is(one, kind));
    let document = found.next().unwrap_or_else(|| panic!("{} has no {kind}", service.name));
    assert!(found.next().is_none(), "{} has more than one {kind}", service.name);
    assert_eq!(document["metadata"]["name"], service.name, "{kind}");
    document
}

fn is(document: &Value, kind: &str) -> bool {
    document["kind"] == kind
}

/// The items of a list; none where there is nothing.
fn items(list: &Value) -> &[Value] {
    list.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

/// The defaults of a service.
fn defaults(service: &Service) -> toml::Table {
    crate::toml(format!("{}/config/default.toml", service.name))
}

#[test]
fn every_service_has_its_parts_with_its_ports() {
    for service in Service::ALL {
        let (name, labels) = (service.name, serde_json::json!({ NAME: service.name }));
        let is_edge = name == Service::GATEWAY;
        let own = if is_edge { "http" } else { "grpc" };

        let deployment = of_service(service, "Deployment");
        assert_eq!(deployment["spec"]["selector"]["matchLabels"], labels, "{name}");
        assert_eq!(deployment["spec"]["template"]["metadata"]["labels"][NAME], name);
        assert_eq!(deployment["spec"]["replicas"], Value::Null, "{name}: the autoscaler's");
        let containers = items(&deployment["spec"]["template"]["spec"]["containers"]);
        let [container] = containers else { panic!("{name} has other containers") };
        assert_eq!(container["image"], format!("enterprisehub/{name}"));
        let ports = serde_json::json!([
            { "name": own, "containerPort": service.port },
            { "name": "internal", "containerPort": service.internal_port },
        ]);
        assert_eq!(container["ports"], ports, "{name}");
        for (probe, path) in
            [("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")]
        {
            let asked = serde_json::json!({ "path": path, "port": "internal" });
            assert_eq!(container[probe]["httpGet"], asked, "{name}: {probe}");
        }

        let published = of_service(service, "Service");
        let port = serde_json::json!([{ "name": own, "port": service.port, "targetPort": own }]);
        assert_eq!(published["spec"]["ports"], port, "{name}");
        assert_eq!(published["spec"]["selector"], labels, "{name}");
        // By its name the callers have to find every pod.
        assert_eq!(published["spec"]["clusterIP"] == "None", !is_edge, "{name}");
    }
}

#[test]
fn every_service_survives_the_loss_of_a_pod() {
    for service in Service::ALL {
        let scaler = of_service(service, "HorizontalPodAutoscaler");
        assert_eq!(scaler["spec"]["scaleTargetRef"]["name"], service.name);
        let bound = |key: &str| scaler["spec"][key].as_u64().unwrap();
        assert!(bound("minReplicas") >= 2, "{}", service.name);
        assert!(bound("maxReplicas") > bound("minReplicas"), "{}", service.name);
        let budget = of_service(service, "PodDisruptionBudget");
        let labels = serde_json::json!({ NAME: service.name });
        assert_eq!(budget["spec"]["selector"]["matchLabels"], labels);
        assert_eq!(budget["spec"]["maxUnavailable"], 1, "{}", service.name);
        let spec = &of_service(service, "Deployment")["spec"]["template"]["spec"];
        for spread in items(&spec["topologySpreadConstraints"]) {
            assert_eq!(spread["labelSelector"]["matchLabels"], labels);
        }
        assert_eq!(items(&spec["topologySpreadConstraints"]).len(), 2, "{}", service.name);
    }
}

#[test]
fn every_manifest_is_listed_and_every_listed_one_is_there() {
    for (file, list) in documents("").iter().filter(|(_, one)| is_list(one)) {
        let folder = file.parent().unwrap();
        let listed: BTreeSet<PathBuf> = ["resources", "components"]
            .iter()
            .flat_map(|key| items(&list[*key]))
            .map(|path| folder.join(text(path)))
            .collect();
        for path in &listed {
            let list = path.join("kustomization.yaml");
            assert!(path.is_file() || list.is_file(), "{}: {}", file.display(), path.display());
        }
        for beside in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            let is_manifest = beside.extension().is_some_and(|end| end == "yaml");
            let is_known = listed.contains(&beside) || beside == *file;
            assert!(!is_manifest || is_known, "{} is not listed", beside.display());
        }
    }
}

/// Rules and dashboards go by jobs that are named after services.
#[test]
fn prometheus_reads_internal_ports_and_names_jobs_after_services() {
    let parts = documents("components/prometheus");
    let (_, monitor) = parts.iter().find(|(_, one)| is(one, "PodMonitor")).unwrap();
    let spec = &monitor["spec"];
    assert_eq!(spec["jobLabel"], NAME);
    let selected = serde_json::json!({ "app.kubernetes.io/part-of": "enterprisehub" });
    assert_eq!(spec["selector"]["matchLabels"], selected);
    let list = documents("base").into_iter().find(|(_, one)| !one["labels"].is_null());
    let label = list.unwrap().1["labels"][0].clone();
    assert_eq!((&label["pairs"], &label["includeTemplates"]), (&selected, &Value::Bool(true)));
    let [endpoint] = items(&spec["podMetricsEndpoints"]) else { panic!("{spec}") };
    assert_eq!((&endpoint["port"], &endpoint["path"]), (&"internal".into(), &"/metrics".into()));
}

fn is_list(document: &Value) -> bool {
    is(document, "Kustomization") || is(document, "Component")
}

#[test]
fn certificates_name_their_services() {
    let issued = documents("components/cert-manager");
    let of = |name: &str| {
        let is_it = |one: &&(PathBuf, Value)| {
            is(&one.1, "Certificate") && one.1["metadata"]["name"] == name
        };
        issued.iter().find(is_it).unwrap_or_else(|| panic!("{name}")).1["spec"].clone()
    };
    for service in Service::ALL {
        let spec = of(service.name);
        assert_eq!(spec["dnsNames"], serde_json::json!([service.name]));
        let uri = format!("spiffe://enterprisehub/{}", service.name);
        assert_eq!(spec["uris"], serde_json::json!([uri]));
        assert_eq!(
            spec["usages"],
            serde_json::json!(["digital signature", "server auth", "client auth"])
        );
        assert_eq!(spec["secretName"], format!("{}-tls", service.name));
        assert_eq!(spec["isCA"], Value::Null, "{}", service.name);
    }
}
