//! The end of the log: forms blocks, without writing them.
//!
//! Invariants: blocks follow each other in lsn and offset; a block that could not be written is
//! formed again at the same place, as if it had never been; the first block of each segment
//! carries a start item.

use crate::batch::Ops;
use crate::block::{BLOCK_HEADER_BYTES, BlockHeader};
use crate::id::Lsn;
use crate::mirror::Mirror;
use crate::record::{Item, RunKind, Start, entry_crc};
use crate::segment::{
    HEADER_BYTES, PAGE, SegmentHeader, SegmentId, Trailer, align_up, push_summary,
};
use mutant::mutant;

/// Where the next block goes.
#[derive(Clone, Debug)]
pub(crate) struct Tail {
    pub(crate) header: SegmentHeader,
    /// Usable bytes of the segment's file.
    segment_bytes: u64,
    /// Where the next block starts.
    pub(crate) offset: u64,
    pub(crate) next_lsn: Lsn,
    /// The checksum of the last block's header.
    prev_crc: u32,
    /// What the next block repeats.
    mirror: Mirror,
    /// The segment of the last block.
    prev: SegmentId,
    /// The summaries of this segment's blocks.
    footer: Vec<u8>,
    first_lsn: Lsn,
}

/// The end of a log that a tail continues.
#[derive(Clone, Debug, Default)]
pub(crate) struct End {
    /// The last block; 0 for none.
    pub(crate) lsn: Lsn,
    pub(crate) crc: u32,
    /// What the next block repeats.
    pub(crate) mirror: Mirror,
    /// Its segment.
    pub(crate) seq: u32,
    pub(crate) uid: u64,
}

/// A block that is ready to be written.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) header: BlockHeader,
    /// The block, and zeros to the end of its last page if nothing was written there before.
    pub(crate) bytes: Vec<u8>,
    /// How many of them there are before the zeros at the end.
    pub(crate) used: usize,
    pub(crate) items: Vec<Item>,
}

/// What turns a full segment into a sealed one.
#[derive(Clone, Debug)]
pub(crate) struct Seal {
    pub(crate) trailer: Trailer,
    pub(crate) footer: Vec<u8>,
}

impl Tail {
    /// The tail of a log that ends with `end`, in a segment without blocks.
    pub(crate) fn new(header: SegmentHeader, segment_bytes: u64, end: End) -> Tail {
        Tail {
            header,
            segment_bytes,
            offset: HEADER_BYTES,
            next_lsn: end.lsn.next(),
            prev_crc: end.crc,
            mirror: end.mirror,
            prev: SegmentId { seq: end.seq, uid: end.uid },
            footer: Vec::new(),
            first_lsn: end.lsn.next(),
        }
    }

    /// The same log's tail in the next segment.
    pub(crate) fn roll(&self, header: SegmentHeader, segment_bytes: u64) -> Tail {
        let end = End {
            lsn: self.next_lsn.previous(),
            crc: self.prev_crc,
            mirror: self.mirror.clone(),
            seq: self.prev.seq,
            uid: self.prev.uid,
        };
        Tail::new(header, segment_bytes, end)
    }

    /// Whether this segment has no block yet.
    pub(crate) fn is_fresh(&self) -> bool {
        self.offset == HEADER_BYTES
    }

    /// Whether a block with this much from its batches fits, and the footer after it.
    pub(crate) fn fits(&self, bytes_max: u64) -> bool {
        let (mirror, footer) = (self.mirror.last().len() as u64, self.footer.len() as u64);
        let align = u64::from(self.header.block_align);
        self.offset + Tail::bytes_of(bytes_max, mirror, footer, align) <= self.segment_bytes
    }

    /// Leaves the rest of the page, so that the next block is the first in its own and names all
    /// that is in this one.
    pub(crate) fn next_page(&mut self) {
        self.offset = align_up(self.offset, PAGE);
    }

    /// An upper bound of what a block takes of its segment, with the footer and the trailer behind
    /// it: `bytes_max` from its batches, a mirror, and the footer of the blocks before it.
    pub(crate) fn bytes_of(bytes_max: u64, mirror: u64, footer: u64, align: u64) -> u64 {
        let fixed = BLOCK_HEADER_BYTES as u64 + 64;
        taken(fixed + bytes_max + mirror, footer + 4 + fixed + bytes_max, align)
    }

