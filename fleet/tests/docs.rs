//! The marks of crashes and of planted bugs in the sources, the catalogue of faults, and the tests
//! of attacks, against the pages that list them; and what all pages tell to type, against the tool
//! and the scripts.
//!
//! A mark that nobody can look up is not used, and a page that names what is gone misleads.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a source tree that cannot be read is a failed test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use fleet::chaos::catalogue::{PAGE, fill};

/// Which packages hold a mark, by its name.
type Marks = BTreeMap<String, BTreeSet<String>>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The members of the workspace, which are the folders of its packages.
fn packages() -> Vec<String> {
    let folders = std::fs::read_dir(root()).unwrap().map(Result::unwrap);
    folders
        .filter(|folder| folder.path().join("Cargo.toml").is_file())
        .map(|folder| folder.file_name().into_string().unwrap())
        .collect()
}

/// The files of a kind in a folder and all that are in it.
fn files(folder: &Path, kind: &str, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            files(&path, kind, found);
        } else if path.extension().is_some_and(|end| end == kind) {
            found.push(path);
        }
    }
}

/// What is compiled into the product: no comments, no unit tests, which are last in their file.
fn product_lines(source: &str) -> impl Iterator<Item = &str> {
    let product = source.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    product.lines().filter(|line| !line.trim_start().starts_with("//"))
}

/// The names in `macro!("…")`.
fn names<'a>(source: &'a str, call: &str) -> Vec<&'a str> {
    let start = format!("{call}!(\"");
    product_lines(source)
        .flat_map(|line| line.split(&*start).skip(1).collect::<Vec<_>>())
        .filter_map(|rest| Some(rest.split_once('"')?.0))
        .collect()
}

fn marks(call: &str) -> Marks {
    let mut marks = Marks::new();
    for package in packages() {
        let mut sources = Vec::new();
        files(&root().join(&package).join("src"), "rs", &mut sources);
        for file in sources {
            for name in names(&read(file), call) {
                marks.entry(name.to_owned()).or_default().insert(package.clone());
            }
        }
    }
    assert!(!marks.is_empty(), "no {call}! was found");
    marks
}

/// The rows of the tables of a page whose first cell is a name in backticks, as cells.
fn rows(page: &str) -> Vec<Vec<&str>> {
    page.lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect()
}

fn name_of<'a>(row: &[&'a str]) -> &'a str {
    row[0].trim_matches('`')
}

