//! Reads a segment from its first frame to its last, and judges what it finds behind that.

use std::sync::Arc;

use mutant::mutant;

use super::frame::{ALIGNMENT, FRAME_HEAD, Head, RECORD_HEAD, Record};
use super::segment::{SEGMENT_HEAD, Segment};
use crate::Result;

/// Bytes that are read at once.
const WINDOW: usize = 1 << 20;

/// How a segment ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// With the frame that seals it.
    Sealed,
    /// With zeros, or the end of the file.
    Open,
    /// With bytes that are no frame.
    Damaged(&'static str),
}

/// What a scan found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scan {
    /// Where the last right frame ends. (A seal is not counted.)
    pub(super) end: u64,
    /// The sequence number of the last right frame, or the one before the segment's first.
    pub(super) last_seq: u64,
    /// The newest batch that was known to be durable, as any right frame or head here tells,
    /// those after a damaged place included.
    pub(super) durable: u64,
    /// Right frames after a damaged place.
    pub(super) after: u64,
    pub(super) how: End,
}

/// Reads a segment frame by frame.
#[derive(Debug)]
pub(super) struct Scanner {
    segment: Arc<Segment>,
    len: u64,
    /// Where the next frame is expected.
    pub(super) at: u64,
    window: Vec<u8>,
    window_start: u64,
}

/// What stands at a place in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Frame(Head),
    Seal(Head),
    Zeros,
    Damage(&'static str),
}

impl Scanner {
    pub(super) fn new(segment: Arc<Segment>) -> Result<Scanner> {
        let len = segment.file.len().map_err(|e| segment.failed("read the segment", e))?;
        let at = SEGMENT_HEAD as u64;
        Ok(Scanner { segment, len, at, window: Vec::new(), window_start: 0 })
    }

    /// The bytes from `at` on, at least `want` of them if the file has as many.
    fn bytes(&mut self, at: u64, want: usize) -> Result<&[u8]> {
        let end = self.window_start + self.window.len() as u64;
        let want_end = self.len.min(at + want as u64);
        if at < self.window_start || want_end > end {
            let size = (want.max(WINDOW) as u64).min(self.len.saturating_sub(at));
            self.window.clear();
            self.window.resize(size as usize, 0);
            self.window_start = at;
            self.segment
                .file
                .read_exact_at(&mut self.window, at)
                .map_err(|e| self.segment.failed("read the segment", e))?;
        }
        Ok(&self.window[(at - self.window_start) as usize..])
    }

    /// Looks at a place, and calls `each` with the records of the frame there, if it is right.
    fn look(&mut self, at: u64, mut each: impl FnMut(u64, &Head, Record<'_>)) -> Result<Found> {
        if at >= self.len {
            return Ok(Found::Zeros);
        }
        let (salt, len) = (self.segment.salt, self.len);
        let bytes = self.bytes(at, FRAME_HEAD)?;
        let Some(head) = Head::parse(bytes, salt, at) else {
            let zeros = bytes[..bytes.len().min(FRAME_HEAD)].iter().all(|&byte| byte == 0);
            return Ok(if zeros { Found::Zeros } else { Found::Damage("no frame starts here") });
        };
        let Some(body_len) = head.body_len else { return Ok(Found::Seal(head)) };
        if at + head.frame_len() > len {
            return Ok(Found::Damage("the file ends within the frame"));
        }
        let frame = self.bytes(at, head.frame_len() as usize)?;
        Ok(match head.records(&frame[FRAME_HEAD..FRAME_HEAD + body_len as usize], salt) {
            Ok(records) => {
                let torn = mutant!("batch-torn") && records.len() > 1;
                let count = if torn { records.len() / 2 } else { records.len() };
                records.into_iter().take(count).for_each(|record| each(at, &head, record));
                Found::Frame(head)
            }
            Err(reason) => Found::Damage(reason),
        })
    }

    /// Reads the next frame and calls `each` with where it starts and its records; `None` at the
    /// end of the chain.
    pub(super) fn next(
        &mut self,
        each: impl FnMut(u64, &Head, Record<'_>),
    ) -> Result<Option<Head>> {
        let Found::Frame(head) = self.look(self.at, each)? else { return Ok(None) };
        self.at += head.frame_len();
        Ok(Some(head))
    }

    /// Whether the chain ended with a seal.
    pub(super) fn is_sealed(&mut self) -> Result<bool> {
        Ok(matches!(self.look(self.at, |_, _, _| {})?, Found::Seal(_)))
    }

    /// Reads all frames, and judges the end.
    pub(super) fn run(mut self, mut each: impl FnMut(u64, &Head, Record<'_>)) -> Result<Scan> {
        let head = self.segment.head;
        let mut last_seq = head.first_seq.saturating_sub(1);
        let mut durable = head.durable;
        while let Some(head) = self.next(&mut each)? {
            last_seq = last_seq.max(head.seq);
            durable = durable.max(head.durable);
        }
        let mut scan = Scan { end: self.at, last_seq, durable, after: 0, how: End::Open };
        scan.how = match self.look(self.at, |_, _, _| {})? {
            Found::Seal(seal) => {
                scan.durable = scan.durable.max(seal.durable);
                scan.last_seq = scan.last_seq.max(seal.seq);
                End::Sealed
            }
            Found::Zeros if self.only_zeros()? => End::Open,
            Found::Zeros => End::Damaged("zeros, and other bytes behind them"),
            Found::Damage(reason) => End::Damaged(reason),
            Found::Frame(_) => unreachable!("the chain ended here"),
        };
        if matches!(scan.how, End::Damaged(_)) {
            self.search(&mut scan)?;
        }
        Ok(scan)
    }

    /// The head of the frame at a place, whether its records are right or not.
    pub(super) fn head_at(&mut self, at: u64) -> Result<Option<Head>> {
        let salt = self.segment.salt;
        if at >= self.len {
            return Ok(None);
        }
        Ok(Head::parse(self.bytes(at, FRAME_HEAD)?, salt, at))
    }

    /// The bytes of what may be a record at a place, with as much behind as it claims to have.
    pub(super) fn record_at(&mut self, at: u64) -> Result<Option<&[u8]>> {
        if at >= self.len {
            return Ok(None);
        }
        let claimed = Record::claimed_len(self.bytes(at, RECORD_HEAD)?);
        if claimed > self.len - at {
            return Ok(None);
        }
        self.bytes(at, claimed as usize).map(Some)
    }

    /// Whether the rest of the file is zeros.
    pub(super) fn only_zeros(&mut self) -> Result<bool> {
        let mut at = self.at;
        while at < self.len {
            let bytes = self.bytes(at, WINDOW)?;
            if bytes.iter().any(|&byte| byte != 0) {
                return Ok(false);
            }
            at += bytes.len() as u64;
        }
        Ok(true)
    }

    /// Searches right frames after a damaged place: they may tell that it was durable.
    fn search(&mut self, scan: &mut Scan) -> Result<()> {
        let mut at = scan.end + ALIGNMENT as u64;
        while let Some(found) = self.find(at)? {
            let (place, head) = found;
            scan.durable = scan.durable.max(head.durable);
            scan.after += 1;
            at = place + head.frame_len();
        }
        Ok(())
    }

    /// The next right frame or seal at or after a place.
    pub(super) fn find(&mut self, mut at: u64) -> Result<Option<(u64, Head)>> {
        while at < self.len {
            if let Found::Frame(head) | Found::Seal(head) = self.look(at, |_, _, _| {})? {
                return Ok(Some((at, head)));
            }
            at += ALIGNMENT as u64;
        }
        Ok(None)
    }
}
