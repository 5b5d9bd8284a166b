//! The images and how they are run.

use std::collections::BTreeSet;

use fleet::services::Service;

use crate::compose::Compose;
use crate::dockerfile::{self, Stage};
use crate::read;

/// The image that makes the certificates of a fleet in containers.
const CERTIFICATES: &str = "certificates";
/// Where a service keeps the last good addresses of the others.
const KEPT: &str = "/var/lib/enterprisehub/discovery";
/// Where the gateway keeps the last good keys and revocations.
const REVOCATIONS: &str = "/var/lib/enterprisehub/gateway";
/// What the fleet needs beside itself.
const SERVERS: [&str; 4] = ["mysql", "redis", "rabbitmq", "consul"];
/// What gives a container more than it was started with.
const GRANTS: [&str; 8] =
    ["privileged", "cap_add", "devices", "pid", "ipc", "userns_mode", "user", "group_add"];

fn compose() -> Compose {
    Compose::parse(&read("deploy/docker-compose.yml"))
}

/// The stages that become images: those that no other stage is built upon.
fn images() -> Vec<Stage> {
    let stages = stages();
    let is_used = |stage: &Stage| {
        let from = format!("from={}", stage.name);
        let is_named = |other: &Stage| {
            let copies = |kind| other.all(kind).into_iter().any(|line| names(line, &from));
            other.base == stage.name || copies("COPY") || copies("RUN")
        };
        stages.iter().any(is_named)
    };
    let used: Vec<bool> = stages.iter().map(is_used).collect();
    stages.into_iter().zip(used).filter(|(_, is_used)| !is_used).map(|(stage, _)| stage).collect()
}

/// Whether an option or a part of one is this.
fn names(line: &str, option: &str) -> bool {
    line.split([' ', ',']).any(|part| part.trim_start_matches('-') == option)
}

fn stages() -> Vec<Stage> {
    dockerfile::parse(&read("deploy/Dockerfile"))
}

#[test]
fn a137_containers_have_no_rights() {
    let compose = compose();
    let built: BTreeSet<&str> = compose.built().into_iter().collect();
    let services = Service::ALL.iter().map(|service| service.name);
    let known: BTreeSet<&str> = services.chain([CERTIFICATES]).collect();
    assert_eq!(built, known);
    for service in built {
        assert_eq!(compose.of(service, "read_only"), ["true"], "{service}");
        assert_eq!(compose.of(service, "cap_drop"), ["[ALL]"], "{service}");
        let options = compose.of(service, "security_opt");
        assert_eq!(options, ["[\"no-new-privileges:true\"]"], "{service}");
        for grant in GRANTS {
            assert!(compose.of(service, grant).is_empty(), "{service} has {grant}");
        }
        assert!(
            compose.of(service, "network_mode").iter().all(|mode| *mode == "none"),
            "{service}"
        );
        let volumes = compose.of(service, "volumes").join(",");
        assert!(!volumes.contains("docker.sock"), "{service}");
        let mounts = volumes.split(',').map(|volume| volume.trim_end_matches(['"', ']']));
        let written: Vec<&str> =
            mounts.filter(|one| !one.is_empty() && !one.ends_with(":ro")).collect();
        if service != CERTIFICATES {
            // What is kept for the next start, in volumes that nobody else has: one with a name would
            // be that of all containers of the service.
            let kept = if service == Service::GATEWAY { &[KEPT, REVOCATIONS][..] } else { &[KEPT] };
            assert_eq!(written, kept, "{service} mounts {volumes}");
        }
    }
}

#[test]
fn a_container_that_starts_anew_knows_what_the_last_one_did() {
    let compose = compose();
    for service in Service::ALL {
        let variable = format!("{}__DISCOVERY__CACHE_DIR", service.variable);
        assert_eq!(compose.environment(service.name, &variable), [KEPT], "{}", service.name);
    }
    let kept = compose.environment(Service::GATEWAY, "EH_GATEWAY__REVOCATIONS__FOLDER");
    assert_eq!(kept, [REVOCATIONS]);
    // The owner of a volume is that of the folder in the image on which it is mounted first.
    let stages = stages();
    let stage = |name: &str| stages.iter().find(|stage| stage.name == name).unwrap();
    for kept in [KEPT, REVOCATIONS] {
        let (folder, name) = kept.rsplit_once('/').unwrap();
        let copied = format!("--from=build --chown=65532:65532 /out/kept {folder}");
        assert!(stage("runtime").all("COPY").contains(&copied.as_str()), "{kept}");
        assert!(stage("build").all("RUN")[0].contains(&format!(" /out/kept/{name} ")), "{kept}");
    }
}

#[test]
fn two_containers_of_a_service_are_two_instances() {
    // An instance is known by its address, and a name of the service would be that of both.
    assert!(!read("deploy/docker-compose.yml").contains("__ADVERTISE_HOST"));
}

#[test]
fn containers_use_so_much_and_no_more() {
    let compose = compose();
    for service in compose.built() {
        for bound in ["mem_limit", "pids_limit"] {
            assert_eq!(compose.of(service, bound).len(), 1, "{service} has no {bound}");
        }
    }
    for server in SERVERS {
        assert_eq!(compose.of(server, "mem_limit").len(), 1, "{server}");
    }
}

