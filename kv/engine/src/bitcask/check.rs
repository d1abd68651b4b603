//! Examines a folder.

use std::path::Path;
use std::sync::Arc;

use wal::Fs;

use super::survey::{Damage, Severity, Survey};
use crate::Result;

/// What [`check`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Segments that were read.
    pub segments: u64,
    /// Bytes in them that belong to right frames.
    pub bytes: u64,
    /// The newest batch that was read.
    pub last_seq: u64,
    /// What is wrong, by file and offset.
    pub damage: Vec<Damage>,
}

impl Report {
    /// Whether no stored data is damaged: the folder can be opened and served.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.damage.iter().all(|damage| damage.severity != Severity::Data)
    }
}

/// Reads everything in a folder, which must not be in use, and lists what is damaged. It changes
/// nothing.
///
/// # Errors
/// `Locked` if the folder is in use, `WrongEngine` or `Format` if it is not a bitcask that this
/// version reads, `Io` if it cannot be read.
pub fn check(fs: Arc<dyn Fs>, path: impl AsRef<Path>) -> Result<Report> {
    let survey = Survey::new(fs, path.as_ref())?;
    let mut report = Report { damage: survey.damage, ..Report::default() };
    for surveyed in &survey.segments {
        report.segments += 1;
        report.bytes += surveyed.scan.end;
        report.last_seq = report.last_seq.max(surveyed.scan.last_seq);
    }
    report.damage.sort_by(|a, b| (&a.file, a.offset).cmp(&(&b.file, b.offset)));
    Ok(report)
}
