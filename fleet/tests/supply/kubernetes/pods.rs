//! What pods may do, what they may use, and how they stop.

use fleet::services::Service;
use serde_json::Value;

use super::{defaults, documents, is, items, of_service, text};

/// What would let a pod look out of its box.
const WINDOWS: [&str; 4] = ["hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"];
/// What belongs to a pod alone and goes with it.
const KEPT: &str = "/var/lib/enterprisehub";
/// Seconds for which the name server of a cluster may answer from memory.
const NAMES_KEPT_S: u64 = 5;
/// Seconds to deregister, to let late tasks and connections go, and to flush telemetry.
const REST_S: u64 = 10;

/// The pods of all manifests, and where they are from.
fn pods() -> Vec<(String, Value)> {
    let all = documents("").into_iter();
    let pods = all.filter(|(_, one)| is(one, "Deployment") || is(one, "StatefulSet"));
    pods.map(|(file, one)| (file.display().to_string(), one["spec"]["template"].clone())).collect()
}

fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    ["containers", "initContainers"].into_iter().flat_map(move |key| items(&pod["spec"][key]))
}

#[test]
fn a_pod_has_no_rights() {
    assert!(pods().len() > Service::ALL.len());
    for (place, pod) in pods() {
        let spec = &pod["spec"];
        assert_eq!(spec["automountServiceAccountToken"], false, "{place}");
        assert_eq!(spec["enableServiceLinks"], false, "{place}");
        assert_eq!(spec["securityContext"]["runAsNonRoot"], true, "{place}");
        assert!(spec["securityContext"]["runAsUser"].as_u64().unwrap() > 0, "{place}");
        assert_eq!(spec["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{place}");
        for window in WINDOWS {
            assert_eq!(spec[window], Value::Null, "{place}: {window}");
        }
        assert!(containers(&pod).count() > 0, "{place}");
        for container in containers(&pod) {
            let context = &container["securityContext"];
            let bare = serde_json::json!({
                "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true,
                "capabilities": { "drop": ["ALL"] },
            });
            assert_eq!(*context, bare, "{place}");
            assert!(items(&container["ports"]).iter().all(|port| port["hostPort"].is_null()));
        }
    }
}

#[test]
fn a_pod_uses_so_much_and_no_more() {
    for (place, pod) in pods() {
        for container in containers(&pod) {
            for bound in ["requests", "limits"] {
                for kind in ["cpu", "memory"] {
                    let value = &container["resources"][bound][kind];
                    assert!(!value.is_null(), "{place} has no {bound} of {kind}");
                }
            }
        }
        for volume in items(&pod["spec"]["volumes"]) {
            assert_eq!(volume["hostPath"], Value::Null, "{place}");
            let scratch = &volume["emptyDir"];
            assert!(scratch.is_null() || scratch["sizeLimit"].is_string(), "{place}: {volume}");
        }
    }
}

#[test]
fn a_service_writes_to_no_mounted_secret() {
    for service in Service::ALL {
        let pod = of_service(service, "Deployment")["spec"]["template"].clone();
        let container = &pod["spec"]["containers"][0];
        let mounted: Vec<&str> = items(&container["volumeMounts"])
            .iter()
            .filter(|mount| mount["readOnly"] == true)
            .map(|mount| text(&mount["name"]))
            .collect();
        for volume in items(&pod["spec"]["volumes"]) {
            let secret = &volume["secret"];
            if secret.is_null() {
                continue;
            }
            assert!(mounted.contains(&text(&volume["name"])), "{}: {volume}", service.name);
            assert!(text(&secret["secretName"]).starts_with(service.name), "{volume}");
            assert_eq!(secret["defaultMode"], 0o440, "{}: {volume}", service.name);
        }
    }
}

#[test]
fn a_pod_has_time_to_tell_its_callers_and_to_finish() {
    for service in Service::ALL {
        let defaults = defaults(service);
        let ms = |section: &str, key: &str| {
            u64::try_from(defaults[section][key].as_integer().unwrap()).unwrap()
        };
        let spec = of_service(service, "Deployment")["spec"]["template"]["spec"].clone();
        let grace = spec["terminationGracePeriodSeconds"].as_u64().unwrap();
        let notice =
            spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64().unwrap();
        let noticed = ms("discovery", "dns_refresh_ms").div_ceil(1_000) + NAMES_KEPT_S;
        assert!(notice >= noticed, "{}: callers notice within {noticed} s", service.name);
        let needed = notice + ms("server", "drain_timeout_ms").div_ceil(1_000) + REST_S;
        assert!(grace >= needed, "{} needs {needed} s to stop", service.name);
    }
}

/// With Consul, a container that starts anew while that is away begins with what it has kept.
#[test]
fn a_service_that_asks_consul_keeps_the_answers_where_it_may_write() {
    let parts = documents("components/consul");
    let literals: Vec<&str> = parts
        .iter()
        .flat_map(|(_, one)| items(&one["configMapGenerator"]))
        .flat_map(|one| items(&one["literals"]))
        .map(text)
        .collect();
    let patches: Vec<&Value> = parts.iter().flat_map(|(_, one)| items(&one["patches"])).collect();
    for service in Service::ALL {
        let kept = format!("{}__DISCOVERY__CACHE_DIR={KEPT}/discovery", service.variable);
        assert!(literals.contains(&kept.as_str()), "{}", service.name);
        let pod = of_service(service, "Deployment")["spec"]["template"]["spec"].clone();
        let has_folder = items(&pod["containers"][0]["volumeMounts"])
            .iter()
            .any(|mount| mount["mountPath"] == KEPT && mount["readOnly"].is_null());
        let kind = service.name.trim_end_matches("-service");
        let gets_folder = patches.iter().any(|patch| {
            let named = text(&patch["target"]["name"]);
            named.split(['(', '|', ')']).any(|name| name == kind)
                && text(&patch["patch"]).contains(&format!("mountPath: {KEPT} }}"))
        });
        // A folder that is mounted twice is refused.
        assert_ne!(has_folder, gets_folder, "{}", service.name);
    }
}
