//! A segment: a file of frames, and what is known about it.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use wal::File;

use super::frame::Salt;
use super::manifest::{Listed, Origin};
use crate::folder::{Folder, corrupt, failed};
use crate::{Error, Result};

/// Bytes before the first frame.
pub(super) const SEGMENT_HEAD: usize = 64;

const MAGIC: [u8; 8] = *b"tkvseg\r\n";
const VERSION: u32 = 1;

/// The head of a segment.
///
/// ```text
///  0  magic      8 bytes  "tkvseg\r\n"
///  8  version    u32      1
/// 12  origin     u32      0 log, 1 merged
/// 16  uid        u64      of the folder
/// 24  id         u64      the number of the segment
/// 32  first_seq  u64      log: of its first batch; merged: the smallest in it
/// 40  clean_seq  u64      no record in it was overwritten by a batch up to this one
/// 48  durable    u64      the newest batch known to be durable when the segment was made
/// 56  zero       u32
/// 60  crc        u32      CRC-32C of bytes 0..60
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentHead {
    pub(super) uid: u64,
    pub(super) listed: Listed,
    pub(super) first_seq: u64,
    pub(super) clean_seq: u64,
    pub(super) durable: u64,
}

impl SegmentHead {
    pub(super) fn encode(&self) -> [u8; SEGMENT_HEAD] {
        let mut bytes = [0; SEGMENT_HEAD];
        let origin = u32::from(self.listed.origin == Origin::Merged);
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&origin.to_le_bytes());
        let numbers = [
            self.uid,
            u64::from(self.listed.id.get()),
            self.first_seq,
            self.clean_seq,
            self.durable,
        ];
        for (place, number) in bytes[16..56].chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        let crc = crc32c::crc32c(&bytes[..60]);
        bytes[60..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8; SEGMENT_HEAD]) -> std::result::Result<SegmentHead, String> {
        let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"));
        let u64_at = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
        if bytes[..8] != MAGIC {
            return Err("this is not a segment: its first bytes are wrong".to_owned());
        }
        if crc32c::crc32c(&bytes[..60]) != u32_at(60) {
            return Err("the CRC of the segment's head is wrong".to_owned());
        }
        if u32_at(8) != VERSION {
            return Err(format!("the segment has format version {}, not {VERSION}", u32_at(8)));
        }
        let id = u32::try_from(u64_at(24)).ok().and_then(NonZeroU32::new);
        let origin = if u32_at(12) == 0 { Origin::Log } else { Origin::Merged };
        Ok(SegmentHead {
            uid: u64_at(16),
            listed: Listed { id: id.ok_or("the segment has no number")?, origin },
            first_seq: u64_at(32),
            clean_seq: u64_at(40),
            durable: u64_at(48),
        })
    }
}

/// An open segment.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) id: NonZeroU32,
    pub(super) head: SegmentHead,
    pub(super) salt: Salt,
    pub(super) path: PathBuf,
    pub(super) file: Arc<dyn File>,
    /// Where the next frame of the newest segment goes; the length of a sealed one.
    pub(super) end: AtomicU64,
    /// No put in it was overwritten by a batch up to this one: the number in the head, or a later
    /// one that was found out since.
    pub(super) clean_seq: AtomicU64,
    /// The sequence number of the newest batch in it; of a sealed one.
    pub(super) last_seq: AtomicU64,
    /// Bytes of records that put.
    pub(super) puts: AtomicU64,
    /// Bytes of those of them that are the newest of their key.
    pub(super) live: AtomicU64,
    /// Bytes of records that say what was removed.
    pub(super) removals: AtomicU64,
    /// Whether a hint file stands beside it.
    pub(super) hinted: AtomicBool,
    /// Whether a merge or a hint found damage in it: it is left as it is.
    pub(super) damaged: AtomicBool,
}

