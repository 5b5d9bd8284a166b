//! The pages that alerts lead to, and whether what they tell to type exists.

use std::collections::BTreeSet;

use fleet::command::{check, words};
use fleet::observability::{Catalogue, catalogues};
use fleet::services::Service;

use crate::{faults, files, read, root, rules};

const FOLDER: &str = "docs/runbooks";
/// What every page is made of, in this order.
const PARTS: [&str; 4] = ["## What it means", "## First look", "## Mending", "## When it clears"];
/// What a process answers on its internal port.
const INTERNAL: [&str; 3] = ["/metrics", "/readyz", "/livez"];
/// How commands of the tool begin.
pub(crate) const TOOL: &str = "cargo ehub ";
/// How those about containers begin.
pub(crate) const COMPOSE: &str = "docker compose -f deploy/docker-compose.yml ";

/// The blocks of a page in one language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let start = format!("```{language}\n");
    let blocks = page.split(start.as_str()).skip(1);
    blocks.filter_map(|rest| Some(rest.split_once("```")?.0.to_owned())).collect()
}

/// What the pages tell to type, line by line and without remarks; each command once.
pub(crate) fn commands() -> BTreeSet<String> {
    let pages = files(FOLDER, ".md").into_iter().map(|name| read(format!("{FOLDER}/{name}.md")));
    let blocks = pages.map(|page| blocks(&page, "sh").join("\n")).collect::<Vec<_>>().join("\n");
    let commands = blocks.lines().map(without_remark).filter(|line| !line.is_empty());
    commands.map(str::to_owned).collect()
}

fn without_remark(line: &str) -> &str {
    line.split('#').next().unwrap_or_default().trim()
}

/// The request of a line, and what its answer is searched for, if anything.
pub(crate) fn request_and_pattern(line: &str) -> (&str, Option<&str>) {
    match line.split_once(" | grep ") {
        Some((request, pattern)) => (request, Some(pattern.trim().trim_matches(['\'', '"']))),
        None => (line, None),
    }
}

/// What is wrong with a command; nothing for a comment.
fn fault(line: &str, catalogues: &[Catalogue]) -> Option<String> {
    let line = without_remark(line);
    if line.is_empty() {
        return None;
    }
    if let Some(rest) = line.strip_prefix(TOOL) {
        let words = words(rest);
        return check(&words.iter().map(String::as_str).collect::<Vec<_>>()).err();
    }
    if let Some(rest) = line.strip_prefix(COMPOSE) {
        return fault_of_compose(rest);
    }
    let (request, pattern) = request_and_pattern(line);
    let pattern = pattern.unwrap_or("eh_");
    let mut names = catalogues.iter().flat_map(|one| &one.metric).map(|metric| &metric.name);
    if !names.any(|name| name.starts_with(pattern)) {
        return Some(format!("no metric begins with {pattern}"));
    }
    match words(request).as_slice() {
        [curl, options @ .., url] if curl == "curl" => fault_of_request(options, url),
        _ => Some(format!("{line} is no command of a runbook")),
    }
}

fn fault_of_compose(rest: &str) -> Option<String> {
    let words = words(rest);
    let [verb, names @ ..] = words.as_slice() else { return Some("what of compose?".to_owned()) };
    if !["ps", "logs", "restart", "up", "stop"].contains(&verb.as_str()) {
        return Some(format!("compose {verb} is not for runbooks"));
    }
    let compose = read("deploy/docker-compose.yml");
    let mut is_value = false;
    for name in names {
        if is_value || name.starts_with('-') {
            is_value = ["--since", "--tail"].contains(&name.as_str());
        } else if !compose.contains(&format!("\n  {name}:\n")) {
            return Some(format!("there is no container {name}"));
        }
    }
    None
}

fn fault_of_request(options: &[String], url: &str) -> Option<String> {
    let known = |option: &String| {
        ["-s", "-X", "POST", "-H"].contains(&option.as_str())
            || option.starts_with("authorization:")
    };
    if let Some(unknown) = options.iter().find(|option| !known(option)) {
        return Some(format!("curl {unknown}?"));
    }
    let place = url.strip_prefix("http://127.0.0.1:").and_then(|rest| rest.split_once('/'));
    let parsed = place.and_then(|(port, path)| Some((port.parse::<u16>().ok()?, path)));
    let Some((port, path)) = parsed else { return Some(format!("{url} is no address of a fleet")) };
    let path = format!("/{path}");
    let is_internal = Service::ALL.iter().any(|service| service.internal_port == port);
    let is_public = Service::find(Service::GATEWAY).is_some_and(|gateway| gateway.port == port);
    let is_there = match path.split('?').next().unwrap_or_default() {
        path if is_internal => INTERNAL.contains(&path),
        path if is_public => read("docs/openapi.json").contains(&format!("\"{path}\": {{")),
        _ => false,
    };
    (!is_there).then(|| format!("nobody answers {url}"))
}

#[test]
fn every_alert_has_a_page_and_every_page_an_alert() {
    let pages: BTreeSet<String> = files(FOLDER, ".md").into_iter().collect();
    assert_eq!(pages, rules::alerts());
}

#[test]
fn every_page_says_what_it_means_where_to_look_how_to_mend_and_when_it_is_over() {
    for name in files(FOLDER, ".md") {
        let page = read(format!("{FOLDER}/{name}.md"));
        assert!(page.starts_with(&format!("# {name}\n")), "{name} has another title");
        let places: Vec<_> = PARTS.map(|part| page.find(part)).into();
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{name}: {places:?}");
        assert!(!blocks(&page, "sh").is_empty(), "{name} tells nothing to type");
    }
}

#[test]
fn what_pages_tell_to_type_exists() {
    let (catalogues, recorded) = (catalogues(&root()).unwrap(), rules::recorded());
    let mut found = Vec::new();
    for name in files(FOLDER, ".md") {
        let page = read(format!("{FOLDER}/{name}.md"));
        let commands = blocks(&page, "sh").join("\n");
        let of_commands = commands.lines().filter_map(|line| fault(line, &catalogues));
        let queries = blocks(&page, "promql").join("\n");
        let of_queries = queries.lines().flat_map(|line| faults(line, &catalogues, &recorded));
        found.extend(of_commands.chain(of_queries).map(|fault| format!("{name}: {fault}")));
    }
    assert_eq!(found, [""; 0]);
}

#[test]
fn a_command_that_does_not_exist_is_seen() {
    let catalogues = catalogues(&root()).unwrap();
    let of = |line: &str| fault(line, &catalogues);
    for good in [
        "cargo ehub audit --settle  # what is broken",
        "curl -s http://127.0.0.1:9053/metrics | grep eh_outbox",
        "curl -s http://127.0.0.1:9053/readyz",
        "curl -s -H \"authorization: Bearer $TOKEN\" http://127.0.0.1:8080/api/v1/admin/dead-letters",
        "docker compose -f deploy/docker-compose.yml logs --tail 50 rabbitmq",
        "# only a remark",
    ] {
        assert_eq!(of(good), None, "{good}");
    }
    for bad in [
        "cargo ehub repair",
        "cargo ehub audit --gently",
        "curl -s http://127.0.0.1:9053/metrics | grep eh_ghost",
        "curl -s http://127.0.0.1:9053/secrets",
        "curl -s http://127.0.0.1:8080/api/v1/ghosts",
        "curl -s http://127.0.0.1:1/metrics",
        "docker compose -f deploy/docker-compose.yml logs ghost",
        "docker compose -f deploy/docker-compose.yml down mysql",
        "rm -r /",
    ] {
        assert!(of(bad).is_some(), "{bad}");
    }
}
