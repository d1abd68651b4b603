//! Frames and records: what a segment is made of.
//!
//! A frame is one batch; it is applied whole or not at all. All numbers are little-endian.
//!
//! ```text
//! frame   0  head_crc   u32   CRC-32C of bytes 4..24, masked with the frame's offset
//!         4  body_len   u32   bytes of the records; u32::MAX: the end of a sealed segment
//!         8  seq        u64   the sequence number of the batch; without records, of the last one
//!        16  lag        u32   seq minus the newest batch known to be durable when this was written
//!        20  body_crc   u32   CRC-32C of the crc fields of the records
//!        24  records          body_len bytes, then zeros up to a multiple of 8
//!
//! record  0  crc        u32   CRC-32C of the rest of the record, masked with the seq
//!         4  kind       u8    1 put, 2 delete, 3 delete range
//!         5  cf         u8    the number of the column family
//!         6  key_len    u16
//!         8  value_len  u32
//!        12  key, value       of a range: its start; 0, or 1 and its end
//! ```
//!
//! A mask depends on the salt of the segment, so that bytes of another file, or of another place
//! in this one, never look right. A frame is right if its head, all of its records, and the CRC of
//! their CRCs are; a single record can be checked without the rest of its frame.

use bytes::Bytes;

use crate::plan::Plan;
use crate::{Cf, Error, Range, Result};

/// Bytes before the records of a frame.
pub(super) const FRAME_HEAD: usize = 24;

/// Bytes before the key of a record.
pub(super) const RECORD_HEAD: usize = 12;

/// Frames start at multiples of this.
pub(super) const ALIGNMENT: usize = 8;

/// Most bytes in a frame, so that offsets in a segment fit into 32 bits.
const FRAME_BYTES_MAX: usize = 3 << 29;

/// The `body_len` of the frame that ends a sealed segment.
const SEAL: u32 = u32::MAX;

/// What a record does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Put = 1,
    Delete = 2,
    DeleteRange = 3,
}

impl Kind {
    pub(super) fn from_number(number: u8) -> Option<Kind> {
        [Kind::Put, Kind::Delete, Kind::DeleteRange].into_iter().find(|&k| k as u8 == number)
    }
}

/// What tells the CRCs of one segment from those of all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Salt(u64);

impl Salt {
    /// The salt of a segment of the folder `uid`.
    pub(super) fn new(uid: u64, segment: u32) -> Salt {
        Salt(mix(uid ^ mix(u64::from(segment))))
    }

    fn mask(self, with: u64) -> u32 {
        (mix(self.0 ^ with) >> 32) as u32
    }
}

/// Spreads each bit over all bits (the finalizer of SplitMix64; Steele et al., OOPSLA 2014).
fn mix(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

/// Where the value of a key of a batch stands in the batch's frame.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub(super) cf: Cf,
    pub(super) key: Bytes,
    pub(super) kind: Kind,
    /// Where the record starts in the frame.
    pub(super) offset: u32,
    pub(super) value_len: u32,
}

impl Slot {
    /// The size of the record in bytes.
    pub(super) fn record_len(&self) -> u64 {
        record_len(self.key.len(), self.value_len)
    }
}

/// The size of a record in bytes.
pub(super) fn record_len(key: usize, value: u32) -> u64 {
    (RECORD_HEAD + key) as u64 + u64::from(value)
}

/// A batch as a frame, complete but for what is known only when it is written.
#[derive(Debug)]
pub(super) struct Draft {
    bytes: Vec<u8>,
    pub(super) ranges: Vec<(Cf, Range)>,
    /// Where the records of `ranges` start in the frame.
    range_offsets: Vec<u32>,
    pub(super) slots: Vec<Slot>,
}

impl Draft {
    /// Encodes a batch.
    pub(super) fn new(plan: Plan) -> Result<Draft> {
        let size = frame_len(&plan);
        if size > FRAME_BYTES_MAX {
            return Err(Error::Invalid(format!(
                "the batch takes {size} bytes on disk, more than {FRAME_BYTES_MAX}: split it"
            )));
        }
        let mut bytes = Vec::with_capacity(size);
        bytes.resize(FRAME_HEAD, 0);
        let mut range_offsets = Vec::with_capacity(plan.ranges.len());
        for (cf, range) in &plan.ranges {
            range_offsets.push(bytes.len() as u32);
            let end = range.end.as_deref();
            let flag = [u8::from(end.is_some())];
            push_record(
                &mut bytes,
                Kind::DeleteRange,
                *cf,
                &range.start,
                &[&flag, end.unwrap_or_default()],
            );
        }
        let mut slots = Vec::with_capacity(plan.points.len());
        for point in plan.points {
            let (kind, value) = match &point.value {
                Some(value) => (Kind::Put, &value[..]),
                None => (Kind::Delete, &[][..]),
            };
            let offset = bytes.len() as u32;
            push_record(&mut bytes, kind, point.cf, &point.key, &[value]);
            slots.push(Slot {
                cf: point.cf,
                key: point.key,
                kind,
                offset,
                value_len: value.len() as u32,
            });
        }
        Ok(Draft { bytes, ranges: plan.ranges, range_offsets, slots })
    }

