//! Rules for Rust files.

use std::path::Path;

use super::{is_test, without_tests};
use crate::Finding;

/// Lines a file may have, without its tests.
const LINES_MAX: usize = 800;

/// Lines that tests at the end of a file may have.
const TEST_LINES_MAX: usize = 200;

/// Lines of code that a function may have, as clippy counts them: clippy is not run on the benches
/// and fuzz targets that are workspaces of their own.
const FUNCTION_LINES_MAX: usize = 70;

/// Attributes and calls that the house does not use, and what to do instead. Split, so that this
/// file passes its own check.
const FORBIDDEN: [(&str, &str); 5] = [
    (concat!("#[doc(hid", "den)"), "what is public is documented; what is not is `pub(crate)`"),
    (concat!("#[ign", "ore"), "a test that is not run tests nothing; make it fast, or remove it"),
    (concat!("thread::sl", "eep("), "wait for an event, not for a while"),
    (
        concat!("#[all", "ow("),
        "write `#[expect(.., reason = \"..\")]`, which notices when it is not needed",
    ),
    (
        concat!("#![all", "ow("),
        "write `#![expect(.., reason = \"..\")]`, which notices when it is not needed",
    ),
];

/// Calls that only tests must not make.
const FORBIDDEN_IN_TESTS: [(&str, &str); 1] =
    [(concat!("time::sl", "eep("), "wait for an event, or use virtual time")];

/// Checks a Rust file.
pub(super) fn check(file: &Path, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !text.starts_with("//!") {
        findings.push(Finding::new(
            file,
            1,
            "begin with a `//!` comment: what this is, why, its invariants",
        ));
    }
    let lines = without_tests(text).lines().count();
    if lines > LINES_MAX && !is_test(file) {
        findings.push(Finding::new(
            file,
            LINES_MAX,
            format!("{lines} lines without the tests, {LINES_MAX} may be; move a part to a file of its own"),
        ));
    }
    let tests = text.lines().count() - lines;
    if tests > TEST_LINES_MAX && !is_test(file) {
        let what = format!("{tests} lines of tests at the end of a file, {TEST_LINES_MAX} may be");
        findings.push(Finding::new(file, lines, what + "; move them to `tests.rs` in its folder"));
    }
    for (line, count) in long_functions(text) {
        let what = format!("a function of {count} lines of code, {FUNCTION_LINES_MAX} may be");
        findings.push(Finding::new(file, line, what + "; give a part of it a name"));
    }
    for (number, line) in text.lines().enumerate() {
        let at = |what: &str| Finding::new(file, number + 1, what);
        let exports = line.trim_start().starts_with("pub") && line.contains(" use ");
        if exports && line.ends_with("::*;") {
            findings.push(at("what a module gives to others is a list of names, never `*`"));
        }
        if line.contains(concat!("#[err", "or(")) && line.contains(":?}") {
            findings.push(at("an error is read by people; write its parts with `{}`"));
        }
        let code = line.split("//").next().unwrap_or_default();
        let tests: &[(&str, &str)] = if is_test(file) { &FORBIDDEN_IN_TESTS } else { &[] };
        for (call, instead) in FORBIDDEN.iter().chain(tests) {
            // A support module of several test programs cannot expect: one uses it, another not.
            let reasoned = is_test(file) && call.ends_with("ow(") && text.contains("reason = ");
            if code.contains(call) && !reasoned {
                findings.push(Finding::new(file, number + 1, format!("`{call}`: {instead}")));
            }
        }
    }
    findings
}

/// Finds the functions that are too long: where each begins, and how many lines of code it has. As
/// rustfmt lays code out, a function ends at a brace that is indented like its beginning.
fn long_functions(text: &str) -> Vec<(usize, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut long = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let head = line.trim_start();
        let indent = &line[..line.len() - head.len()];
        let words: Vec<&str> = head.split(' ').collect();
        let Some(place) = words.iter().position(|word| *word == "fn") else { continue };
        let prefixes = ["pub", "pub(crate)", "pub(super)", "const", "async", "unsafe"];
        if !words[..place].iter().all(|word| prefixes.contains(word)) {
            continue;
        }
        let rest = &lines[start..];
        let Some(open) = rest.iter().position(|line| line.ends_with(['{', ';', '}'])) else {
            continue;
        };
        if !rest[open].ends_with('{') {
            continue;
        }
        let is_end = |line: &&&str| line.strip_prefix(indent) == Some("}");
        let is_code = |line: &&&str| !line.is_empty() && !line.trim_start().starts_with("//");
        let body = rest[open + 1..].iter().take_while(|line| !is_end(line));
        let count = body.filter(is_code).count();
        if count > FUNCTION_LINES_MAX {
            long.push((start + 1, count));
        }
    }
    long
}
