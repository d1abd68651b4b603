//! Each rule fires on a bad sample, and leaves a good one alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{links, manifests, rust, text, without_tests};
use crate::Finding;

/// The findings as a person reads them.
fn printed(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(Finding::to_string).collect()
}

/// Demands exactly one finding, at this place, that holds this text.
#[track_caller]
fn one(findings: &[Finding], place: &str, what: &str) {
    let lines = printed(findings);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with(&format!("{place}: ")) && lines[0].contains(what), "{lines:?}");
}

fn content(sample: &str) -> Vec<Finding> {
    text::content(Path::new("kv/a.rs"), sample)
}

fn rust(sample: &str) -> Vec<Finding> {
    rust::check(Path::new("kv/a.rs"), sample)
}

#[test]
fn good_text_is_left_alone() {
    let sample = concat!(
        "//! A file.\n\nfn mastodon() {}\n// about data/t",
        "mp/x and https://host/wo",
        "rk/x\n"
    );
    assert_eq!(printed(&content(sample)), Vec::<String>::new());
    assert_eq!(printed(&rust(sample)), Vec::<String>::new());
}

#[test]
fn a_name_that_says_nothing() {
    one(&text::name(Path::new("kv/util/a.rs")), "kv/util/a.rs", "`util` says nothing");
    one(&text::name(Path::new("kv/common.rs")), "kv/common.rs", "`common` says nothing");
    one(&text::name(Path::new("kv/a/mod.rs")), "kv/a/mod.rs", "never `mod.rs`");
    assert_eq!(text::name(Path::new("kv/utility.rs")), []);
}

#[test]
fn white_space() {
    one(&content("a \nb\n"), "kv/a.rs:1", "white space at the end");
    one(&content("a\r\nb\n"), "kv/a.rs:1", "white space at the end");
    one(&content("a\n\tb\n"), "kv/a.rs:2", "a tab");
    one(&content("a"), "kv/a.rs", "exactly one line break");
    one(&content("a\n\n"), "kv/a.rs", "exactly one line break");
    assert_eq!(text::content(Path::new("Makefile"), "a:\n\tb\n"), []);
    assert_eq!(text::content(Path::new("kv/testdata/a"), "printed: \n"), []);
}

#[test]
fn notes_to_oneself() {
    one(&content(concat!("x\n// TO", "DO: later\n")), "kv/a.rs:2", "write down what is left out");
    one(&content(concat!("// FIX", "ME\n")), "kv/a.rs:1", "write down what is left out");
}

#[test]
fn places_of_one_machine() {
    one(&content(concat!("cd /wo", "rk/x\n")), "kv/a.rs:1", "a folder of some machine");
    one(&content(concat!("\"/ho", "me/x\"\n")), "kv/a.rs:1", "a folder of some machine");
    one(&content(concat!("--path /t", "mp\n")), "kv/a.rs:1", "a folder of some machine");
    one(&content(concat!("see crates", ".io\n")), "kv/a.rs:1", "where packages come from");
}

#[test]
fn a_file_without_a_head() {
    one(&rust("use std::fmt;\n"), "kv/a.rs:1", "begin with a `//!` comment");
}

#[test]
fn a_long_file() {
    let head = "//! A file.\n";
    let long = format!("{head}{}", "fn f() {}\n".repeat(800));
    one(&rust(&long), "kv/a.rs:800", "801 lines without the tests");
    assert_eq!(rust::check(Path::new("kv/tests/a.rs"), &long), []);
    let code = format!("{head}{}", "fn f() {}\n".repeat(750));
    let tests =
        format!("{code}\n#[cfg(test)]\nmod tests {{\n{}}}\n", "    fn f() {}\n".repeat(100));
    assert_eq!(rust(&tests), []);
    assert_eq!(without_tests(&tests), code);
}

#[test]
fn a_long_function() {
    let function =
        |lines: usize| format!("    fn f() {{\n{}    }}\n", "        x();\n".repeat(lines));
    let file = |lines: usize| {
        format!("//! A file.\nimpl A {{\n{}{}}}\n", function(lines), function(1).repeat(70))
    };
    assert_eq!(rust(&file(70)), []);
    one(&rust(&file(71)), "kv/a.rs:3", "71 lines of code");
    let noted = file(70).replace("x();\n", "x();\n\n        // Why.\n");
    assert_eq!(rust(&noted), []);
}

#[test]
fn many_tests_in_a_file() {
    let tests = |count: usize| {
        let lines = "    fn f() {}\n".repeat(count);
        format!("//! A file.\n\n#[cfg(test)]\nmod tests {{\n{lines}}}\n")
    };
    assert_eq!(rust(&tests(190)), []);
    one(&rust(&tests(200)), "kv/a.rs:1", "lines of tests at the end of a file");
}