    /// The size of the frame on disk in bytes.
    pub(super) fn len(&self) -> u64 {
        self.bytes.len().next_multiple_of(ALIGNMENT) as u64
    }

    /// Whether it only removes.
    pub(super) fn only_removes(&self) -> bool {
        self.slots.iter().all(|slot| slot.kind == Kind::Delete)
    }

    /// Appends the complete frame to `out`.
    pub(super) fn finish(&self, seal: Seal, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        out.resize(start + self.len() as usize, 0);
        let offsets =
            self.range_offsets.iter().copied().chain(self.slots.iter().map(|slot| slot.offset));
        let body_len = (self.bytes.len() - FRAME_HEAD) as u32;
        seal.stamp(&mut out[start..], body_len, offsets);
    }
}

fn frame_len(plan: &Plan) -> usize {
    let ranges = plan.ranges.iter().map(|(_, range)| {
        RECORD_HEAD + range.start.len() + 1 + range.end.as_ref().map_or(0, Bytes::len)
    });
    let points = plan
        .points
        .iter()
        .map(|point| RECORD_HEAD + point.key.len() + point.value.as_ref().map_or(0, Bytes::len));
    (FRAME_HEAD + ranges.sum::<usize>() + points.sum::<usize>()).next_multiple_of(ALIGNMENT)
}

/// Appends a record whose CRC is not masked yet.
fn push_record(out: &mut Vec<u8>, kind: Kind, cf: Cf, key: &[u8], value: &[&[u8]]) {
    let start = out.len();
    let value_len: usize = value.iter().map(|part| part.len()).sum();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&[kind as u8, cf as u8]);
    out.extend_from_slice(&(key.len() as u16).to_le_bytes());
    out.extend_from_slice(&(value_len as u32).to_le_bytes());
    out.extend_from_slice(key);
    for part in value {
        out.extend_from_slice(part);
    }
    let crc = crc32c::crc32c(&out[start + 4..]);
    out[start..start + 4].copy_from_slice(&crc.to_le_bytes());
}

/// What completes a frame when it is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seal {
    pub(super) salt: Salt,
    /// Where the frame starts in its file.
    pub(super) offset: u64,
    pub(super) seq: u64,
    /// The newest batch known to be durable.
    pub(super) durable: u64,
}

impl Seal {
    fn head(&self, frame: &mut [u8], body_len: u32, body_crc: u32) {
        let lag = u32::try_from(self.seq - self.durable.min(self.seq)).unwrap_or(u32::MAX);
        frame[4..8].copy_from_slice(&body_len.to_le_bytes());
        frame[8..16].copy_from_slice(&self.seq.to_le_bytes());
        frame[16..20].copy_from_slice(&lag.to_le_bytes());
        frame[20..24].copy_from_slice(&body_crc.to_le_bytes());
        let crc = crc32c::crc32c(&frame[4..FRAME_HEAD]) ^ self.salt.mask(!self.offset);
        frame[..4].copy_from_slice(&crc.to_le_bytes());
    }

    /// Completes a frame whose records, at `offsets`, have CRCs that are not masked.
    pub(super) fn stamp(
        &self,
        frame: &mut [u8],
        body_len: u32,
        offsets: impl Iterator<Item = u32>,
    ) {
        let mask = self.salt.mask(self.seq);
        let mut body_crc = 0;
        for at in offsets {
            let crc = &mut frame[at as usize..at as usize + 4];
            let masked = u32_at(crc, 0) ^ mask;
            crc.copy_from_slice(&masked.to_le_bytes());
            body_crc = crc32c::crc32c_append(body_crc, crc);
        }
        self.head(frame, body_len, body_crc);
    }

    /// A frame without records; `seq` is that of the last batch.
    pub(super) fn empty_frame(&self) -> [u8; FRAME_HEAD] {
        let mut frame = [0; FRAME_HEAD];
        self.head(&mut frame, 0, 0);
        frame
    }

    /// The frame that ends a sealed segment; `seq` is that of the last batch.
    pub(super) fn last_frame(&self) -> [u8; FRAME_HEAD] {
        let mut frame = [0; FRAME_HEAD];
        self.head(&mut frame, SEAL, 0);
        frame
    }
}

/// The head of a frame that was read, with a right CRC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Bytes of the records; `None` if this frame ends a sealed segment.
    pub(super) body_len: Option<u32>,
    pub(super) seq: u64,
    /// The newest batch that was known to be durable when the frame was written.
    pub(super) durable: u64,
    body_crc: u32,
}

impl Head {
    /// Reads the head of the frame at `offset` of a file; `None` if its CRC is wrong.
    pub(super) fn parse(bytes: &[u8], salt: Salt, offset: u64) -> Option<Head> {
        let bytes = bytes.get(..FRAME_HEAD)?;
        let crc = crc32c::crc32c(&bytes[4..]) ^ salt.mask(!offset);
        if crc != u32_at(bytes, 0) {
            return None;
        }
        let (body_len, seq) = (u32_at(bytes, 4), u64_at(bytes, 8));
        Some(Head {
            body_len: (body_len != SEAL).then_some(body_len),
            seq,
            durable: seq.saturating_sub(match u32_at(bytes, 16) {
                u32::MAX => u64::MAX,
                lag => u64::from(lag),
            }),
            body_crc: u32_at(bytes, 20),
        })
    }

