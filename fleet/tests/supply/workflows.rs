//! The workflows: what they may do, for how long, and whose actions they use.

use std::collections::BTreeSet;

use fleet::services::Service;
use serde_json::{Map, Value};

use crate::compose::Compose;
use crate::{read, root, yaml};

/// Who may act in our name. Their actions are named by major version.
const OWNERS: [&str; 3] = ["actions", "docker", "EmbarkStudios"];
/// Longest time that a job may ask for, in minutes.
const LONGEST: u64 = 90;

fn workflows() -> Vec<(String, Value)> {
    let folder = root().join(".github/workflows");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let workflows = files.map(|file| {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let mut documents = yaml::parse(&read(&file));
        assert_eq!(documents.len(), 1, "{name}");
        (name, documents.remove(0))
    });
    workflows.collect()
}

fn workflow(name: &str) -> Value {
    let found = workflows().into_iter().find(|(file, _)| file == name);
    found.unwrap_or_else(|| panic!("there is no {name}")).1
}

fn jobs(workflow: &Value) -> &Map<String, Value> {
    workflow["jobs"].as_object().unwrap()
}

fn steps(job: &Value) -> &[Value] {
    job["steps"].as_array().map_or(&[], Vec::as_slice)
}

#[test]
fn workflows_may_read_and_jobs_ask_for_more() {
    let mut writers = BTreeSet::new();
    for (file, workflow) in workflows() {
        assert_eq!(workflow["permissions"], serde_json::json!({ "contents": "read" }), "{file}");
        assert!(workflow["concurrency"]["group"].is_string(), "{file}");
        for (name, job) in jobs(&workflow) {
            let mut rights = job["permissions"].as_object().into_iter().flatten();
            if rights.any(|(_, right)| right == "write") {
                writers.insert(format!("{file}: {name}"));
            }
        }
    }
    let known = ["images", "provenance", "release"].map(|job| format!("release.yml: {job}"));
    assert_eq!(writers, BTreeSet::from(known));
}

#[test]
fn every_job_ends() {
    for (file, workflow) in workflows() {
        for (name, job) in jobs(&workflow) {
            let bound = job["timeout-minutes"].as_u64();
            let is_elsewhere = job["uses"].is_string();
            assert!(is_elsewhere || bound.is_some_and(|bound| bound <= LONGEST), "{file}: {name}");
        }
    }
}

#[test]
fn actions_are_of_known_owners_and_get_no_credentials() {
    for (file, workflow) in workflows() {
        for step in jobs(&workflow).values().flat_map(steps) {
            let Some(action) = step["uses"].as_str() else { continue };
            let (path, version) = action.split_once('@').unwrap_or_else(|| panic!("{action}"));
            let owner = path.split('/').next().unwrap();
            assert!(OWNERS.contains(&owner), "{file}: {action}");
            let is_digest =
                version.len() == 40 && version.bytes().all(|byte| byte.is_ascii_hexdigit());
            let is_major = version.strip_prefix('v').is_some_and(|n| n.parse::<u16>().is_ok());
            assert!(is_digest || is_major, "{file}: {action}");
            if path == "actions/checkout" {
                assert_eq!(step["with"]["persist-credentials"], false, "{file}: {step}");
            }
        }
    }
}

/// Text of strangers, such as the name of a branch, would be run as part of the script.
#[test]
fn scripts_are_not_put_together() {
    for (file, workflow) in workflows() {
        for step in jobs(&workflow).values().flat_map(steps) {
            let script = step["run"].as_str().unwrap_or_default();
            assert!(!script.contains("${{"), "{file}: {script}");
        }
    }
}

#[test]
fn all_images_are_released() {
    let release = workflow("release.yml");
    let attested: BTreeSet<&str> = release["jobs"]["provenance"]["strategy"]["matrix"]["name"]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap())
        .collect();
    let images = Service::ALL.iter().map(|service| service.name).chain(["certificates"]);
    assert_eq!(attested, images.clone().collect::<BTreeSet<_>>());
    for step in steps(&release["jobs"]["images"]) {
        let script = step["run"].as_str().unwrap_or_default();
        if script.contains("for name in") {
            assert!(images.clone().all(|image| script.contains(image)), "{script}");
        }
    }
}

/// The commands of a job.
fn scripts(job: &Value) -> impl Iterator<Item = &str> {
    steps(job).iter().filter_map(|step| step["run"].as_str()).map(str::trim)
}

#[test]
fn every_stage_of_the_checks_is_run_by_a_job() {
    let script = read("scripts/ci.sh");
    let (_, rest) = script.split_once("all_stages=(").unwrap();
    let stages: BTreeSet<&str> = rest.split(')').next().unwrap().split_whitespace().collect();
    let ci = workflow("ci.yml");
    let commands = jobs(&ci).values().flat_map(scripts);
    let run = commands.filter_map(|command| command.strip_prefix(".ci/run "));
    assert_eq!(run.flat_map(str::split_whitespace).collect::<BTreeSet<_>>(), stages);
}

