//! What a check found: where, what is wrong, and what to do instead.

use std::fmt;
use std::path::{Path, PathBuf};

/// One broken rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// The file, relative to the root of the workspace.
    pub(crate) file: PathBuf,
    /// The line, from 1; 0 if the finding is about the whole file.
    pub(crate) line: usize,
    /// What is wrong, and what to do instead.
    pub(crate) what: String,
}

impl Finding {
    pub(crate) fn new(file: &Path, line: usize, what: impl Into<String>) -> Finding {
        Finding { file: file.to_path_buf(), line, what: what.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        write!(f, ": {}", self.what)
    }
}