/// What is marked and not listed, what is listed and not marked, and what is listed twice.
fn disagreements(marks: &Marks, page: &str) -> Vec<String> {
    let listed: Vec<&str> = rows(page).iter().map(|row| name_of(row)).collect();
    let unlisted = marks.keys().filter(|name| !listed.contains(&name.as_str()));
    let gone = listed.iter().filter(|name| !marks.contains_key(**name));
    let count = |name: &&str| listed.iter().filter(|other| *other == name).count();
    let repeated: BTreeSet<_> = listed.iter().copied().filter(|name| count(name) > 1).collect();
    unlisted
        .map(|name| format!("{name} is not listed"))
        .chain(gone.map(|name| format!("{name} is not in the code")))
        .chain(repeated.iter().map(|name| format!("{name} is listed twice")))
        .collect()
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

/// `owner.place`, with as many words in between as are needed.
fn is_dotted(name: &str) -> bool {
    name.contains('.') && name.split('.').all(is_word)
}

/// Names of the wrong form, and those that mean something in more than one package.
fn misnamed(marks: &Marks, is_well_formed: fn(&str) -> bool) -> Vec<String> {
    let odd = marks.keys().filter(|name| !is_well_formed(name));
    let shared = marks.iter().filter(|(_, packages)| packages.len() > 1);
    odd.map(|name| format!("{name} has the wrong form"))
        .chain(shared.map(|(name, packages)| format!("{name} is in {packages:?}")))
        .collect()
}

#[test]
fn a_failpoint_is_named_by_its_place_and_a_planted_bug_by_its_effect() {
    assert_eq!(misnamed(&marks("failpoint"), is_dotted), [""; 0]);
    assert_eq!(misnamed(&marks("mutant"), is_word), [""; 0]);
}

#[test]
fn every_failpoint_is_listed_and_every_listed_one_is_there() {
    assert_eq!(disagreements(&marks("failpoint"), &read("docs/FAILPOINTS.md")), [""; 0]);
}

#[test]
fn every_planted_bug_is_listed_and_every_listed_one_is_there() {
    assert_eq!(disagreements(&marks("mutant"), &read("docs/MUTANTS.md")), [""; 0]);
}

#[test]
fn the_page_of_a_failpoint_is_about_it() {
    let list = read("docs/FAILPOINTS.md");
    for row in rows(&list) {
        let link = row.last().and_then(|cell| cell.split_once("](")?.1.strip_suffix(')'));
        let page = read(Path::new("docs").join(link.unwrap_or_else(|| panic!("no page: {row:?}"))));
        let name = name_of(&row);
        assert!(page.contains(&format!("`{name}`")), "the page of {name} does not name it");
    }
}

#[test]
fn the_faults_on_the_page_are_those_of_the_catalogue() {
    let page = read(PAGE);
    let is_current = fill(&page).unwrap() == page;
    assert!(is_current, "{PAGE} is not that of the code: cargo ehub chaos --write");
}

/// All sources below a folder of tests as one text.
fn text_of(folder: &str) -> String {
    let mut sources = Vec::new();
    files(&root().join("fleet/tests").join(folder), "rs", &mut sources);
    sources.iter().map(read).collect()
}

/// Whether a test is named after a row, such as `a001_no_token`.
fn is_row(name: &str) -> bool {
    let id = name.split('_').next().unwrap_or_default();
    id.len() == 4 && id.starts_with('a') && id[1..].bytes().all(|byte| byte.is_ascii_digit())
}

/// The names of the tests among these functions.
fn tests_in(source: &str) -> impl Iterator<Item = &str> {
    let behind = ["#[test]", "#[tokio::test]"].map(|mark| source.split(mark).skip(1));
    behind.into_iter().flatten().filter_map(|rest| {
        let rest = rest.trim_start();
        let rest = rest.strip_prefix("async ").unwrap_or(rest);
        Some(rest.strip_prefix("fn ")?.split_once('(')?.0)
    })
}

/// The tests of the catalogue of attacks, which are named after its rows: those on a fleet, and
/// those that need none.
fn attacks() -> BTreeSet<String> {
    let on_fleet = text_of("attacks");
    let without: String = ["supply", "fuzz"].map(text_of).concat();
    let rows = on_fleet.split("row!(").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0));
    rows.chain(tests_in(&without)).filter(|name| is_row(name)).map(str::to_owned).collect()
}

/// What is wrong with the catalogue of attacks on a page, given the tests that there are.
fn faults_of_catalogue(page: &str, tests: &BTreeSet<String>) -> Vec<String> {
    let is_row = |line: &&str| line.starts_with("| A0") || line.starts_with("| A1");
    let rows = page.lines().filter(is_row);
    let rows = rows.map(|line| line.trim_matches('|').split('|').map(str::trim));
    let (mut faults, mut named, mut last) = (Vec::new(), BTreeSet::new(), "");
    for row in rows {
        let cells: Vec<&str> = row.collect();
        let [id, _, test] = cells[..] else {
            faults.push(format!("{cells:?} is no row"));
            continue;
        };
        if id <= last {
            faults.push(format!("{id} is behind {last}"));
        }
        last = id;
        if test.strip_prefix("justified: ").is_some_and(|reason| reason.len() > 20) {
            continue;
        }
        for test in test.split(", ").map(|test| test.trim_matches('`').to_owned()) {
            if !test.starts_with(&format!("{}_", id.to_lowercase())) {
                faults.push(format!("{id} names {test:?}, which is neither its test nor a reason"));
            }
            named.insert(test);
        }
    }
    faults.extend(named.difference(tests).map(|name| format!("{name} is no test")));
    faults.extend(tests.difference(&named).map(|name| format!("{name} is not listed")));
    faults
}

#[test]
fn every_attack_has_a_test_or_a_reason_and_every_test_is_listed() {
    let tests = attacks();
    assert!(!tests.is_empty());
    assert_eq!(faults_of_catalogue(&read("docs/SECURITY.md"), &tests), [""; 0]);
}

/// The text of a test among these functions, up to its end.
fn text_of_test<'a>(source: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = source.split_once(&format!(" fn {name}("))?;
    rest.split("\n}\n").next()
}

/// What a test says that asserts this answer: a status with its code, a status, or what it is called.
fn assertion(answer: &str) -> String {
    match answer.split_once(' ') {
        Some((status, code)) => format!("{status}, \"{code}\""),
        None if answer.bytes().all(|byte| byte.is_ascii_digit()) => format!("require({answer})"),
        None => answer.to_owned(),
    }
}