#[test]
fn what_a_module_gives_to_others() {
    let with = |line: &str| format!("//! A file.\n{line}\n");
    one(&rust(&with("pub(crate) use a::*;")), "kv/a.rs:2", "a list of names");
    assert_eq!(rust(&with("use super::*;")), []);
    one(&rust(&with(concat!("#[doc(hid", "den)]"))), "kv/a.rs:2", "what is public");
    one(&rust(&with(concat!("#[err", "or(\"bad: {0:?}\")]"))), "kv/a.rs:2", "read by people");
}

#[test]
fn attributes_and_calls_that_the_house_does_not_use() {
    let with = |line: &str| format!("//! A file.\n{line}\n");
    one(&rust(&with(concat!("#[ign", "ore]"))), "kv/a.rs:2", "a test that is not run");
    one(&rust(&with(concat!("std::thread::sl", "eep(d);"))), "kv/a.rs:2", "wait for an event");
    one(&rust(&with(concat!("#[all", "ow(dead_code)]"))), "kv/a.rs:2", "#[expect");
    let waits = with(concat!("tokio::time::sl", "eep(d).await;"));
    one(&rust::check(Path::new("kv/tests/a.rs"), &waits), "kv/tests/a.rs:2", "virtual time");
    assert_eq!(rust(&waits), []);
}

#[test]
fn links_are_found_outside_of_code() {
    let sample = "[a](b.md) and `[c](d.md)`\n```\n[e](f.md)\n```\n[g](h.md#i), [j](k)\n";
    let expected = vec![(1, "b.md".to_owned()), (5, "h.md#i".to_owned()), (5, "k".to_owned())];
    assert_eq!(links::links(sample), expected);
}

#[test]
fn links_that_lead_nowhere() {
    let root = tempfile::tempdir().unwrap();
    let files = [PathBuf::from("a.md"), PathBuf::from("docs/b.md")];
    std::fs::create_dir(root.path().join("docs")).unwrap();
    std::fs::write(root.path().join("docs/b.md"), "# The `head`, of b\n[up](../a.md)\n").unwrap();

    std::fs::write(root.path().join("a.md"), "[b](docs/b.md#the-head-of-b)\n").unwrap();
    assert_eq!(links::check(root.path(), &files).unwrap(), []);

    std::fs::write(root.path().join("a.md"), "x\n[b](docs/c.md)\n").unwrap();
    one(&links::check(root.path(), &files).unwrap(), "a.md:2", "`docs/c.md`, which is not there");

    std::fs::write(root.path().join("a.md"), "[b](docs/b.md#tail)\n").unwrap();
    one(&links::check(root.path(), &files).unwrap(), "a.md:1", "`#tail`, a heading");
}

#[test]
fn a_version_of_ones_own() {
    let manifest = Path::new("kv/a/Cargo.toml");
    let findings = |text: &str| manifests::versions(manifest, text).unwrap();
    one(&findings("[dependencies]\nserde = \"1\"\n"), "kv/a/Cargo.toml", "`workspace = true` here");
    one(&findings("[dev-dependencies]\nx = { path = \"y\" }\n"), "kv/a/Cargo.toml", "`x`");
    assert_eq!(findings("[dependencies]\nserde.workspace = true\n"), []);
}

#[test]
fn mutants_and_their_list() {
    let check = concat!("mutant", "!");
    let code = format!("//! {check}(\"doc\")\nif {check}(\"a\") || {check}(\"b\") {{}}\n");
    let names = manifests::mutants_of(&code);
    assert_eq!(names, [(2, "a".to_owned()), (2, "b".to_owned())]);

    let file = PathBuf::from("kv/x/src/lib.rs");
    let used: BTreeMap<_, _> =
        names.into_iter().map(|(line, name)| (name, (file.clone(), line))).collect();
    let compare = |listed: &[&str]| {
        let listed: BTreeSet<String> = listed.iter().map(|name| (*name).to_owned()).collect();
        manifests::mutants(Path::new("kv/x"), &used, Some(&listed))
    };
    assert_eq!(compare(&["a", "b"]), []);
    one(&compare(&["a"]), "kv/x/src/lib.rs:2", "the mutant `b` is not in kv/x/mutants.toml");
    one(&compare(&["a", "b", "c"]), "kv/x/mutants.toml", "no code has the mutant `c`");
    assert_eq!(manifests::mutants(Path::new("kv/x"), &used, None).len(), 2);
}
