//! The log's folder: finds, prepares, seals and removes segment files.
//!
//! Invariant: a name that ends in `.wal` always belonged to a complete file with a durable header.
//! What is being made is called `*.tmp` and is removed when the log is opened.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::fs::{File, Fs, OpenMode};
use crate::options::Options;
use crate::segment::{HEADER_BYTES, SegmentHeader, SegmentId};
use crate::tail::Seal;
use mutant::mutant;

/// The folder of a log.
#[derive(Clone, Debug)]
pub(crate) struct Dir {
    pub(crate) fs: Arc<dyn Fs>,
    pub(crate) path: PathBuf,
}

/// A segment file that is open.
#[derive(Clone, Debug)]
pub(crate) struct SegmentFile {
    pub(crate) id: SegmentId,
    pub(crate) file: Arc<dyn File>,
}

/// How many zeros a new segment is filled with at once. Linux keeps the bytes of one write in one
/// folio where it can, and each later write to a part of it walks all of its blocks: with 1 MiB
/// that took 6 us of CPU an append.
const ZEROS: usize = 16 << 10;

/// How many of them are synced at once. A sync of the log waits behind what the disk has to do for
/// this file: 64 MiB at once held up commits for 25 to 56 ms.
const ZEROS_SYNCED: u64 = 1 << 20;

impl Dir {
    /// The segments by number, and the leftovers of an interrupted run.
    pub(crate) fn list(&self) -> Result<(Vec<SegmentId>, Vec<PathBuf>)> {
        let names = self.fs.list(&self.path).map_err(Error::io("list the log's folder"))?;
        let mut segments: Vec<SegmentId> = Vec::new();
        let mut leftovers = Vec::new();
        for name in names {
            if let Some(id) = SegmentId::parse(&name) {
                segments.push(id);
            } else if name.extension().is_some_and(|extension| extension == "tmp") {
                leftovers.push(name);
            }
        }
        segments.sort();
        for pair in segments.windows(2) {
            if pair[0].seq == pair[1].seq {
                return Err(Error::DuplicateSegment {
                    seq: pair[0].seq,
                    first: pair[0].name(),
                    second: pair[1].name(),
                });
            }
        }
        Ok((segments, leftovers))
    }

    /// The segments of a log that must be there.
    pub(crate) fn existing(&self) -> Result<Vec<SegmentId>> {
        let no_log = || Error::NoLog(self.path.clone());
        match self.fs.list(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(no_log()),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Err(no_log()),
            _ => {}
        }
        let (ids, _) = self.list()?;
        if ids.is_empty() { Err(no_log()) } else { Ok(ids) }
    }

    pub(crate) fn segment_path(&self, id: SegmentId) -> PathBuf {
        self.path.join(id.name())
    }

    pub(crate) fn open(&self, id: SegmentId, mode: OpenMode) -> Result<SegmentFile> {
        let path = self.segment_path(id);
        let what = format!("open {}", path.display());
        let file = self.fs.open(&path, mode).map_err(Error::io(what))?;
        Ok(SegmentFile { id, file })
    }

    /// Makes the segment of `header`, from a purged one if there is one. Nothing of it is there
    /// when this fails. A full disk is [`Error::DiskFull`].
    pub(crate) fn prepare(
        &self,
        header: SegmentHeader,
        options: &Options,
        recycled: Option<PathBuf>,
    ) -> Result<SegmentFile> {
        let temporary = self.path.join(format!("prepare-{:010}.tmp", header.id.seq));
        let made = self.try_prepare(header, options, recycled, &temporary);
        made.map_err(|error| {
            // A leftover is removed by the next open; here it only costs space.
            let _ = self.fs.remove(&temporary);
            prepare_error(error)
        })
    }

    fn try_prepare(
        &self,
        header: SegmentHeader,
        options: &Options,
        recycled: Option<PathBuf>,
        temporary: &Path,
    ) -> io::Result<SegmentFile> {
        let file = match recycled {
            Some(old) => {
                self.fs.rename(&self.path.join(old), temporary)?;
                // Before the header changes: a file must never have its old name and a new header.
                if !mutant!("wal-recycle-no-dir-sync") {
                    self.fs.sync_dir(&self.path)?;
                }
                self.fs.open(temporary, OpenMode::Write)?
            }
            None => {
                if self.fs.exists(temporary)? {
                    self.fs.remove(temporary)?;
                }
                let file = self.fs.open(temporary, OpenMode::CreateNew)?;
                // Zeros by hand: space that is only reserved still changes extents when written.
                let zeros = vec![0; ZEROS.min(options.segment_bytes as usize)];
                let mut at = 0;
                while at < options.segment_bytes {
                    let len = (options.segment_bytes - at).min(zeros.len() as u64);
                    file.write_all_at(&zeros[..len as usize], at)?;
                    at += len;
                    if at.is_multiple_of(ZEROS_SYNCED) {
                        file.sync_data()?;
                    }
                }
                file
            }
        };
        let mut page = vec![0; HEADER_BYTES as usize];
        let bytes = header.encode();
        page[..bytes.len()].copy_from_slice(&bytes);
        file.write_all_at(&page, 0)?;
        file.sync_data()?;
        self.fs.rename(temporary, &self.segment_path(header.id))?;
        if !mutant!("wal-no-dir-sync") {
            self.fs.sync_dir(&self.path)?;
        }
        Ok(SegmentFile { id: header.id, file })
    }

    /// Writes a full segment's footer and trailer. The trailer goes last in the file: where the
    /// segment is shorter than it could be, the file is cut.
    pub(crate) fn seal(&self, segment: &SegmentFile, seal: &Seal) -> Result<u64> {
        let align = u64::from(seal.trailer.header.block_align);
        let footer_end = seal.trailer.footer_offset + seal.footer.len() as u64;
        let at = crate::segment::align_up(footer_end, align);
        let path = self.segment_path(segment.id);
        let write = || -> io::Result<u64> {
            let file_len = segment.file.len()?;
            // A segment that was left early gives back its rest; a full one keeps its size, so
            // that it can be recycled.
            let cut = file_len - at > HEADER_BYTES + file_len / 4;
            let len = if cut { at + HEADER_BYTES } else { file_len };
            let mut page = vec![0; HEADER_BYTES as usize];
            let bytes = seal.trailer.encode();
            page[..bytes.len()].copy_from_slice(&bytes);
            segment.file.write_all_at(&seal.footer, seal.trailer.footer_offset)?;
            segment.file.write_all_at(&page, len - HEADER_BYTES)?;
            segment.file.sync_data()?;
            if cut {
                // Only now: a short file without a trailer is a damaged one.
                segment.file.set_len(len)?;
                segment.file.sync_data()?;
            }
            Ok(len)
        };
        write().map_err(Error::io(format!("seal {}", path.display())))
    }

    /// Removes files durably.
    pub(crate) fn remove(&self, names: &[PathBuf]) -> Result<()> {
        for name in names {
            let path = self.path.join(name);
            self.fs.remove(&path).map_err(Error::io(format!("remove {}", path.display())))?;
        }
        if !names.is_empty() {
            self.fs.sync_dir(&self.path).map_err(Error::io("sync the log's folder"))?;
        }
        Ok(())
    }
}

/// Sorts out a full disk.
fn prepare_error(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::DiskFull,
        _ => Error::Io { what: "prepare a segment".to_owned(), source: error },
    }
}
