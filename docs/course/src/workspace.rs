//! What cargo and git know about the workspace.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

/// The workspace as `cargo metadata` tells it.
#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    pub(crate) packages: Vec<Package>,
    /// The identifiers of our own packages, in the order of the members.
    pub(crate) workspace_members: Vec<String>,
    /// Those that a plain build takes in.
    pub(crate) workspace_default_members: Vec<String>,
    pub(crate) workspace_root: PathBuf,
    pub(crate) target_directory: PathBuf,
    /// What a build of the default features takes in.
    pub(crate) resolve: Resolve,
}

/// A package and what its manifest asks for.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) manifest_path: PathBuf,
    pub(crate) dependencies: Vec<Dependency>,
}

/// One line of a manifest's dependencies.
#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    /// The name of the package, whatever the code calls it.
    pub(crate) name: String,
    /// None for a normal dependency, else `dev` or `build`.
    pub(crate) kind: Option<String>,
}

/// The graph of packages.
#[derive(Debug, Deserialize)]
pub(crate) struct Resolve {
    pub(crate) nodes: Vec<Node>,
}

/// A package in the graph.
#[derive(Debug, Deserialize)]
pub(crate) struct Node {
    pub(crate) id: String,
    pub(crate) deps: Vec<Edge>,
}

/// An arrow of the graph.
#[derive(Debug, Deserialize)]
pub(crate) struct Edge {
    pub(crate) pkg: String,
    pub(crate) dep_kinds: Vec<EdgeKind>,
}

/// When an arrow of the graph counts.
#[derive(Debug, Deserialize)]
pub(crate) struct EdgeKind {
    pub(crate) kind: Option<String>,
}

impl Metadata {
    /// Asks cargo about the workspace around the current folder, for Linux.
    pub(crate) fn read() -> Result<Metadata> {
        let output = Command::new(cargo())
            .args(["metadata", "--format-version", "1"])
            .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
            .output()
            .context("cannot run cargo metadata")?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// Our own packages in the order of the members.
    pub(crate) fn ours(&self) -> impl Iterator<Item = &Package> {
        self.workspace_members.iter().filter_map(|id| self.packages.iter().find(|p| &p.id == id))
    }

    /// The folder of a package, relative to the root.
    pub(crate) fn folder<'a>(&self, package: &'a Package) -> &'a Path {
        let folder = package.manifest_path.parent().unwrap_or(Path::new(""));
        folder.strip_prefix(&self.workspace_root).unwrap_or(folder)
    }
}

impl Package {
    /// The name that the table of arrows uses: without the prefix that all of ours have.
    pub(crate) fn short(&self) -> &str {
        short(&self.name)
    }
}

/// A package's name without the prefix that all of ours have.
pub(crate) fn short(name: &str) -> &str {
    name.strip_prefix("tinykv-").unwrap_or(name)
}

/// The cargo that runs us.
pub(crate) fn cargo() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".into())
}

/// The files of the tree below `root`: those that git tracks, and the new ones it does not ignore.
pub(crate) fn files(root: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
        .current_dir(root)
        .output()
        .context("cannot run git")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let names = String::from_utf8(output.stdout).context("a file name is not UTF-8")?;
    let mut files: Vec<PathBuf> = names
        .split_terminator('\0')
        .map(PathBuf::from)
        .filter(|f| root.join(f).is_file())
        .collect();
    files.sort();
    files.dedup();
    Ok(files)
}