/// What is wrong with the answers in which the product differs from the catalogue, given the sources
/// of its tests.
fn faults_of_differences(page: &str, source: &str) -> Vec<String> {
    let is_about_row = |row: &Vec<&str>| is_row(name_of(row));
    let faults = rows(page).into_iter().filter(is_about_row).filter_map(|row| {
        let [_, catalogue, product, reason] = row[..] else {
            return Some(format!("{row:?} is no difference"));
        };
        let name = name_of(&row);
        if catalogue.is_empty() || reason.len() <= 20 {
            return Some(format!("{name} has no reason"));
        }
        let Some(test) = text_of_test(source, name) else {
            return Some(format!("{name} is no test"));
        };
        let answer = product.trim_matches('`');
        (!test.contains(&assertion(answer))).then(|| format!("{name} does not assert {answer}"))
    });
    faults.collect()
}

#[test]
fn every_difference_from_the_catalogue_is_what_its_test_asserts() {
    let page = read("docs/SECURITY.md");
    let count = rows(&page).iter().filter(|row| is_row(name_of(row))).count();
    assert!(count >= 5, "only {count} differences are listed");
    assert_eq!(faults_of_differences(&page, &text_of("attacks")), [""; 0]);
}

#[test]
fn a_fault_of_a_difference_is_seen() {
    let source = "async fn a001_x(s: &S) {\n    refused(&r, 401, \"LOST\");\n}\n\
        async fn a002_y() {\n    r.require(200)\n}\n";
    let because = "because it is so and not otherwise";
    let line = |test: &str, answer: &str| format!("| `{test}` | 404 | `{answer}` | {because} |\n");
    let good = [line("a001_x", "401 LOST"), line("a002_y", "200"), line("cargo", "x")].concat();
    assert_eq!(faults_of_differences(&good, source), [""; 0]);
    let page = [
        line("a001_x", "200"),
        line("a002_y", "401 LOST"),
        line("a003_z", "200"),
        "| `a001_x` | 404 | `401 LOST` | so |\n| `a002_y` | 404 |\n".to_owned(),
    ];
    let expected = [
        "a001_x does not assert 200",
        "a002_y does not assert 401 LOST",
        "a003_z is no test",
        "a001_x has no reason",
        "[\"`a002_y`\", \"404\"] is no difference",
    ];
    assert_eq!(faults_of_differences(&page.concat(), source), expected);
}

#[test]
fn a_fault_of_the_catalogue_is_seen() {
    let tests = ["a001_x", "a004_lost"].map(str::to_owned).into();
    let page = "| A001 | x | `a001_x` |\n| A003 | y | justified: there is nothing of the kind |\n\
        | A002 | z | `a002_ghost` |\n| A005 | u | not yet |\n| A006 |";
    let faults = faults_of_catalogue(page, &tests);
    for fault in [
        "A002 is behind A003",
        "A005 names \"not yet\", which is neither its test nor a reason",
        "a002_ghost is no test",
        "a004_lost is not listed",
        "[\"A006\"] is no row",
    ] {
        assert!(faults.iter().any(|found| found == fault), "{fault}: {faults:?}");
    }
}

#[test]
fn rows_are_known_by_their_names_and_tests_by_their_marks() {
    let source =
        "fn a001_helper() {}\n#[test]\nfn a002_x() {}\n#[tokio::test]\nasync fn a003_y() {}";
    assert_eq!(
        tests_in(source).filter(|name| is_row(name)).collect::<Vec<_>>(),
        ["a002_x", "a003_y"]
    );
    assert!(!is_row("a_bill") && !is_row("a12_x") && !is_row("a12x_y") && !is_row("revocations"));
}

#[test]
fn a_disagreement_is_seen() {
    let marks = Marks::from([
        ("a.listed".to_owned(), BTreeSet::from(["chassis".to_owned()])),
        ("a.hidden".to_owned(), BTreeSet::from(["chassis".to_owned(), "fleet".to_owned()])),
        ("Odd".to_owned(), BTreeSet::from(["chassis".to_owned()])),
    ]);
    let page = "| `a.listed` | once |\n| `a.listed` | again |\n| `a.ghost` | x |\n| `Odd` | y |";
    assert_eq!(
        disagreements(&marks, page),
        ["a.hidden is not listed", "a.ghost is not in the code", "a.listed is listed twice"]
    );
    let faults = misnamed(&marks, is_dotted);
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(faults[0].starts_with("Odd has") && faults[1].starts_with("a.hidden is in"));
}

