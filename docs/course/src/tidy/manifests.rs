//! Rules for manifests: third parties' versions stand once, and lists of mutants match the code.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::Finding;
use crate::mutants::list::List;
use crate::workspace::Metadata;

/// Checks the manifests of all members, and their lists of mutants.
pub(super) fn check(metadata: &Metadata, files: &[PathBuf]) -> Result<Vec<Finding>> {
    let root = &metadata.workspace_root;
    let mut findings = Vec::new();
    for package in metadata.ours() {
        let folder = metadata.folder(package);
        let manifest = folder.join("Cargo.toml");
        let text = std::fs::read_to_string(root.join(&manifest))?;
        findings.extend(versions(&manifest, &text)?);

        let mut used = BTreeMap::new();
        for file in files.iter().filter(|file| file.starts_with(folder.join("src"))) {
            let text = std::fs::read_to_string(root.join(file)).unwrap_or_default();
            for (line, name) in mutants_of(&text) {
                used.entry(name).or_insert_with(|| (file.clone(), line));
            }
        }
        let list = List::read(&root.join(folder))?;
        let names = list.map(|list| list.names().map(str::to_owned).collect());
        findings.extend(mutants(folder, &used, names.as_ref()));
    }
    Ok(findings)
}

/// Dependencies that do not take their version from the workspace.
pub(super) fn versions(manifest: &Path, text: &str) -> Result<Vec<Finding>> {
    let table: toml::Table = text.parse().with_context(|| manifest.display().to_string())?;
    let mut findings = Vec::new();
    for part in ["dependencies", "dev-dependencies", "build-dependencies"] {
        let Some(dependencies) = table.get(part).and_then(toml::Value::as_table) else { continue };
        for (name, value) in dependencies {
            // A crate may name itself, to switch on a feature for its tests.
            let itself = value.get("path").and_then(toml::Value::as_str) == Some(".");
            if value.get("workspace").is_none() && !itself {
                let what = format!(
                    "give `{name}` its version in the root Cargo.toml, and `workspace = true` here"
                );
                findings.push(Finding::new(manifest, 0, what));
            }
        }
    }
    Ok(findings)
}

/// The names in the `mutant!` checks of a file, each with its line.
pub(super) fn mutants_of(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("//") {
            continue;
        }
        for part in line.split(concat!("mutant", "!(\"")).skip(1) {
            found.push((number + 1, part.split('"').next().unwrap_or_default().to_owned()));
        }
    }
    found
}

/// Compares the names in the code of a crate with its list.
pub(super) fn mutants(
    folder: &Path,
    used: &BTreeMap<String, (PathBuf, usize)>,
    listed: Option<&BTreeSet<String>>,
) -> Vec<Finding> {
    // The crate that defines the check uses it in its own tests.
    if folder == Path::new("kv/mutant") {
        return Vec::new();
    }
    let list = folder.join("mutants.toml");
    let mut findings = Vec::new();
    for (name, (file, line)) in used {
        if !listed.is_some_and(|listed| listed.contains(name)) {
            let what = format!(
                "the mutant `{name}` is not in {}; list it with one sentence",
                list.display()
            );
            findings.push(Finding::new(file, *line, what));
        }
    }
    for name in listed.into_iter().flatten().filter(|name| !used.contains_key(*name)) {
        findings.push(Finding::new(
            &list,
            0,
            format!("no code has the mutant `{name}`; remove it"),
        ));
    }
    findings
}
