//! The list of a crate's bugs on purpose: its file `mutants.toml`.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Deserialize;

/// What a `mutants.toml` holds; the crate `tinykv-mutant` tells how to write one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct List {
    /// The packages whose tests must notice the bugs; empty for the crate's own.
    #[serde(default)]
    pub(crate) suites: Vec<String>,
    /// Each bug's name, and what is wrong when it is on.
    pub(crate) bugs: BTreeMap<String, String>,
}

impl List {
    /// Reads the list in a crate's folder, if there is one.
    pub(crate) fn read(folder: &Path) -> Result<Option<List>> {
        let file = folder.join("mutants.toml");
        if !file.exists() {
            return Ok(None);
        }
        let text = std::fs::read_to_string(&file)?;
        toml::from_str(&text).with_context(|| file.display().to_string()).map(Some)
    }
}