    /// The size of the whole frame in bytes.
    pub(super) fn frame_len(&self) -> u64 {
        let bytes = FRAME_HEAD as u64 + u64::from(self.body_len.unwrap_or(0));
        bytes.next_multiple_of(ALIGNMENT as u64)
    }

    /// Checks the records of the frame, and returns them.
    pub(super) fn records<'a>(
        &self,
        body: &'a [u8],
        salt: Salt,
    ) -> std::result::Result<Vec<Record<'a>>, &'static str> {
        let mut records = Vec::new();
        let mut body_crc = 0;
        let mut at = 0;
        while at < body.len() {
            let record = Record::parse(&body[at..], salt, self.seq)?;
            body_crc = crc32c::crc32c_append(body_crc, &body[at..at + 4]);
            records.push(Record { offset: (FRAME_HEAD + at) as u32, ..record });
            at += record.len() as usize;
        }
        if body_crc != self.body_crc {
            return Err("the CRC of the frame's records is wrong");
        }
        Ok(records)
    }
}

/// A record that was read, with a right CRC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub(super) kind: Kind,
    pub(super) cf: Cf,
    pub(super) key: &'a [u8],
    pub(super) value: &'a [u8],
    /// Where the record starts in its frame.
    pub(super) offset: u32,
}

impl<'a> Record<'a> {
    /// How long the record at the start of `bytes` says it is.
    pub(super) fn claimed_len(bytes: &[u8]) -> u64 {
        match bytes.first_chunk::<RECORD_HEAD>() {
            Some(head) => {
                record_len(usize::from(u16::from_le_bytes([head[6], head[7]])), u32_at(head, 8))
            }
            None => RECORD_HEAD as u64,
        }
    }

    /// Reads the record at the start of `bytes`, which belongs to the batch `seq`.
    pub(super) fn parse(
        bytes: &'a [u8],
        salt: Salt,
        seq: u64,
    ) -> std::result::Result<Record<'a>, &'static str> {
        if bytes.len() < RECORD_HEAD {
            return Err("a record is cut off");
        }
        let key_len = usize::from(u16::from_le_bytes([bytes[6], bytes[7]]));
        let value_len = u32_at(bytes, 8) as usize;
        let rest = bytes.get(RECORD_HEAD..RECORD_HEAD + key_len + value_len);
        let rest = rest.ok_or("a record is longer than its frame")?;
        let checked = &bytes[4..RECORD_HEAD + key_len + value_len];
        if crc32c::crc32c(checked) ^ salt.mask(seq) != u32_at(bytes, 0)
            && !mutant::mutant!("no-record-crc")
        {
            return Err("the CRC of a record is wrong");
        }
        let kind = Kind::from_number(bytes[4]).ok_or("a record of an unknown kind")?;
        let cf = Cf::from_number(bytes[5]).ok_or("a record of an unknown column family")?;
        let (key, value) = rest.split_at(key_len);
        if kind == Kind::DeleteRange && !matches!(value, [0] | [1, ..]) {
            return Err("a removed range without an end");
        }
        Ok(Record { kind, cf, key, value, offset: 0 })
    }

    /// The size of the record in bytes.
    pub(super) fn len(&self) -> u64 {
        record_len(self.key.len(), self.value.len() as u32)
    }

    /// The range that a record of the kind `DeleteRange` removes.
    pub(super) fn range(&self) -> Range {
        let end =
            (self.value.first() == Some(&1)).then(|| Bytes::copy_from_slice(&self.value[1..]));
        Range { start: Bytes::copy_from_slice(self.key), end }
    }
}

/// A frame of records that were read before, as a merge writes it.
#[derive(Debug, Default)]
pub(super) struct Copy {
    bytes: Vec<u8>,
    offsets: Vec<u32>,
}

impl Copy {
    /// Starts a new frame.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.resize(FRAME_HEAD, 0);
        self.offsets.clear();
    }

    /// Appends a record, and returns where it starts in the frame.
    pub(super) fn push(&mut self, record: &Record<'_>) -> u32 {
        let offset = self.bytes.len() as u32;
        self.offsets.push(offset);
        push_record(&mut self.bytes, record.kind, record.cf, record.key, &[record.value]);
        offset
    }

    pub(super) fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    /// Completes the frame and appends it to `out`.
    pub(super) fn finish(&mut self, seal: Seal, out: &mut Vec<u8>) {
        let body_len = (self.bytes.len() - FRAME_HEAD) as u32;
        seal.stamp(&mut self.bytes, body_len, self.offsets.iter().copied());
        out.extend_from_slice(&self.bytes);
        out.resize(out.len().next_multiple_of(ALIGNMENT), 0);
    }
}