    /// Forms the next block in a buffer, whatever that holds. The tail moves on by
    /// [`Tail::advance`], once the block is written.
    pub(crate) fn form(
        &self,
        batches: &mut [Ops],
        (synced, first_seq): (Lsn, u32),
        buffer: Vec<u8>,
    ) -> Block {
        let uid = self.header.id.uid;
        let mut items = Vec::new();
        if self.is_fresh() {
            let (prev_seq, prev_uid) = (self.prev.seq, self.prev.uid);
            items.push(Item::Start(Start { prev_seq, prev_uid, first_seq }));
        }
        for batch in batches.iter_mut() {
            let at = items.len();
            items.append(&mut batch.items);
            fill_checksums(&mut items[at..], uid, &batch.payload);
        }
        let mut index = Vec::new();
        items.iter().for_each(|item| item.encode(&mut index));
        let payload_len: usize = batches.iter().map(|batch| batch.payload.len()).sum();
        let summary_len = BLOCK_HEADER_BYTES + index.len();
        let align = u64::from(self.header.block_align);
        let mirror = self.mirror.at(uid, self.offset, |mirror_len| {
            let block = (summary_len + mirror_len + payload_len) as u64;
            let footer = (self.footer.len() + 4 + summary_len) as u64;
            self.offset + taken(block, footer, align) <= self.segment_bytes
        });
        let mirror = if mutant!("wal-no-mirror") { &[] } else { mirror };
        let used = summary_len + mirror.len() + payload_len;
        let total = align_up(used as u64, align);
        let mut header = BlockHeader {
            lsn: self.next_lsn,
            uid,
            offset: self.offset,
            synced,
            prev_crc: self.prev_crc,
            items: items.len() as u32,
            index_len: index.len() as u32,
            index_crc: crc32c::crc32c(&index),
            mirror_len: mirror.len() as u32,
            mirror_crc: crc32c::crc32c(mirror),
            payload_len: payload_len as u32,
            total_len: total as u32,
            crc: 0,
        };
        let mut bytes = buffer;
        let written = written_end(self.offset, header.end()) - self.offset;
        bytes.clear();
        bytes.reserve(written as usize);
        bytes.extend_from_slice(&header.encode());
        bytes.extend_from_slice(&index);
        bytes.extend_from_slice(mirror);
        batches.iter().for_each(|batch| bytes.extend_from_slice(&batch.payload));
        bytes.resize(written as usize, 0);
        Block { header, bytes, used, items }
    }

    /// Moves behind a block that was written.
    pub(crate) fn advance(&mut self, block: &Block) {
        assert_eq!(block.header.lsn, self.next_lsn, "blocks are written in order");
        let summary_len = BLOCK_HEADER_BYTES + block.header.index_len as usize;
        let summary = &block.bytes[..summary_len];
        push_summary(&mut self.footer, summary);
        self.mirror.push(&block.header, summary);
        self.offset = block.header.end();
        self.next_lsn = self.next_lsn.next();
        self.prev_crc = block.header.crc;
        self.prev = self.header.id;
    }

    /// What is to be written behind the last block of a full segment.
    pub(crate) fn seal(&self) -> Option<Seal> {
        if self.is_fresh() {
            return None;
        }
        let trailer = Trailer {
            header: self.header,
            footer_offset: self.offset,
            footer_len: self.footer.len() as u32,
            footer_crc: crc32c::crc32c(&self.footer),
            first_lsn: self.first_lsn,
            last_lsn: self.next_lsn.previous(),
        };
        Some(Seal { trailer, footer: self.footer.clone() })
    }
}

/// What a block takes of its segment with the footer and the trailer behind it.
fn taken(block: u64, footer: u64, align: u64) -> u64 {
    align_up(block, align) + align_up(footer, align) + HEADER_BYTES
}

/// How far to write for a block: to the end of its last page, unless an earlier block did that. So
/// the system never has to read a page of a recycled file in order to change a part of it.
fn written_end(start: u64, end: u64) -> u64 {
    if start.is_multiple_of(PAGE) || start / PAGE != (end - 1) / PAGE {
        align_up(end, PAGE)
    } else {
        end
    }
}

/// Computes the checksums of the entries in `payload`, which belong in the segment `uid`.
fn fill_checksums(items: &mut [Item], uid: u64, payload: &[u8]) {
    let mut at = 0;
    for item in items {
        let Item::Run(run) = item else { continue };
        if run.kind == RunKind::Faulty {
            continue;
        }
        for (index, stored) in (run.first..).zip(&mut run.entries) {
            let end = at + stored.len as usize;
            stored.crc = entry_crc(uid, run.group, index, &payload[at..end]);
            at = end;
        }
    }
}