#[test]
fn servers_of_a_job_are_those_of_the_fleet_and_tests_are_told_all_of_them() {
    let (ci, fleet) = (workflow("ci.yml"), Compose::parse(&read("deploy/docker-compose.yml")));
    let job = &ci["jobs"]["servers"];
    for server in ["mysql", "redis", "rabbitmq"] {
        assert_eq!(fleet.of(server, "image"), [job["services"][server]["image"].as_str().unwrap()]);
    }
    let consul = fleet.of("consul", "image")[0];
    assert!(scripts(job).any(|script| script.contains(consul)), "{consul}");
    for variable in ["MYSQL", "REDIS", "AMQP", "CONSUL"] {
        assert!(job["env"][format!("EH_TEST_{variable}_URL")].is_string(), "{variable}");
    }
    let tested = scripts(job).find(|script| script.starts_with("cargo ehub test")).unwrap();
    for package in Service::ALL.iter().map(|service| service.name).chain(["chassis"]) {
        assert!(tested.contains(&format!("--package {package}")), "{package}");
    }
}

/// The version before is looked for in the history.
#[test]
fn an_upgrade_is_tried_with_the_whole_history() {
    let upgrade = workflow("upgrade.yml");
    assert!(upgrade["on"]["schedule"][0]["cron"].is_string());
    let job = &upgrade["jobs"]["upgrade"];
    assert!(scripts(job).any(|script| script == "scripts/check-upgrade.sh"));
    assert_eq!(steps(job)[0]["with"]["fetch-depth"], 0);
}

#[test]
fn what_changes_go_through_in_short_is_run_in_full_each_week() {
    let figures = workflow("figures.yml");
    assert!(figures["on"]["schedule"][0]["cron"].is_string());
    assert!(figures["on"].as_object().unwrap().contains_key("workflow_dispatch"));
    let text = figures["jobs"].to_string();
    for setting in [
        "EH_TEST_ROLLING_REQUESTS",
        "EH_TEST_ROLLING_ROUNDS",
        "EH_TEST_CONSUL_AWAY_S",
        "EH_TEST_RACES",
        "EH_TEST_SLOW_S",
        "EH_FUZZ_RUNS",
        "EH_FUZZ_SEED",
    ] {
        assert!(text.contains(setting), "{setting}");
    }
    let commands = jobs(&figures).values().flat_map(scripts);
    let commands = commands.collect::<Vec<_>>().join("\n");
    for command in [
        "cargo ehub chaos --seed",
        "cargo ehub chaos kills",
        "scripts/schemathesis.sh",
        "cargo ehub bench logins",
        "cargo ehub bench slow-clients",
        "cargo ehub bench login-flood",
        "cargo ehub bench overload",
        "cargo ehub bench neighbours",
    ] {
        assert!(commands.contains(command), "{command}");
    }
}

#[test]
fn what_was_measured_is_kept_whatever_it_tells() {
    for (name, job) in jobs(&workflow("figures.yml")) {
        let last = steps(job).last().unwrap();
        assert_eq!(last["uses"], "actions/upload-artifact@v4", "{name}");
        assert_eq!(last["if"], "${{ !cancelled() }}", "{name}");
        // Two of the same name would be refused.
        assert_eq!(last["with"]["name"], *name);
    }
}

/// The words behind `cargo ehub` in a line of a script, if the tool is called there.
fn call(line: &str) -> Option<Vec<String>> {
    let words = fleet::command::words(line);
    let mut words = words.into_iter().skip_while(|word| word.contains('='));
    let is_call = words.next()? == "cargo" && words.next()? == "ehub";
    // What a loop or the runner puts in is a number here.
    let filled = |word: String| if word.starts_with('$') { "7".to_owned() } else { word };
    let is_own = |word: &String| !["|", "||", "&&", "2>&1"].contains(&word.as_str());
    is_call.then(|| words.take_while(is_own).map(filled).collect())
}

#[test]
fn every_command_of_a_script_is_one_that_the_tool_takes() {
    let mut count = 0;
    for (file, workflow) in workflows() {
        let commands = jobs(&workflow).values().flat_map(scripts);
        let text = commands.collect::<Vec<_>>().join("\n").replace("\\\n", " ");
        for words in text.lines().filter_map(|line| call(line.trim())) {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            assert_eq!(fleet::command::check(&words), Ok(()), "{file}: {words:?}");
            count += 1;
        }
    }
    assert!(count > 10, "only {count} commands");
}
