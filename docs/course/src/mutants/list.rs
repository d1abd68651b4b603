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
    #[serde(default)]
    pub(crate) bugs: BTreeMap<String, String>,
    /// Bugs in code that only a feature builds, by the feature: `[with.rocksdb.bugs]`.
    #[serde(default)]
    pub(crate) with: BTreeMap<String, With>,
}

/// The bugs that need a feature, which each of the suites has too.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct With {
    /// As in [`List`].
    #[serde(default)]
    pub(crate) suites: Vec<String>,
    /// As in [`List`].
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

    /// The names of all bugs, whatever they need.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let with = self.with.values().flat_map(|with| with.bugs.keys());
        self.bugs.keys().chain(with).map(String::as_str)
    }

    /// The suites and the bugs to try: those that need a feature if one is named, else the others.
    pub(crate) fn choose(&mut self, feature: Option<&str>) -> With {
        match feature {
            Some(feature) => self.with.remove(feature).unwrap_or_default(),
            None => With {
                suites: std::mem::take(&mut self.suites),
                bugs: std::mem::take(&mut self.bugs),
            },
        }
    }
}
