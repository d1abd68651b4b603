//! Hint files: the keys of a sealed segment without the values, for a fast start.
//!
//! ```text
//!  0  magic     8 bytes  "tkvhint\n"
//!  8  version   u32      1
//! 12  seal      u32      the first four bytes of the frame that seals the segment
//! 16  end       u64      where that frame starts
//! 24  last_seq  u64      the newest batch in the segment
//! 32  count     u32      items
//! 36  zero      u32
//! 40  items, ascending by column family and key, newest first; ranges last
//!     crc       u32      CRC-32C of everything before
//!
//! item   0  cf         u8
//!        1  kind       u8     as in a record
//!        2  key_len    u16
//!        4  value_len  u32
//!        8  offset     u32    where the record starts in the segment
//!       12  seq        u64
//!       20  key; of a range also the value
//! ```
//!
//! A hint is a copy: a missing or damaged one costs time, nothing else. It is believed if its CRC
//! is right and the segment ends with the very frame that it names.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use mutant::mutant;
use wal::OpenMode;

use super::frame::{FRAME_HEAD, Head};
use super::run::Run;
use super::scan::{End, Scan, Scanner};
use super::segment::Segment;
use crate::Result;
use crate::folder::Folder;

const MAGIC: [u8; 8] = *b"tkvhint\n";
const VERSION: u32 = 1;
const HEAD: usize = 40;

/// The bytes of the seal at the end of a segment.
fn read_seal(segment: &Segment, end: u64) -> Option<[u8; FRAME_HEAD]> {
    let mut seal = [0; FRAME_HEAD];
    segment.file.read_exact_at(&mut seal, end).ok()?;
    let head = Head::parse(&seal, segment.salt, end)?;
    head.body_len.is_none().then_some(seal)
}

/// Writes the hint of a sealed segment, durably but for its name.
pub(super) fn write(folder: &Folder, segment: &Segment, run: &Run) -> Result<()> {
    let path = folder.hint(segment.id);
    let end = segment.end.load(Ordering::Relaxed);
    let Some(seal) = read_seal(segment, end) else {
        return Err(segment.corrupt(end, "the segment has lost its last frame"));
    };
    let mut bytes = Vec::with_capacity(HEAD + run.hint_len() + 4);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&seal[..4]);
    bytes.extend_from_slice(&end.to_le_bytes());
    bytes.extend_from_slice(&segment.last_seq.load(Ordering::Relaxed).to_le_bytes());
    bytes.extend_from_slice(&((run.items.len() + run.ranges.len()) as u32).to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    run.encode(&mut bytes);
    let crc = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    folder.replace(&path, &bytes)?;
    segment.hinted.store(true, Ordering::Relaxed);
    Ok(())
}

/// Reads the hint of a segment; `None` if there is none that can be believed.
pub(super) fn read(folder: &Folder, segment: &Segment) -> Option<(Scan, Run)> {
    let path = folder.hint(segment.id);
    let file = folder.fs.open(&path, OpenMode::Read).ok()?;
    let mut bytes = vec![0; usize::try_from(file.len().ok()?).ok()?];
    file.read_exact_at(&mut bytes, 0).ok()?;
    let believed = decode(segment, bytes);
    if believed.is_none() {
        log::warn!("a hint file is of no use: reading its segment"; "file" => path.display().to_string());
    }
    segment.hinted.store(believed.is_some(), Ordering::Relaxed);
    believed
}

fn decode(segment: &Segment, mut bytes: Vec<u8>) -> Option<(Scan, Run)> {
    let crc_at = bytes.len().checked_sub(4).filter(|&at| at >= HEAD)?;
    let right = crc32c::crc32c(&bytes[..crc_at]).to_le_bytes() == bytes[crc_at..];
    if !right && !mutant!("hint-unchecked") {
        return None;
    }
    bytes.truncate(crc_at);
    let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"));
    let u64_at = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
    let (end, last_seq, count) = (u64_at(16), u64_at(24), u32_at(32));
    let seal = read_seal(segment, end)?;
    let len = segment.file.len().ok()?;
    if bytes[..8] != MAGIC
        || u32_at(8) != VERSION
        || bytes[12..16] != seal[..4]
        || len != end + FRAME_HEAD as u64
    {
        return None;
    }
    let run = Run::decode(bytes, HEAD, count as usize)?;
    let durable = segment.head.durable;
    Some((Scan { end, last_seq, durable, after: 0, how: End::Sealed }, run))
}

/// Writes the hint of a sealed segment from its data.
pub(super) fn make(folder: &Folder, segment: &Arc<Segment>) -> Result<()> {
    let mut run = Run::default();
    let scan = Scanner::new(Arc::clone(segment))?.run(|at, head, record| {
        run.add(&record, at + u64::from(record.offset), head.seq);
    })?;
    if let End::Damaged(reason) = scan.how {
        return Err(segment.corrupt(scan.end, reason));
    }
    run.sort();
    write(folder, segment, &run)
}
