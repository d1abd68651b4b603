//! Rules for Rust files.

use std::path::Path;

use super::{is_test, without_tests};
use crate::Finding;

/// Lines a file may have, without its tests.
const LINES_MAX: usize = 800;

/// Attributes and calls that the house does not use, and what to do instead. Split, so that this
/// file passes its own check.
const FORBIDDEN: [(&str, &str); 4] = [
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
    for (number, line) in text.lines().enumerate() {
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
