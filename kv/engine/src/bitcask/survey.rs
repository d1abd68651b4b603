//! Reads a folder that may be damaged, as far as that is possible, and changes nothing.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use wal::{DirLock, Fs, OpenMode};

use super::VERSION;
use super::frame::{FRAME_HEAD, Record};
use super::hint;
use super::manifest::{Listed, Origin};
use super::recover::{Verdict, judge};
use super::scan::{End, Scan, Scanner};
use super::segment::{Segment, SegmentHead};
use crate::folder::{Folder, failed};
use crate::{Error, Result};

/// What damage means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Data was lost that had been acknowledged as durable, or it cannot be told that it was not.
    /// The folder is refused, or the damaged part of it.
    Data,
    /// A crash left a write unfinished that was never acknowledged as durable. The next start
    /// cuts it.
    Tail,
    /// A copy is damaged that the next start does without.
    Hint,
}

/// A damaged place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The damaged file.
    pub file: PathBuf,
    /// Where in the file the damage starts, in bytes.
    pub offset: u64,
    /// What is wrong.
    pub reason: String,
    /// What it means.
    pub severity: Severity,
}

/// A segment, as far as it could be read.
#[derive(Debug)]
pub(super) struct Surveyed {
    pub(super) segment: Arc<Segment>,
    pub(super) scan: Scan,
    /// Whether later frames were found after damage.
    torn: bool,
}

/// A folder, as far as it could be read. It is locked.
#[derive(Debug)]
pub(super) struct Survey {
    pub(super) folder: Folder,
    pub(super) segments: Vec<Surveyed>,
    pub(super) damage: Vec<Damage>,
    /// Whether the list of segments could be read.
    pub(super) listed: bool,
    _lock: Box<dyn DirLock>,
}

impl Survey {
    /// Reads the folder. Fails only if nothing can be read at all, or if it is in use.
    pub(super) fn new(fs: Arc<dyn Fs>, path: &Path) -> Result<Survey> {
        let folder = Folder { fs, path: path.to_path_buf() };
        if !folder.fs.exists(path).map_err(|e| failed("find the folder", path, e))? {
            let gone = std::io::ErrorKind::NotFound.into();
            return Err(failed("find the folder", path, gone));
        }
        let lock = folder.lock()?;
        let mut survey =
            Survey { folder, segments: Vec::new(), damage: Vec::new(), listed: true, _lock: lock };
        let uid = survey.uid()?;
        for listed in survey.list()? {
            survey.read(listed, uid)?;
        }
        survey.judge_logs();
        Ok(survey)
    }

    fn note(&mut self, file: PathBuf, offset: u64, reason: String, severity: Severity) {
        self.damage.push(Damage { file, offset, reason, severity });
    }