impl Segment {
    pub(super) fn new(folder: &Folder, head: SegmentHead, file: Arc<dyn File>) -> Segment {
        Segment {
            id: head.listed.id,
            head,
            salt: Salt::new(head.uid, head.listed.id.get()),
            path: folder.segment(head.listed.id),
            file,
            end: AtomicU64::new(SEGMENT_HEAD as u64),
            clean_seq: AtomicU64::new(head.clean_seq),
            last_seq: AtomicU64::new(0),
            puts: AtomicU64::new(0),
            live: AtomicU64::new(0),
            removals: AtomicU64::new(0),
            hinted: AtomicBool::new(false),
            damaged: AtomicBool::new(false),
        }
    }

    /// Creates the file of a segment, with its head, durably.
    pub(super) fn create(folder: &Folder, head: SegmentHead, allocate: u64) -> Result<Segment> {
        let path = folder.segment(head.listed.id);
        let file = folder.create(&path)?;
        let made = file
            .allocate(allocate.max(SEGMENT_HEAD as u64))
            .and_then(|()| file.write_all_at(&head.encode(), 0))
            .and_then(|()| file.sync_data())
            .map_err(|e| failed("create the segment", &path, e))
            .and_then(|()| folder.sync());
        if let Err(error) = made {
            // Nothing refers to the file; if it stays, the next start removes it.
            let _ = folder.remove(&path);
            return Err(error);
        }
        Ok(Segment::new(folder, head, file))
    }

    /// Opens the file of a segment, and checks its head.
    pub(super) fn open(
        folder: &Folder,
        listed: Listed,
        uid: u64,
        mode: wal::OpenMode,
    ) -> Result<Segment> {
        let path = folder.segment(listed.id);
        let file = folder.fs.open(&path, mode).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => corrupt(&path, 0, "the segment is missing"),
            _ => failed("open the segment", &path, error),
        })?;
        let mut bytes = [0; SEGMENT_HEAD];
        file.read_exact_at(&mut bytes, 0).map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => corrupt(&path, 0, "the segment has no head"),
            _ => failed("read the segment", &path, error),
        })?;
        let head = SegmentHead::decode(&bytes).map_err(|reason| corrupt(&path, 0, reason))?;
        if head.uid != uid || head.listed != listed {
            return Err(corrupt(&path, 0, "the segment belongs to another folder or place"));
        }
        Ok(Segment::new(folder, head, file))
    }

    pub(super) fn corrupt(&self, offset: u64, reason: impl Into<String>) -> Error {
        corrupt(&self.path, offset, reason)
    }

    pub(super) fn failed(&self, action: &'static str, source: std::io::Error) -> Error {
        failed(action, &self.path, source)
    }

    /// The error for a failed sync. Even for want of space it is not one to try again after.
    pub(super) fn sync_failed(&self, action: &'static str, source: std::io::Error) -> Error {
        Error::Io { action, file: self.path.clone(), source }
    }

    /// Bytes of records that were overwritten or removed.
    pub(super) fn dead(&self) -> u64 {
        self.puts.load(Ordering::Relaxed).saturating_sub(self.live.load(Ordering::Relaxed))
    }

    /// Whether no put in it is hidden by a removal at `seq`.
    pub(super) fn holds_nothing_before(&self, seq: u64) -> bool {
        self.head.first_seq > seq || self.clean_seq.load(Ordering::Relaxed) >= seq
    }

    /// The size in bytes.
    pub(super) fn len(&self) -> u64 {
        self.end.load(Ordering::Relaxed)
    }
}

/// All segments that readers may need, by number.
#[derive(Clone, Debug, Default)]
pub(super) struct Segments(Vec<Arc<Segment>>);

impl Segments {
    pub(super) fn get(&self, id: NonZeroU32) -> Option<&Arc<Segment>> {
        self.0.binary_search_by_key(&id, |segment| segment.id).ok().map(|i| &self.0[i])
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<Segment>> {
        self.0.iter()
    }

    pub(super) fn insert(&mut self, segment: Arc<Segment>) {
        match self.0.binary_search_by_key(&segment.id, |other| other.id) {
            Ok(i) => self.0[i] = segment,
            Err(i) => self.0.insert(i, segment),
        }
    }

    pub(super) fn remove(&mut self, ids: &[NonZeroU32]) {
        self.0.retain(|segment| !ids.contains(&segment.id));
    }
}
