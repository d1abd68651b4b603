//! The whole bench, on a few keys: every question is answered for every backend, and no comparison
//! mixes levels of durability.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;
use tinykv_bench::backend;

/// Runs the program in a folder, and gives the figures of its `results.json`.
fn run(folder: &Path, flags: &[&str]) -> Vec<Value> {
    let output = Command::new(env!("CARGO_BIN_EXE_tinykv-bench"))
        .args(["run", "--keys=2000", "--duration-ms=1", "--value-bytes=100"])
        .args(flags)
        .arg("--data")
        .arg(folder.join("data"))
        .arg("--out")
        .arg(folder.join("report"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = std::fs::read_to_string(folder.join("report/results.json")).unwrap();
    let mut results: Value = serde_json::from_str(&text).unwrap();
    match results["found"].take() {
        Value::Array(found) => found,
        other => panic!("no list of figures: {other}"),
    }
}

fn text<'a>(figure: &'a Value, field: &str) -> &'a str {
    figure[field].as_str().unwrap()
}

#[test]
fn every_question_has_an_answer_of_every_backend() {
    let folder = TempDir::new().unwrap();
    let found = run(folder.path(), &[]);
    let mut answers: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for figure in &found {
        let question = format!(
            "{}, {}, {}",
            text(figure, "question"),
            text(figure, "variant"),
            figure["level"].as_str().unwrap_or("-")
        );
        assert!(figure["figure"].as_f64().unwrap() >= 0.0, "{figure}");
        answers.entry(question).or_default().insert(text(figure, "backend"));
    }
    let all = backend::all();
    let persistent: BTreeSet<_> = all.iter().filter(|it| it.persistent).map(|it| it.name).collect();
    for (question, backends) in &answers {
        assert!(backends.is_superset(&persistent), "{question}: only {backends:?}");
    }
    for wanted in [
        "fill, sequential, per-write",
        "fill, random, per-batch",
        "fill, overwrite, interval",
        "fill, batches of 100, none",
        "point reads, hit, uniform, -",
        "point reads, miss, -",
        "point reads, cache an eighth of the data, hit, zipfian, -",
        "scans, 10 keys, backward, -",
        "scans, 1,000 keys, forward, -",
        "mixed load, 95% reads, uniform, interval",
        "mixed load, 50% reads, zipfian, interval",
        "delete-heavy, deletes, interval",
        "concurrent reads, 8 threads, -",
        "concurrent writes, 4 threads, per-write",
        "reopen, after a clean stop, -",
        "reopen, after a kill, -",
        "write amplification, fill and overwrite, none",
        "space amplification, after overwriting, interval",
        "tail latency (p99.9), reads, while merging, -",
        "lost by a kill, of 200 writes, per-write",
    ] {
        assert!(answers.contains_key(wanted), "nothing answers {wanted}: {:?}", answers.keys());
    }
    assert!(answers.keys().any(|question| question.starts_with("peak memory")));
    the_report_is_there(&folder.path().join("report"), &all);
}

fn the_report_is_there(report: &Path, all: &[backend::Backend]) {
    let page = std::fs::read_to_string(report.join("index.html")).unwrap();
    let tables = std::fs::read_to_string(report.join("tables.txt")).unwrap();
    for backend in all {
        for caveat in backend.caveats {
            assert!(page.contains(caveat.text), "{}", caveat.text);
            assert!(tables.contains(caveat.text), "{}", caveat.text);
        }
    }
    let fill = std::fs::read_to_string(report.join("fill-100-per-write.svg")).unwrap();
    assert!(fill.contains("durability per-write"), "{fill}");
    // What matters only for writes that nobody waits for does not stand beside those of others.
    assert!(!fill.contains("a kill loses"), "{fill}");
    let fill = std::fs::read_to_string(report.join("fill-100-interval.svg")).unwrap();
    assert!(fill.contains("a kill loses"), "{fill}");
}

#[test]
fn rounds_are_kept_apart_and_a_chosen_backend_runs_alone() {
    let folder = TempDir::new().unwrap();
    let flags = ["--backends=memory,bitcask", "--scripts=fill-batches", "--rounds=3"];
    let found = run(folder.path(), &flags);
    let rounds: BTreeSet<_> =
        found.iter().map(|figure| figure["round"].as_u64().unwrap()).collect();
    assert_eq!(rounds, BTreeSet::from([0, 1, 2]));
    let backends: BTreeSet<_> = found.iter().map(|figure| text(figure, "backend")).collect();
    assert_eq!(backends, BTreeSet::from(["bitcask", "memory"]));
    // Another backend goes first in the next round.
    let first = |round: u64| {
        let figure = found.iter().find(|figure| figure["round"] == round).unwrap();
        text(figure, "backend")
    };
    assert_ne!(first(0), first(1));
}

#[test]
fn an_unknown_backend_is_refused_with_the_names_of_all() {
    let output = Command::new(env!("CARGO_BIN_EXE_tinykv-bench"))
        .args(["run", "--backends=leveldb"])
        .output()
        .unwrap();
    assert!(!output.status.success());
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("there are bitcask"), "{error}");
}
