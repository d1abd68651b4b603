//! The runner of the docs, tried on pages that are right and on pages that are not.

use std::path::Path;

use super::compare::difference;
use super::page::{Directive, parse};
use super::run_page;

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

fn fits(expected: &str, printed: &str) -> bool {
    difference(&lines(expected), &lines(printed)).is_none()
}

#[test]
fn patterns() {
    assert!(fits("a\nb", "a\nb"));
    assert!(!fits("a\nb", "a"));
    assert!(!fits("a", "a\nb"));
    assert!(fits("a [..] c[..]", "a bb c"));
    assert!(!fits("a [..] c", "a bb d"));
    assert!(fits("...\nz", "z"));
    assert!(fits("a\n...\nz", "a\nb\nc\nz"));
    assert!(!fits("a\n...\nz", "a\nb"));
}

#[test]
fn a_difference_names_the_first_line_that_does_not_fit() {
    let text = difference(&lines("a\nb\nc"), &lines("a\nx\nc")).unwrap();
    assert!(text.starts_with("the page shows `b`"), "{text}");
}

#[test]
fn a_page_is_parsed() {
    let page = parse(
        "# Title\n```sh\n$ not ours\n```\n<!-- course: server -->\n```console\n$ a b\nout\n\
         $ c\n```\n<!-- course: skip slow -->\n```console\n$ d\n```\n",
    );
    assert_eq!(page.blocks.len(), 2);
    assert_eq!(page.blocks[0].directives, [Directive::Server]);
    assert_eq!(page.blocks[0].steps.len(), 2);
    assert_eq!(page.blocks[0].steps[0].line, 7);
    assert_eq!(page.blocks[0].steps[0].output, ["out"]);
    assert_eq!(page.blocks[1].directives, [Directive::Skip]);
}

/// Runs a page, and returns how many commands ran and what was found.
fn run(text: &str) -> (usize, Vec<String>) {
    let (ran, findings) = run_page(Path::new("a.md"), &parse(text), Path::new("bin")).unwrap();
    (ran, findings.iter().map(ToString::to_string).collect())
}

#[test]
fn a_page_that_is_right() {
    let text = "```console\n$ x=1; echo to > file\n$ cat file\nto\n$ ls nowhere; echo $? $x\n\
                ls: [..]nowhere[..]\n2 1\n$ false\n$ echo $?\n1\n```\n\
                ```console\n$ cat file\nto\n$ printf 'a\\tb\\n'\na       b\n```\n";
    assert_eq!(run(text), (7, vec![]));
}

#[test]
fn a_page_that_is_wrong() {
    let (ran, findings) = run("```console\n$ echo one\ntwo\n$ true\n```\n");
    assert_eq!(ran, 2);
    assert_eq!(findings, ["a.md:2: `echo one`: the page shows `two`, but it printed\n    one"]);
}

#[test]
fn blocks_that_are_not_run() {
    let text = "<!-- course: skip why -->\n```console\n$ false\nx\n```\n\
                <!-- course: needs a-program-that-nobody-has -->\n```console\n$ false\nx\n```\n";
    assert_eq!(run(text), (0, vec![]));
    let (_, findings) = run("<!-- course: skip -->\n```console\n$ true\n```\n");
    assert_eq!(findings, ["a.md:2: nobody knows `course: skip`"]);
}
