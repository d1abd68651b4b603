//! The rules of the house that a look at the text can check.
//!
//! What clippy can check (functions of at most 70 lines, no `unwrap`, no `dbg!`, no sleep) it
//! checks; see `clippy.toml` and the lints in the root manifest.

mod links;
mod manifests;
mod rust;
mod text;

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::Finding;
use crate::workspace::{Metadata, files};

/// Files that are written by tools or copied as they are.
const EXEMPT: [&str; 2] = ["Cargo.lock", "LICENSE"];

/// Checks every file of the workspace.
pub(crate) fn check(metadata: &Metadata) -> Result<Vec<Finding>> {
    let root = &metadata.workspace_root;
    let mut findings = Vec::new();
    let files = files(root)?;
    for file in &files {
        findings.extend(text::name(file));
        // Bytes that are no text are fixtures of a test.
        let bytes = std::fs::read(root.join(file)).with_context(|| file.display().to_string())?;
        let Ok(content) = String::from_utf8(bytes) else { continue };
        if EXEMPT.iter().any(|name| file.ends_with(name)) {
            continue;
        }
        findings.extend(text::content(file, &content));
        if file.extension().is_some_and(|extension| extension == "rs") {
            findings.extend(rust::check(file, &content));
        }
    }
    findings.extend(links::check(root, &files)?);
    findings.extend(manifests::check(metadata, &files)?);
    findings.sort();
    Ok(findings)
}

/// The part of a Rust file before its tests, which stand at its end.
pub(crate) fn without_tests(text: &str) -> &str {
    text.find("\n#[cfg(test)]\nmod tests {").map_or(text, |start| &text[..start])
}

/// Whether a file holds nothing but tests, or what tests need.
fn is_test(file: &Path) -> bool {
    file.components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "tests.rs")
}

#[cfg(test)]
mod tests;
