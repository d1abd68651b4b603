//! Links in Markdown files: the file must exist, and the heading in it.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use anyhow::Result;

use crate::Finding;

/// Checks all Markdown files of the tree.
pub(super) fn check(root: &Path, files: &[PathBuf]) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.extension().is_some_and(|e| e == "md")) {
        let text = std::fs::read_to_string(root.join(file))?;
        for (line, target) in links(&text) {
            if let Some(what) = broken(root, file, &text, &target)? {
                findings.push(Finding::new(file, line, what));
            }
        }
    }
    Ok(findings)
}

/// What is wrong with a link, if anything is.
fn broken(root: &Path, file: &Path, text: &str, target: &str) -> Result<Option<String>> {
    if target.contains("://") || target.starts_with("mailto:") {
        return Ok(None);
    }
    let (path, heading) = target.split_once('#').unwrap_or((target, ""));
    let linked = if path.is_empty() {
        file.to_path_buf()
    } else {
        normal(&file.parent().unwrap_or(Path::new("")).join(path))
    };
    if !root.join(&linked).exists() {
        return Ok(Some(format!("the link leads to `{}`, which is not there", linked.display())));
    }
    if heading.is_empty() || linked.extension().is_none_or(|extension| extension != "md") {
        return Ok(None);
    }
    let other = if path.is_empty() {
        text.to_owned()
    } else {
        std::fs::read_to_string(root.join(&linked))?
    };
    if headings(&other).contains(heading) {
        return Ok(None);
    }
    Ok(Some(format!(
        "the link leads to `#{heading}`, a heading that `{}` has not",
        linked.display()
    )))
}

/// The targets of the links in a text, each with its line. Code is left out.
pub(super) fn links(text: &str) -> Vec<(usize, String)> {
    let mut links = Vec::new();
    for (number, line) in prose(text) {
        // Every second part is between backquotes.
        let line: String = line.split('`').step_by(2).collect::<Vec<_>>().join("`");
        for (start, _) in line.match_indices("](") {
            let rest = &line[start + 2..];
            if let Some(end) = rest.find(')') {
                links.push((number, rest[..end].to_owned()));
            }
        }
    }
    links
}

/// The anchors of the headings in a text, as GitHub and mdBook make them.
fn headings(text: &str) -> BTreeSet<String> {
    prose(text)
        .filter_map(|(_, line)| line.strip_prefix('#'))
        .map(|line| {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            let kept = title.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

/// The lines of a text outside of fenced blocks, with their numbers from 1.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(number, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        (!fence && !fenced).then_some((number + 1, line))
    })
}

/// A path without `.` and `..`.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            part => normal.push(part),
        }
    }
    normal
}
