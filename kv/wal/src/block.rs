//! A block: what one group commit writes, and the unit that is there whole or not at all.
//!
//! ```text
//! | header | index: the items | mirror: header and index of blocks before | payload | zeros |
//! ```
//!
//! Each part has its own checksum, so that recovery knows what is lost when one is bad: with a
//! good index and a bad payload the lost entries have names. The mirror is a second, physically
//! separate copy of such names (Alagappan et al., "Protocol-Aware Recovery for Consensus-Based
//! Storage", FAST 2018): when block N is unreadable, a later one tells what was in it; which one is
//! told in [`crate::mirror`].
//!
//! `synced_lsn` tells how far the log was durable when the block was formed. It is the evidence
//! that separates a torn write from rot: what a later block calls durable is never cut off.
//!
//! Invariants: blocks are aligned to `block_align` and never cross a segment; the header's
//! checksum covers the other parts' checksums, and the next header repeats it (the chain).

use crate::codec::Reader;
use crate::id::Lsn;
use crate::record::Item;

/// Bytes of an encoded [`BlockHeader`].
pub(crate) const BLOCK_HEADER_BYTES: usize = 80;

const MAGIC: u32 = u32::from_le_bytes(*b"TKBK");

/// The fixed part at the start of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BlockHeader {
    pub(crate) lsn: Lsn,
    /// The segment's uid.
    pub(crate) uid: u64,
    /// Where the block starts in its file.
    pub(crate) offset: u64,
    /// All blocks up to this one were durable when this one was formed. Below `lsn`.
    pub(crate) synced: Lsn,
    /// `crc` of the block before; 0 in the first block of a log.
    pub(crate) prev_crc: u32,
    /// The number of items.
    pub(crate) items: u32,
    pub(crate) index_len: u32,
    pub(crate) index_crc: u32,
    pub(crate) mirror_len: u32,
    pub(crate) mirror_crc: u32,
    pub(crate) payload_len: u32,
    /// The whole block with its zeros.
    pub(crate) total_len: u32,
    /// The checksum of the header itself.
    pub(crate) crc: u32,
}

impl BlockHeader {
    // Block header, 80 bytes, little-endian:
    //
    //    0  4  magic "TKBK"
    //    4  4  number of items
    //    8  8  lsn
    //   16  8  uid of the segment
    //   24  8  offset of the block in the file
    //   32  8  synced lsn
    //   40  4  checksum of the previous block's header
    //   44  4  index length      48  4  CRC-32C of the index
    //   52  4  mirror length     56  4  CRC-32C of the mirror
    //   60  4  payload length    64  4  length of the block, a multiple of the alignment
    //   68  8  zero
    //   76  4  CRC-32C of bytes 0 to 75
    //
    // The parts follow in the order index, mirror, payload, zeros to the end.
    pub(crate) fn encode(&mut self) -> [u8; BLOCK_HEADER_BYTES] {
        let mut bytes = [0; BLOCK_HEADER_BYTES];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(0, &MAGIC.to_le_bytes());
        put(4, &self.items.to_le_bytes());
        put(8, &self.lsn.0.to_le_bytes());
        put(16, &self.uid.to_le_bytes());
        put(24, &self.offset.to_le_bytes());
        put(32, &self.synced.0.to_le_bytes());
        put(40, &self.prev_crc.to_le_bytes());
        put(44, &self.index_len.to_le_bytes());
        put(48, &self.index_crc.to_le_bytes());
        put(52, &self.mirror_len.to_le_bytes());
        put(56, &self.mirror_crc.to_le_bytes());
        put(60, &self.payload_len.to_le_bytes());
        put(64, &self.total_len.to_le_bytes());
        self.crc = crc32c::crc32c(&bytes[..76]);
        bytes[76..].copy_from_slice(&self.crc.to_le_bytes());
        bytes
    }

    /// Reads a header; `None` where the bytes are none. A header that is some other segment's, or
    /// of another place in this one, is for the caller to refuse.
    pub(crate) fn decode(bytes: &[u8]) -> Option<BlockHeader> {
        let bytes = bytes.get(..BLOCK_HEADER_BYTES)?;
        let mut reader = Reader::new(bytes);
        if reader.u32()? != MAGIC {
            return None;
        }
        let items = reader.u32()?;
        let header = BlockHeader {
            lsn: Lsn(reader.u64()?),
            uid: reader.u64()?,
            offset: reader.u64()?,
            synced: Lsn(reader.u64()?),
            prev_crc: reader.u32()?,
            items,
            index_len: reader.u32()?,
            index_crc: reader.u32()?,
            mirror_len: reader.u32()?,
            mirror_crc: reader.u32()?,
            payload_len: reader.u32()?,
            total_len: reader.u32()?,
            crc: u32::from_le_bytes(bytes[76..].try_into().ok()?),
        };
        let parts = BLOCK_HEADER_BYTES as u64
            + u64::from(header.index_len)
            + u64::from(header.mirror_len)
            + u64::from(header.payload_len);
        let sound = crc32c::crc32c(&bytes[..76]) == header.crc
            && parts <= u64::from(header.total_len)
            && header.lsn > header.synced
            && header.lsn.0 < u64::MAX / 2
            && header.offset.checked_add(u64::from(header.total_len)).is_some();
        sound.then_some(header)
    }

