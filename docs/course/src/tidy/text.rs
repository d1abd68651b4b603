//! Rules for every text file: names, white space, words.

use std::path::Path;

use crate::Finding;

/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 9] =
    ["util", "utils", "common", "helpers", "misc", "manager", "impl", "core", "v2"];

/// Notes to oneself. Split, so that this file passes its own check.
const MARKS: [&str; 4] =
    [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X"), concat!("HA", "CK")];

/// Folders that only some machines have. Split for the same reason.
const MACHINE_PATHS: [&str; 6] = [
    concat!("/wo", "rk/"),
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/t", "mp"),
    concat!("/Us", "ers/"),
    concat!("/va", "r/folders"),
];

/// Where packages are downloaded from.
const REGISTRIES: [&str; 7] = [
    concat!("crates", ".io"),
    concat!("pypi", ".org"),
    concat!("python", "hosted.org"),
    concat!("npm", "js.org"),
    concat!("npm", "js.com"),
    concat!("deb.", "debian.org"),
    concat!("proxy.", "golang.org"),
];

/// Checks the name of a file and of its folders.
pub(super) fn name(file: &Path) -> Vec<Finding> {
    let mut findings = Vec::new();
    for part in file.components() {
        let part = part.as_os_str().to_string_lossy();
        let stem = part.split('.').next().unwrap_or_default();
        if EMPTY_NAMES.contains(&stem) {
            findings.push(Finding::new(
                file,
                0,
                format!("the name `{stem}` says nothing; name it after what is inside"),
            ));
        }
    }
    if file.file_name().is_some_and(|name| name == "mod.rs") {
        findings.push(Finding::new(file, 0, "a module is `foo.rs` beside `foo/`, never `mod.rs`"));
    }
    findings
}

/// Checks what a file holds.
pub(super) fn content(file: &Path, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    // Inputs and outputs of programs are as they are; make wants tabs.
    let data = |part: &std::ffi::OsStr| part == "testdata" || part == "seeds" || part == "corpus";
    let golden = file.components().any(|part| data(part.as_os_str()));
    let make = file.file_name().is_some_and(|name| name == "Makefile");
    for (number, line) in text.split('\n').enumerate() {
        let mut at = |what: String| findings.push(Finding::new(file, number + 1, what));
        if !golden && line.ends_with([' ', '\t', '\r']) {
            at("white space at the end of the line; remove it".into());
        }
        if !golden && !make && line.contains('\t') {
            at("a tab; indent with spaces, and write \\t in a string".into());
        }
        if let Some(mark) = MARKS.iter().find(|mark| has_word(line, mark)) {
            at(format!("`{mark}`; do it, or write down what is left out and why"));
        }
        if let Some(path) = MACHINE_PATHS.iter().find(|path| has_path(line, path)) {
            at(format!("`{path}` is a folder of some machine; use a relative or a temporary one"));
        }
        if let Some(host) = REGISTRIES.iter().find(|host| line.contains(**host)) {
            at(format!("`{host}` is where packages come from; name the package, not the place"));
        }
    }
    if !text.is_empty() && (!text.ends_with('\n') || text.ends_with("\n\n")) && !golden {
        findings.push(Finding::new(file, 0, "end the file with exactly one line break"));
    }
    findings
}

/// Whether a line holds a word, and not as a part of a longer one.
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        let after = line[start + word.len()..].chars().next();
        ![before, after].into_iter().flatten().any(|c| c.is_alphanumeric() || c == '_')
    })
}

/// Whether a line holds an absolute path that begins so.
fn has_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        let after = line[start + path.len()..].chars().next();
        let absolute = before.is_none_or(|c| !(c.is_alphanumeric() || "_-.}/".contains(c)));
        absolute && (path.ends_with('/') || after.is_none_or(|c| !c.is_alphanumeric()))
    })
}