#[test]
fn servers_for_a_developer_are_the_fleets_and_on_loopback() {
    let fleet = compose();
    let text = read("deploy/docker-compose.infrastructure.yml");
    let alone = Compose::parse(&text);
    for server in SERVERS {
        let extended = format!("{{ file: docker-compose.yml, service: {server} }}");
        if alone.of(server, "extends") != [extended.as_str()] {
            assert_eq!(alone.of(server, "image"), fleet.of(server, "image"), "{server}");
        }
        let ports = alone.of(server, "ports");
        assert!(ports.iter().all(|port| port.starts_with("127.0.0.1:")), "{server}: {ports:?}");
        // In the network of the machine there is nothing to publish.
        let is_on_machine = alone.of(server, "network_mode") == ["host"];
        assert_eq!(ports.is_empty(), is_on_machine, "{server}");
        assert!(!is_on_machine || text.contains("\"-client=127.0.0.1\""), "{server}");
    }
}

#[test]
fn what_watches_the_fleet_is_there_when_asked_for_and_has_no_rights() {
    let compose = compose();
    for name in ["prometheus", "alertmanager", "grafana", "jaeger", "mailpit"] {
        assert_eq!(compose.of(name, "profiles"), ["[observability]"], "{name}");
        assert_eq!(compose.of(name, "cap_drop"), ["[ALL]"], "{name}");
        let image = compose.of(name, "image").join("");
        let tag = image.rsplit_once(':').map_or("", |(_, tag)| tag);
        assert!(tag.contains(|c: char| c.is_ascii_digit()), "{name}: {image} names no version");
        let ports = compose.of(name, "ports");
        assert!(ports.iter().all(|port| port.starts_with("127.0.0.1:")), "{name}: {ports:?}");
    }
    let asked = compose.built().into_iter().chain(["mysql", "redis", "rabbitmq", "consul"]);
    let mut asked = asked.filter(|name| !compose.of(name, "profiles").is_empty());
    assert_eq!(asked.next(), None, "a fleet needs no profile");
}

#[test]
fn a137_images_run_as_nobody_and_have_no_shell() {
    let images = images();
    assert_eq!(images.len(), 2, "the services' image and that of the certificates");
    for image in &images {
        let name = &image.name;
        assert!(image.base.starts_with("gcr.io/distroless/"), "{name}: {}", image.base);
        assert!(image.base.ends_with(":nonroot"), "{name}: {}", image.base);
        // By number: an orchestrator that insists on another user than root cannot judge a name.
        assert_eq!(image.all("USER").last(), Some(&"65532:65532"), "{name}");
        assert!(image.all("RUN").is_empty(), "{name} needs a shell");
        for kind in ["ENTRYPOINT", "CMD"] {
            let is_list = |line: &&str| line.starts_with('[');
            assert!(image.all(kind).iter().all(is_list), "{name}: {kind} needs a shell");
        }
        assert_eq!(image.all("ENTRYPOINT").len(), 1, "{name}");
    }
    let compose = compose();
    for service in Service::ALL {
        // An anchor of its own: each service asks itself.
        assert_eq!(compose.of(service.name, "healthcheck"), ["*healthcheck"], "{}", service.name);
    }
    let text = read("deploy/docker-compose.yml");
    assert!(text.contains("test: [\"CMD\", \"/usr/local/bin/service\", \"healthcheck\"]"));
    assert!(!text.contains("CMD-SHELL"));
}

#[test]
fn a_change_of_sources_leaves_the_dependencies_alone() {
    const BUILD: &str = "cargo build --locked --profile dist $PACKAGES ";
    let stages = stages();
    let stage = |name: &str| stages.iter().find(|stage| stage.name == name).unwrap();
    let dependencies = stage("dependencies");
    assert_eq!(dependencies.base, "toolchain");
    assert_eq!(dependencies.all("COPY"), ["--from=manifests /manifests ."]);
    // With other packages or another profile they would be compiled a second time.
    for name in ["dependencies", "build"] {
        let commands = stage(name).all("RUN");
        assert!(commands.len() == 1 && commands[0].contains(BUILD), "{name}: {commands:?}");
    }
    let mount = "--mount=type=cache,target=/src/target,from=dependencies,source=/src/target";
    assert!(stage("build").all("RUN")[0].starts_with(mount));
    let packages = stage("toolchain").all("ENV").join(" ");
    for name in Service::ALL.iter().map(|service| service.name).chain(["fleet"]) {
        assert!(packages.contains(&format!("--package {name}")), "{name} is not built");
    }
    // Manifests are looked for one folder deep.
    let workspace = crate::toml("Cargo.toml");
    let mut members = workspace["workspace"]["members"].as_array().unwrap().iter();
    assert!(members.all(|member| !member.as_str().unwrap().contains('/')));
}

#[test]
fn a137_no_secret_in_a_layer() {
    let words = ["password", "secret", "token", "key", "credential", "passwd"];
    for stage in stages() {
        for kind in ["ARG", "ENV", "LABEL"] {
            for line in stage.all(kind) {
                let line = line.to_lowercase();
                assert!(!words.iter().any(|word| line.contains(word)), "{}: {line}", stage.name);
            }
        }
        let secret = stage.all("RUN").iter().any(|line| line.contains("--mount=type=secret"));
        assert!(!secret, "{}: a build needs no secret", stage.name);
    }
    for image in images() {
        assert!(image.all("ADD").is_empty(), "{}", image.name);
        for line in image.all("COPY") {
            let is_built = line.starts_with("--from=build ") && line.contains(" /out/")
                || line.starts_with("--from=build --chown=65532:65532 /out/");
            assert!(is_built, "{} copies what was not built: {line}", image.name);
        }
    }
    // What the builder copies is the checkout: what a developer keeps in it stays out.
    let ignored = read(".dockerignore");
    for pattern in ["/.git", "/.ehub", "/target", "**/.env*", "**/*.pem", "**/*.key"] {
        assert!(ignored.lines().any(|line| line == pattern), "{pattern} is not ignored");
    }
}
