//! Switches on one known bug after the other and demands that the tests notice:
//! `cargo test -p tinykv-proto --features mutants --test mutants`.
#![cfg(feature = "mutants")]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

/// The suites that must notice.
const SUITES: [&str; 6] =
    ["allocation", "frames", "messages", "resp_reply", "resp_request", "streams"];

/// The names of all bugs in a folder of sources.
fn names(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(names(&path));
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let calls = text.split("mutant!(\"").skip(1);
        found.extend(calls.filter_map(|rest| rest.split('"').next()).map(str::to_owned));
    }
    found
}

/// Runs the suites with a bug switched on; gives the tests that failed, and whether all passed.
fn run(bug: &str) -> (Vec<String>, bool) {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["test", "--no-fail-fast", "-p", "tinykv-proto", "--features", "mutants"]);
    for suite in SUITES {
        cargo.args(["--test", suite]);
    }
    let output = cargo.env("TINYKV_MUTANT", bug).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let failed = text.lines().filter_map(|line| {
        line.strip_prefix("test ").and_then(|line| line.strip_suffix(" ... FAILED"))
    });
    (failed.map(str::to_owned).collect(), output.status.success())
}

#[test]
fn every_bug_is_noticed() {
    assert!(run("none").1, "without a bug the suites pass");
    let bugs = names(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert!(bugs.len() >= 10, "the bugs are found: {bugs:?}");
    let mut survivors = Vec::new();
    for bug in &bugs {
        let (failed, passed) = run(bug);
        println!("{bug}: {}", failed.join(", "));
        if passed || failed.is_empty() {
            survivors.push(bug);
        }
    }
    assert!(survivors.is_empty(), "no test notices {survivors:?}");
}