#[test]
fn only_marks_in_the_product_count() {
    let source = "/// failpoint!(\"in.a.comment\")\nfailpoint!(\"in.code\");\n\
        #[cfg(test)]\nmod tests {\n failpoint!(\"in.a.test\");\n}";
    assert_eq!(names(source, "failpoint"), ["in.code"]);
}

/// The pages for people: README, CONTRIBUTING and everything in `docs`.
fn pages() -> Vec<PathBuf> {
    let names = ["README.md", "README.zh-CN.md", "CONTRIBUTING.md"];
    let mut pages: Vec<PathBuf> = names.iter().map(|name| root().join(name)).collect();
    files(&root().join("docs"), "md", &mut pages);
    pages
}

/// What a page shows as code: the lines of its blocks, and what stands between backticks elsewhere.
fn code(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (place, part) in page.split("```").enumerate() {
        if place % 2 == 1 {
            // A line that ends in a backslash goes on in the next.
            found.extend(part.replace("\\\n", " ").lines().map(str::to_owned));
        } else {
            found.extend(part.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    found
}

/// The words behind `cargo ehub` of a piece of code that begins so, or sets variables before it.
fn command(code: &str) -> Option<Vec<String>> {
    let words = fleet::command::words(code);
    let mut words = words.into_iter().skip_while(|word| word.contains('='));
    let is_command = words.next()? == "cargo" && words.next()? == "ehub";
    let rest: Vec<String> = words.collect();
    // Without any word it is the name of the tool.
    (is_command && !rest.is_empty()).then_some(rest)
}

/// Something for a word that stands for what only readers know.
fn filled(word: &str) -> &str {
    match word {
        "ID" => "0af7651916cd43dd8448eb211c80319c",
        "N" => "7",
        _ => word,
    }
}

/// The scripts that a page names, by their paths from the root.
fn scripts(page: &str) -> Vec<&str> {
    let is_outside = |letter: char| !(letter.is_ascii_alphanumeric() || "._/-".contains(letter));
    let names = page.split(is_outside).filter_map(|word| Some(&word[word.find("scripts/")?..]));
    names.map(|name| name.trim_end_matches('.')).filter(|name| *name != "scripts/").collect()
}

/// What is wrong with what a page tells to type: commands that the tool refuses, scripts that are not
/// there.
fn faults_of_typing(page: &str) -> Vec<String> {
    let commands = code(page).into_iter().filter_map(|code| command(&code));
    let refused = commands.filter_map(|words| {
        let words: Vec<&str> = words.iter().map(|word| filled(word)).collect();
        let error = fleet::command::check(&words).err()?;
        Some(format!("cargo ehub {}: {error}", words.join(" ")))
    });
    let missing = scripts(page).into_iter().filter(|name| !root().join(name).is_file());
    refused.chain(missing.map(|name| format!("there is no {name}"))).collect()
}

#[test]
fn every_command_and_every_script_on_a_page_is_there() {
    let (mut commands, mut named) = (0, 0);
    for path in pages() {
        let page = read(&path);
        commands += code(&page).iter().filter(|code| command(code).is_some()).count();
        named += scripts(&page).len();
        assert_eq!(faults_of_typing(&page), [""; 0], "{}", path.display());
    }
    assert!(commands > 100 && named > 10, "only {commands} commands and {named} scripts");
}

#[test]
fn a_command_that_the_tool_refuses_and_a_script_that_is_gone_are_seen() {
    let good = "`cargo ehub` has `cargo ehub dlq resend ID` and `#[ignore = \"x: cargo ehub test\"]`.\n\
        ```sh\nEH_X=1 cargo ehub test -p fleet a0 -- --nocapture   # a remark\n\
        cargo ehub audit \\\n    --json\nscripts/ci.sh lint\n```\n\
        See [it](../scripts/ci.sh), `scripts/` and `cargo ehub provider --help`.\n";
    assert_eq!(code(good).iter().filter_map(|code| command(code)).count(), 4);
    assert_eq!(scripts(good), ["scripts/ci.sh"; 2]);
    assert_eq!(faults_of_typing(good), [""; 0]);
    let bad = "`cargo ehub repair`, scripts/ghost.sh.\n```\ncargo ehub audit \\\n  --gently\n```\n";
    let faults = faults_of_typing(bad);
    assert_eq!(faults.len(), 3, "{faults:?}");
    assert!(faults[0].starts_with("cargo ehub repair: "), "{faults:?}");
    assert!(faults[1].starts_with("cargo ehub audit --gently: "), "{faults:?}");
    assert_eq!(faults[2], "there is no scripts/ghost.sh");
}