    /// Where the mirror starts in the file.
    pub(crate) fn mirror_offset(&self) -> u64 {
        self.offset + BLOCK_HEADER_BYTES as u64 + u64::from(self.index_len)
    }

    /// Where the payload starts in the file.
    pub(crate) fn payload_offset(&self) -> u64 {
        self.mirror_offset() + u64::from(self.mirror_len)
    }

    /// Where the next block starts.
    pub(crate) fn end(&self) -> u64 {
        self.offset + u64::from(self.total_len)
    }

    /// Reads the items of this block; `None` where the bytes are not its index.
    pub(crate) fn items(&self, index: &[u8]) -> Option<Vec<Item>> {
        if index.len() != self.index_len as usize || crc32c::crc32c(index) != self.index_crc {
            return None;
        }
        let mut reader = Reader::new(index);
        let mut items = Vec::new();
        let mut payload = 0_u64;
        for _ in 0..self.items {
            let item = Item::decode(&mut reader)?;
            if let Item::Run(run) = &item {
                payload = payload.checked_add(run.payload_len())?;
            }
            items.push(item);
        }
        (reader.is_empty() && payload == u64::from(self.payload_len)).then_some(items)
    }
}

/// The header and the index of a block, as the segment's footer has them.
pub(crate) fn decode_summary(bytes: &[u8]) -> Option<(BlockHeader, Vec<Item>)> {
    let header = BlockHeader::decode(bytes)?;
    let items = header.items(&bytes[BLOCK_HEADER_BYTES..])?;
    Some((header, items))
}

/// The headers and indexes of blocks, one behind the other, as a mirror has them.
pub(crate) fn decode_summaries(bytes: &[u8]) -> Option<Vec<(BlockHeader, Vec<Item>)>> {
    let mut blocks = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let len = BLOCK_HEADER_BYTES + BlockHeader::decode(rest)?.index_len as usize;
        let (summary, behind) = rest.split_at_checked(len)?;
        blocks.push(decode_summary(summary)?);
        rest = behind;
    }
    Some(blocks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::GroupId;
    use crate::record::{Note, Run, RunKind, Start, Stored};

    fn every_item() -> Vec<Item> {
        let mut run = Run {
            kind: RunKind::Append,
            group: GroupId(7),
            first: 100,
            terms: vec![],
            entries: vec![],
        };
        run.push(3, Stored { len: 10, crc: 5, lz4: false });
        run.push(3, Stored { len: 20, crc: 6, lz4: true });
        run.push(4, Stored { len: 0, crc: 7, lz4: false });
        vec![
            Item::Run(run.clone()),
            Item::Run(Run { kind: RunKind::Rewrite, ..run.clone() }),
            Item::Run(Run { kind: RunKind::Faulty, ..run }),
            Item::Put { group: GroupId(1), key: b"k".to_vec(), value: vec![9; 300] },
            Item::Delete { group: GroupId(u64::MAX), key: vec![] },
            Item::Compact { group: GroupId(1), to: u64::MAX },
            Item::Clean { group: GroupId(2) },
            Item::Start(Start { prev_seq: 1, prev_uid: 2, first_seq: 3 }),
            Item::PurgedTo { seq: u32::MAX },
            Item::GaveUp { first: Lsn(1), last: Lsn(2) },
            Item::Note(Note { group: GroupId(7), first: 100, count: 3, term: 4, durable: true }),
            Item::Note(Note {
                group: GroupId(u64::MAX),
                first: u64::MAX / 2,
                count: u64::MAX >> 1,
                term: u64::MAX,
                durable: false,
            }),
        ]
    }

    fn summary(items: &[Item]) -> Vec<u8> {
        let mut index = Vec::new();
        items.iter().for_each(|item| item.encode(&mut index));
        let payload: u64 = items
            .iter()
            .map(|item| if let Item::Run(run) = item { run.payload_len() } else { 0 })
            .sum();
        let mut header = BlockHeader {
            lsn: Lsn(9),
            uid: 77,
            offset: 4096,
            synced: Lsn(8),
            prev_crc: 1,
            items: items.len() as u32,
            index_len: index.len() as u32,
            index_crc: crc32c::crc32c(&index),
            mirror_len: 0,
            mirror_crc: 0,
            payload_len: payload as u32,
            total_len: 4096,
            crc: 0,
        };
        let mut bytes = header.encode().to_vec();
        bytes.extend(index);
        bytes
    }

    #[test]
    fn items_come_back() {
        let items = every_item();
        let bytes = summary(&items);
        let bound: usize = items.iter().map(Item::encoded_len_max).sum();
        assert!(bytes.len() - BLOCK_HEADER_BYTES <= bound);
        let (header, decoded) = decode_summary(&bytes).unwrap();
        assert_eq!(header.lsn, Lsn(9));
        assert_eq!(decoded, items);
        let twice = decode_summaries(&[bytes.clone(), bytes.clone()].concat()).unwrap();
        assert_eq!(twice, [(header.clone(), items.clone()), (header, items)]);
        assert_eq!(decode_summaries(&[&bytes, &b"?"[..]].concat()), None);
    }

    #[test]
    fn no_changed_bit_is_accepted() {
        let bytes = summary(&every_item());
        for at in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[at / 8] ^= 1 << (at % 8);
            assert_eq!(decode_summary(&bad), None, "bit {at}");
        }
        for len in 0..bytes.len() {
            assert_eq!(decode_summary(&bytes[..len]), None, "cut to {len}");
        }
    }
}
