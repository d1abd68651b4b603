//! The allowed arrows between crates, and the doors to the world outside.
//!
//! The table is `docs/course/arrows.toml`. It is compared with the manifests in both directions,
//! and the list of members must be in dependency order, so that reading it from the top is
//! reading the architecture from the bottom.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::Finding;
use crate::workspace::{self, Metadata, files, short};

const TABLE: &str = "docs/course/arrows.toml";

type Lists = BTreeMap<String, Vec<String>>;

/// What `arrows.toml` holds; the comments there say what each part means.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Table {
    arrows: Lists,
    dev_arrows: Lists,
    third_party: Lists,
    never: BTreeMap<String, String>,
    native: Native,
    doors: Lists,
}

#[derive(Debug, Default, Deserialize)]
struct Native {
    builders: Vec<String>,
}

/// An arrow between two packages, by their short names.
#[derive(Clone, Debug)]
struct Arrow {
    from: String,
    to: String,
    dev: bool,
    ours: bool,
}

/// Compares the workspace with the table.
pub(crate) fn check(metadata: &Metadata) -> Result<Vec<Finding>> {
    let text = std::fs::read_to_string(metadata.workspace_root.join(TABLE)).context(TABLE)?;
    let table: Table = toml::from_str(&text).context(TABLE)?;
    let order: Vec<&str> = metadata.ours().map(|package| package.short()).collect();
    let arrows = arrows(metadata, &order);
    let mut findings = compare(&table, &order, &arrows);
    findings.extend(native(&table, &workspace::built()?));
    for file in files(&metadata.workspace_root)? {
        let free = ["tests", "tests.rs", "benches", "examples", "fuzz"];
        let ships =
            file.components().all(|part| !free.iter().any(|name| part.as_os_str() == *name));
        if file.extension().is_some_and(|extension| extension == "rs") && ships {
            let text = std::fs::read_to_string(metadata.workspace_root.join(&file))?;
            findings.extend(doors(&table, &file, &text));
        }
    }
    for line in unused(&table, &arrows) {
        crate::note(&line);
    }
    Ok(findings)
}

/// All arrows that the manifests ask for.
fn arrows(metadata: &Metadata, order: &[&str]) -> Vec<Arrow> {
    let mut arrows = Vec::new();
    for package in metadata.ours() {
        for dependency in &package.dependencies {
            let to = short(&dependency.name).to_owned();
            let ours = dependency.name != to && order.contains(&to.as_str());
            let dev = dependency.kind.as_deref() == Some("dev");
            let to = if ours { to } else { dependency.name.clone() };
            arrows.push(Arrow { from: package.short().to_owned(), to, dev, ours });
        }
    }
    arrows
}

/// The arrows that the table does not allow, and the members that are out of order.
fn compare(table: &Table, order: &[&str], arrows: &[Arrow]) -> Vec<Finding> {
    let at = |what: String| Finding::new(Path::new("Cargo.toml"), 0, what);
    let place = |name: &str| order.iter().position(|member| *member == name);
    let mut findings = Vec::new();
    for member in order {
        if !table.arrows.contains_key(*member) {
            findings
                .push(at(format!("`{member}` has no line in {TABLE}; say there what it may use")));
        }
    }
    for Arrow { from, to, dev, ours } in arrows {
        let listed = |lists: &Lists| lists.get(from).is_some_and(|list| list.contains(to));
        if *ours {
            let allowed = listed(&table.arrows) || (*dev && listed(&table.dev_arrows));
            // A crate may name itself, to switch on a feature for its tests.
            if !allowed && from != to {
                findings.push(at(format!(
                    "`{from}` must not depend on `{to}`; move the code, or argue for the arrow in {TABLE}"
                )));
            }
            if !dev && place(to) > place(from) {
                findings.push(at(format!(
                    "the members are out of order: `{to}` must stand above `{from}`, which uses it"
                )));
            }
            continue;
        }
        if let Some(reason) = table.never.get(to) {
            findings.push(at(format!("`{from}` must not use `{to}`: {reason}")));
        }
        if let Some(users) = table.third_party.get(to).filter(|users| !users.contains(from)) {
            findings.push(at(format!(
                "`{from}` must not use `{to}`; only {} may, see {TABLE}",
                users.join(", ")
            )));
        }
    }
    findings.sort();
    findings.dedup();
    findings
}

/// Lines about arrows that the table allows and nobody uses.
fn unused(table: &Table, arrows: &[Arrow]) -> Vec<String> {
    let used: BTreeSet<(&str, &str)> =
        arrows.iter().map(|arrow| (arrow.from.as_str(), arrow.to.as_str())).collect();
    let listed = table.arrows.iter().chain(&table.dev_arrows);
    listed
        .flat_map(|(from, list)| list.iter().map(move |to| (from.as_str(), to.as_str())))
        .filter(|arrow| !used.contains(arrow))
        .map(|(from, to)| format!("{TABLE}: `{from}` may use `{to}` but does not"))
        .collect()
}

/// Crates that build native code and are reached by a plain build.
fn native(table: &Table, built: &BTreeSet<String>) -> Vec<Finding> {
    let builders = table.native.builders.iter().filter(|name| built.contains(*name));
    builders
        .map(|name| {
            let what = format!(
                "`{name}` builds native code; `cargo tree --invert {name}` tells for whom: put \
                 that behind a feature that is off"
            );
            Finding::new(Path::new("Cargo.lock"), 0, what)
        })
        .collect()
}

/// Lines of a file that use a door which only other places may use.
fn doors(table: &Table, file: &Path, text: &str) -> Vec<Finding> {
    let code = crate::tidy::without_tests(text);
    let mut findings = Vec::new();
    for (door, places) in &table.doors {
        if places.iter().any(|place| file.starts_with(PathBuf::from(place))) {
            continue;
        }
        for (number, line) in code.lines().enumerate() {
            if line.contains(door.as_str()) && !line.trim_start().starts_with("//") {
                findings.push(Finding::new(
                    file,
                    number + 1,
                    format!("`{door}` is for {} only; take it in as an input", places.join(", ")),
                ));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests;