    /// Takes damage for a finding; any other error stands.
    fn absorb<T>(&mut self, result: Result<T>) -> Result<Option<T>> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(Error::Corrupt { file, offset, reason }) => {
                self.note(file, offset, reason, Severity::Data);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The uid of the folder: from its marker, or else from any segment.
    fn uid(&mut self) -> Result<u64> {
        let format = self.folder.format();
        let found = match self.folder.read_format("bitcask", VERSION) {
            Ok(None) => {
                self.note(format, 0, "the file is missing".to_owned(), Severity::Data);
                None
            }
            found => self.absorb(found)?.flatten(),
        };
        if let Some(uid) = found {
            return Ok(uid);
        }
        let heads = self.files()?.into_iter().filter_map(|id| self.head(id));
        Ok(heads.map(|head| head.uid).next().unwrap_or(0))
    }

    fn head(&self, id: NonZeroU32) -> Option<SegmentHead> {
        let file = self.folder.fs.open(&self.folder.segment(id), OpenMode::Read).ok()?;
        let mut bytes = [0; super::segment::SEGMENT_HEAD];
        file.read_exact_at(&mut bytes, 0).ok()?;
        SegmentHead::decode(&bytes).ok()
    }

    /// The numbers of all segment files, in order.
    fn files(&self) -> Result<Vec<NonZeroU32>> {
        let names = self.folder.list()?;
        let segments = names.iter().filter(|name| name.extension().is_some_and(|e| e == "seg"));
        let mut ids: Vec<_> =
            segments.filter_map(|name| name.file_stem()?.to_str()?.parse().ok()).collect();
        ids.sort();
        Ok(ids)
    }

    /// The segments that count: from the manifest, or else all that are there.
    fn list(&mut self) -> Result<Vec<Listed>> {
        let manifest = self.folder.read_manifest();
        if let Some(listed) = self.absorb(manifest)? {
            return Ok(listed);
        }
        self.listed = false;
        let ids = self.files()?;
        Ok(ids
            .into_iter()
            .map(|id| {
                let origin = self.head(id).map_or(Origin::Log, |head| head.listed.origin);
                Listed { id, origin }
            })
            .collect())
    }

    fn read(&mut self, listed: Listed, uid: u64) -> Result<()> {
        let opened = Segment::open(&self.folder, listed, uid, OpenMode::Read);
        let segment = match self.absorb(opened)? {
            Some(segment) => segment,
            None => match self.folder.fs.open(&self.folder.segment(listed.id), OpenMode::Read) {
                // Without its head, the frames can still be told by the folder's uid.
                Ok(file) => {
                    let (first_seq, clean_seq, durable) = (0, 0, 0);
                    let head = SegmentHead { uid, listed, first_seq, clean_seq, durable };
                    Segment::new(&self.folder, head, file)
                }
                Err(_) => return Ok(()),
            },
        };
        let segment = Arc::new(segment);
        let scan = Scanner::new(Arc::clone(&segment))?.run(|_, _, _| {})?;
        let hint = self.folder.hint(listed.id);
        if self.folder.fs.exists(&hint).is_ok_and(|exists| exists)
            && hint::read(&self.folder, &segment).is_none()
        {
            let reason = "the hint is damaged, or of another segment".to_owned();
            self.note(hint, 0, reason, Severity::Hint);
        }
        let torn = scan.after > 0;
        self.segments.push(Surveyed { segment, scan, torn });
        Ok(())
    }

    /// Tells unfinished writes from damage.
    fn judge_logs(&mut self) {
        let is_log = |s: &&Surveyed| s.segment.head.listed.origin == Origin::Log;
        let logs: Vec<&Surveyed> = self.segments.iter().filter(is_log).collect();
        let scans: Vec<_> = logs.iter().map(|s| (s.segment.head.first_seq, &s.scan)).collect();
        let merged = self.segments.iter().filter(|s| !is_log(s)).map(|s| s.segment.head.clean_seq);
        let verdict = judge(&scans, merged.max().unwrap_or(0));
        let mut found = Vec::new();
        for (i, log) in logs.iter().enumerate() {
            let place = (log.segment.path.clone(), log.scan.end);
            match (&verdict, &log.scan.how) {
                (Verdict::Cut(at), _) if i == *at => {
                    found.push((place, "an unfinished write".to_owned(), Severity::Tail));
                }
                (Verdict::Cut(at), _) if i > *at => {
                    let reason = "this follows an unfinished write".to_owned();
                    found.push((place, reason, Severity::Tail));
                }
                (Verdict::Corrupt(at, reason), _) if i == *at => {
                    found.push((place, reason.clone(), Severity::Data));
                }
                (_, End::Damaged(reason)) => {
                    found.push((place, (*reason).to_owned(), Severity::Data));
                }
                _ => {}
            }
        }
        for merged in self.segments.iter().filter(|s| !is_log(s)) {
            let reason = match merged.scan.how {
                End::Sealed => continue,
                End::Open => "the segment ends too early",
                End::Damaged(reason) => reason,
            };
            let place = (merged.segment.path.clone(), merged.scan.end);
            found.push((place, reason.to_owned(), Severity::Data));
        }
        for ((file, offset), reason, severity) in found {
            self.note(file, offset, reason, severity);
        }
        let more: Vec<_> = self.segments.iter().filter(|s| s.torn).flat_map(later).collect();
        for (file, offset, reason) in more {
            self.note(file, offset, reason, Severity::Data);
        }
    }
}

/// Further damaged places of a segment, after the first one.
fn later(surveyed: &Surveyed) -> Vec<(PathBuf, u64, String)> {
    let mut found = Vec::new();
    let each = |at: u64, reason: &'static str| {
        if at != surveyed.scan.end {
            found.push((surveyed.segment.path.clone(), at, reason.to_owned()));
        }
    };
    // The file was read before: an error now is a finding of the first reading.
    let _ = rescue(&surveyed.segment, |_, _, _| {}, each);
    found
}

/// Reads all right records of a segment, those after and in damaged frames included. Calls
/// `record` with the place, the sequence number and the record, and `damage` with each place where
/// the chain of frames breaks.
pub(super) fn rescue(
    segment: &Arc<Segment>,
    mut record: impl FnMut(u64, u64, Record<'_>),
    mut damage: impl FnMut(u64, &'static str),
) -> Result<()> {
    let mut scanner = Scanner::new(Arc::clone(segment))?;
    let mut last_seq = segment.head.first_seq.saturating_sub(1);
    loop {
        while let Some(head) =
            scanner.next(|at, head, found| record(at + u64::from(found.offset), head.seq, found))?
        {
            last_seq = head.seq;
        }
        if scanner.is_sealed()? {
            return Ok(());
        }
        let at = scanner.at;
        let Some((place, _)) = scanner.find(at + super::frame::ALIGNMENT as u64)? else {
            if !scanner.only_zeros()? {
                rescue_frame(segment, &mut scanner, at, last_seq + 1, &mut record)?;
                damage(at, "no frame starts here, and none follows");
            }
            return Ok(());
        };
        rescue_frame(segment, &mut scanner, at, last_seq + 1, &mut record)?;
        damage(at, "bytes that are no frame");
        scanner.at = place;
    }
}

/// Reads the right records at the start of a damaged frame. If its head is lost, its sequence
/// number is the one that follows, for in a log there are no gaps; the CRC of each record tells.
fn rescue_frame(
    segment: &Segment,
    scanner: &mut Scanner,
    at: u64,
    next_seq: u64,
    record: &mut impl FnMut(u64, u64, Record<'_>),
) -> Result<()> {
    let seq = scanner.head_at(at)?.map_or(next_seq, |head| head.seq);
    let mut place = at + FRAME_HEAD as u64;
    while let Some(bytes) = scanner.record_at(place)? {
        let Ok(found) = Record::parse(bytes, segment.salt, seq) else { break };
        record(place, seq, found);
        place += found.len();
    }
    Ok(())
}
