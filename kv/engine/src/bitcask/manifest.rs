//! The files of a bitcask: names, and the manifest.
//!
//! ```text
//! MANIFEST        the segments that count, oldest first; replaced as a whole
//! 00000001.seg    a segment
//! 00000001.hint   its keys, for a fast start
//! ```
//!
//! `MANIFEST` is lines of text, of which the last is the CRC of those before it:
//!
//! ```text
//! segment 1 log
//! segment 3 merged
//! segment 4 log
//! crc 12345678
//! ```
//!
//! A segment file that the manifest does not name is a leftover of a crash, and is removed.

use std::fmt::Write as _;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use wal::OpenMode;

use crate::Result;
use crate::folder::{Folder, corrupt, with_crc};

/// How a segment came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// Batches were appended to it in the order of their sequence numbers.
    Log,
    /// A merge wrote it.
    Merged,
}

/// A line of the manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) id: NonZeroU32,
    pub(super) origin: Origin,
}

impl Folder {
    pub(super) fn segment(&self, id: NonZeroU32) -> PathBuf {
        self.path.join(format!("{id:08}.seg"))
    }

    pub(super) fn hint(&self, id: NonZeroU32) -> PathBuf {
        self.path.join(format!("{id:08}.hint"))
    }

    pub(super) fn manifest(&self) -> PathBuf {
        self.path.join("MANIFEST")
    }

    /// The segments that count, oldest first; none if the folder is new.
    pub(super) fn read_manifest(&self) -> Result<Vec<Listed>> {
        let path = self.manifest();
        let Some(lines) = self.read_text(&path)? else {
            let is_segment = |name: &PathBuf| name.extension().is_some_and(|e| e == "seg");
            return match self.list()?.iter().any(is_segment_with_data(self, is_segment)) {
                true => Err(corrupt(&path, 0, "the file is missing")),
                false => Ok(Vec::new()),
            };
        };
        let parse = |line: &String| {
            let (id, origin) = line.strip_prefix("segment ")?.split_once(' ')?;
            let origin = match origin {
                "log" => Origin::Log,
                "merged" => Origin::Merged,
                _ => return None,
            };
            Some(Listed { id: id.parse().ok()?, origin })
        };
        let listed: Option<Vec<_>> = lines.iter().map(parse).collect();
        listed.ok_or_else(|| corrupt(&path, 0, "a line is not understood"))
    }

    /// Replaces the manifest.
    pub(super) fn write_manifest(&self, segments: &[Listed]) -> Result<()> {
        let mut text = String::new();
        for listed in segments {
            let origin = match listed.origin {
                Origin::Log => "log",
                Origin::Merged => "merged",
            };
            let _ = writeln!(text, "segment {} {origin}", listed.id);
        }
        self.replace(&self.manifest(), &with_crc(text))
    }

    /// Removes what a crash left: files that are not listed. Returns how many there were.
    pub(super) fn sweep(&self, segments: &[Listed]) -> Result<usize> {
        let keep = |name: &Path| {
            let listed = |id: u32| segments.iter().any(|listed| listed.id.get() == id);
            let number = name.file_stem().and_then(|stem| stem.to_str()?.parse::<u32>().ok());
            match name.extension().and_then(|extension| extension.to_str()) {
                Some("tmp") => false,
                Some("seg" | "hint") => number.is_none_or(listed),
                _ => true,
            }
        };
        let mut removed = 0;
        for name in self.list()?.iter().filter(|name| !keep(name)) {
            self.remove(&self.path.join(name))?;
            removed += 1;
        }
        Ok(removed)
    }
}

/// A segment without a manifest is a leftover of the very first start, unless it has frames.
fn is_segment_with_data<'a>(
    folder: &'a Folder,
    is_segment: impl Fn(&PathBuf) -> bool + 'a,
) -> impl Fn(&PathBuf) -> bool + 'a {
    move |name| {
        let mut byte = [0; 8];
        is_segment(name)
            && folder.fs.open(&folder.path.join(name), OpenMode::Read).is_ok_and(|file| {
                file.read_at(&mut byte, super::segment::SEGMENT_HEAD as u64).is_ok()
                    && byte != [0; 8]
            })
    }
}
