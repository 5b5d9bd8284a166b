//! Makes inputs, runs a target, and keeps what is worth to be mutated again.
//!
//! The guide is the target's own answer: an input that is refused for a reason not seen before, or
//! accepted in a new way, joins the pool. That reaches behind each check in turn without a compiler
//! that counts branches, which stable Rust has not. The same seed makes the same inputs.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};

use fleet::environment;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::mutation::mutate;

/// Inputs of a target where `EH_FUZZ_RUNS` says nothing: seconds, for every change.
const RUNS: u64 = 2_000;
/// Inputs that are mutated again at most.
const POOL_MAX: usize = 1_000;

/// What is fuzzed.
pub(crate) struct Target<'t> {
    /// Name of its folder in the corpus.
    pub(crate) name: &'t str,
    /// What its inputs are made of, to be put in anywhere.
    pub(crate) words: &'t [&'t str],
    /// Good inputs that cannot be committed: they hold a time or a random key.
    pub(crate) seeds: Vec<Vec<u8>>,
}

/// Runs `check` on the corpus and on mutations of it. It says in few words what became of an input,
/// and panics when that must not be.
pub(crate) fn fuzz(target: &Target<'_>, check: impl FnMut(&[u8]) -> String) {
    let mut pool = corpus(target.name);
    assert!(!pool.is_empty(), "{} has no corpus", target.name);
    pool.extend(target.seeds.iter().cloned());
    let outcomes = explore(target, pool, number("EH_FUZZ_RUNS").unwrap_or(RUNS), check);
    // A target that answers everything alike is not reached by its corpus.
    assert!(outcomes.len() > 2, "{}: only {outcomes:?}", target.name);
}

/// The first characters of a message: what comes behind is a place in the input, and would make each
/// input a new answer.
pub(crate) fn label(message: &impl Display, length: usize) -> String {
    message.to_string().chars().take(length).collect()
}

/// Mutates what is in the pool, adds to it what is answered in a new way, and returns the answers.
fn explore(
    target: &Target<'_>,
    mut pool: Vec<Vec<u8>>,
    runs: u64,
    mut check: impl FnMut(&[u8]) -> String,
) -> BTreeSet<String> {
    let mut outcomes = BTreeSet::new();
    for input in &pool {
        outcomes.insert(watched(target.name, input, &mut check));
    }
    let mut random = StdRng::seed_from_u64(number("EH_FUZZ_SEED").unwrap_or(1));
    for _ in 0..runs {
        let input = mutate(&pool, target.words, &mut random);
        let outcome = watched(target.name, &input, &mut check);
        if pool.len() < POOL_MAX && outcomes.insert(outcome) {
            pool.push(input);
        }
    }
    outcomes
}

/// Keeps an input that fails.
fn watched(name: &str, input: &[u8], check: &mut impl FnMut(&[u8]) -> String) -> String {
    match catch_unwind(AssertUnwindSafe(|| check(input))) {
        Ok(outcome) => outcome,
        Err(panic) => {
            let file = kept(name);
            std::fs::write(&file, input).unwrap();
            eprintln!("{name} fails on the {} bytes in {}", input.len(), file.display());
            resume_unwind(panic)
        }
    }
}

/// A file for each test: some share a corpus, and run side by side.
fn kept(name: &str) -> PathBuf {
    let thread = std::thread::current();
    let test = thread.name().and_then(|path| path.rsplit("::").next()).unwrap_or(name);
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{test}"))
}

fn number(variable: &str) -> Option<u64> {
    let text = environment::find(variable)?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}

/// The committed inputs of a target, in the order of their names.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(name);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|_| panic!("no {}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

#[test]
fn an_input_with_a_new_answer_is_built_upon() {
    let target = Target { name: "itself", words: &["x", "y", "z"], seeds: vec![] };
    let outcomes = explore(&target, vec![Vec::new()], 50_000, |input| {
        let starts = ["x", "xy", "xyz", "xyzx", "xyzxy"];
        let length = starts.iter().filter(|start| input.starts_with(start.as_bytes())).count();
        length.to_string()
    });
    assert_eq!(outcomes.len(), 6, "{outcomes:?}");
}

#[test]
fn a_failure_ends_the_run_and_keeps_its_input() {
    let target = Target { name: "failing", words: &[], seeds: vec![] };
    let ended = catch_unwind(AssertUnwindSafe(|| {
        explore(&target, vec![b"boom".to_vec()], 0, |input| {
            assert!(input != b"boom", "found");
            String::new()
        })
    }));
    assert!(ended.is_err());
    assert_eq!(std::fs::read(kept("failing")).unwrap(), b"boom");
}
