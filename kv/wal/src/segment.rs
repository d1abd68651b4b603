//! A segment: one file of the log, with its name, header, blocks, and, once full, a footer.
//!
//! A segment is written whole (zeros or, recycled, old blocks) and synced under a temporary name
//! before it gets its own, so that appending to it changes neither its size nor its extents. So a
//! file with a segment's name always had a durable header. Its uid stands in the name, the header
//! and each block: what an earlier life of the file left behind never verifies.
//!
//! The footer repeats every block's header and index. Recovery of a full segment reads nothing
//! else.

use std::path::{Path, PathBuf};

use crate::block::{BlockHeader, decode_summary};
use crate::codec::Reader;
use crate::id::Lsn;
use crate::record::Item;

/// What systems and disks write whole.
pub(crate) const PAGE: u64 = 4096;

/// The header's place at the start of a segment, and the trailer's at its end.
pub(crate) const HEADER_BYTES: u64 = PAGE;

/// No segment is longer than this: places in it fit into 32 bits.
pub(crate) const SEGMENT_BYTES_MAX: u64 = 1 << 30;

const HEADER_MAGIC: &[u8; 8] = b"TKWALSEG";
const TRAILER_MAGIC: &[u8; 8] = b"TKWALEND";
const VERSION: u32 = 1;
const HEADER_LEN: usize = 56;
const TRAILER_LEN: usize = HEADER_LEN + 56;

/// Which segment a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SegmentId {
    /// Its number, from 1 without gaps.
    pub(crate) seq: u32,
    /// Never used twice.
    pub(crate) uid: u64,
}

impl SegmentId {
    /// The id of the segment `seq` of a log.
    pub(crate) fn new(store_id: u64, seed: u64, seq: u32) -> SegmentId {
        // The finaliser of splitmix64 (Steele et al., OOPSLA 2014) after each number.
        let mut mixed = 0_u64;
        for part in [store_id, seed, u64::from(seq)] {
            mixed = (mixed ^ part).wrapping_add(0x9e37_79b9_7f4a_7c15);
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^= mixed >> 31;
        }
        SegmentId { seq, uid: mixed }
    }

    /// The file's name in its folder.
    pub(crate) fn name(self) -> PathBuf {
        PathBuf::from(format!("{:010}-{:016x}.wal", self.seq, self.uid))
    }

    /// The id that a file name stands for.
    pub(crate) fn parse(name: &Path) -> Option<SegmentId> {
        let (seq, uid) = name.to_str()?.strip_suffix(".wal")?.split_once('-')?;
        let id = SegmentId { seq: seq.parse().ok()?, uid: u64::from_str_radix(uid, 16).ok()? };
        (id.seq > 0 && id.name() == name).then_some(id)
    }
}

/// What stands at the start of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) id: SegmentId,
    pub(crate) store_id: u64,
    /// The alignment of its blocks.
    pub(crate) block_align: u32,
    /// The length of its file until it is sealed.
    pub(crate) segment_bytes: u64,
}

impl SegmentHeader {
    // Segment header, in the first 4096 bytes, little-endian:
    //
    //    0  8  magic "TKWALSEG"
    //    8  4  version, 1
    //   12  4  block alignment
    //   16  8  store id
    //   24  8  uid
    //   32  4  sequence number
    //   36  8  length of the file
    //   44  8  zero
    //   52  4  CRC-32C of bytes 0 to 51
    pub(crate) fn encode(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[..8].copy_from_slice(HEADER_MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.block_align.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.store_id.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.id.uid.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.id.seq.to_le_bytes());
        bytes[36..44].copy_from_slice(&self.segment_bytes.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..52]);
        bytes[52..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The version of an intact header that [`SegmentHeader::decode`] does not know.
    pub(crate) fn other_version(bytes: &[u8]) -> Option<u32> {
        let bytes = bytes.get(..HEADER_LEN)?;
        let mut reader = Reader::new(bytes);
        let intact = reader.take(8)? == HEADER_MAGIC
            && bytes[52..] == crc32c::crc32c(&bytes[..52]).to_le_bytes();
        reader.u32().filter(|version| intact && *version != VERSION)
    }

    /// Reads a header; `None` where the bytes are none.
    pub(crate) fn decode(bytes: &[u8]) -> Option<SegmentHeader> {
        let bytes = bytes.get(..HEADER_LEN)?;
        let mut reader = Reader::new(bytes);
        if reader.take(8)? != HEADER_MAGIC || reader.u32()? != VERSION {
            return None;
        }
        let (block_align, store_id, uid, seq) =
            (reader.u32()?, reader.u64()?, reader.u64()?, reader.u32()?);
        let segment_bytes = reader.u64()?;
        reader.take(8)?;
        let sound = reader.u32()? == crc32c::crc32c(&bytes[..52])
            && (512..=4096).contains(&block_align)
            && block_align.is_power_of_two();
        sound.then_some(SegmentHeader {
            id: SegmentId { seq, uid },
            store_id,
            block_align,
            segment_bytes,
        })
    }
}

/// What stands in the last 4096 bytes of a full segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trailer {
    /// A copy of the header.
    pub(crate) header: SegmentHeader,
    /// Where the footer starts; the end of the last block.
    pub(crate) footer_offset: u64,
    pub(crate) footer_len: u32,
    pub(crate) footer_crc: u32,
    pub(crate) first_lsn: Lsn,
    pub(crate) last_lsn: Lsn,
}

impl Trailer {
    // Trailer, in the last 4096 bytes, little-endian:
    //
    //    0 56  copy of the segment header
    //   56  8  magic "TKWALEND"
    //   64  8  offset of the footer
    //   72  4  length of the footer     76  4  CRC-32C of the footer
    //   80  8  first lsn                88  8  last lsn
    //   96 12  zero
    //  108  4  CRC-32C of bytes 0 to 107
    //
    // The footer: for each block its summary's length (4 bytes), its header and its index.
    pub(crate) fn encode(&self) -> [u8; TRAILER_LEN] {
        let mut bytes = [0; TRAILER_LEN];
        bytes[..HEADER_LEN].copy_from_slice(&self.header.encode());
        bytes[56..64].copy_from_slice(TRAILER_MAGIC);
        bytes[64..72].copy_from_slice(&self.footer_offset.to_le_bytes());
        bytes[72..76].copy_from_slice(&self.footer_len.to_le_bytes());
        bytes[76..80].copy_from_slice(&self.footer_crc.to_le_bytes());
        bytes[80..88].copy_from_slice(&self.first_lsn.0.to_le_bytes());
        bytes[88..96].copy_from_slice(&self.last_lsn.0.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..108]);
        bytes[108..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a trailer; `None` where the bytes are none.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Trailer> {
        let bytes = bytes.get(..TRAILER_LEN)?;
        let header = SegmentHeader::decode(bytes)?;
        let mut reader = Reader::new(&bytes[HEADER_LEN..]);
        if reader.take(8)? != TRAILER_MAGIC {
            return None;
        }
        let trailer = Trailer {
            header,
            footer_offset: reader.u64()?,
            footer_len: reader.u32()?,
            footer_crc: reader.u32()?,
            first_lsn: Lsn(reader.u64()?),
            last_lsn: Lsn(reader.u64()?),
        };
        reader.take(12)?;
        (reader.u32()? == crc32c::crc32c(&bytes[..108])).then_some(trailer)
    }
}

/// Appends a block's summary to the footer of its segment.
pub(crate) fn push_summary(footer: &mut Vec<u8>, summary: &[u8]) {
    footer.extend_from_slice(&(summary.len() as u32).to_le_bytes());
    footer.extend_from_slice(summary);
}

/// Reads the blocks of a footer; `None` where the bytes are none.
pub(crate) fn decode_footer(
    trailer: &Trailer,
    footer: &[u8],
) -> Option<Vec<(BlockHeader, Vec<Item>)>> {
    if crc32c::crc32c(footer) != trailer.footer_crc {
        return None;
    }
    let mut reader = Reader::new(footer);
    let mut blocks = Vec::new();
    while !reader.is_empty() {
        let len = reader.u32()? as usize;
        let (header, items) = decode_summary(reader.take(len)?)?;
        if header.uid != trailer.header.id.uid || header.end() > trailer.footer_offset {
            return None;
        }
        blocks.push((header, items));
    }
    Some(blocks)
}

/// The next multiple of `align`, which is a power of two.
pub(crate) fn align_up(len: u64, align: u64) -> u64 {
    (len + align - 1) & !(align - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_headers_come_back() {
        let id = SegmentId::new(1, 2, 3);
        assert_eq!(SegmentId::parse(&id.name()), Some(id));
        for bad in ["1-2.wal", "LOCK", "0000000003-00.wal", "", "0000000000-0000000000000001.wal"] {
            assert_eq!(SegmentId::parse(Path::new(bad)), None, "{bad}");
        }
        let header = SegmentHeader { id, store_id: 5, block_align: 512, segment_bytes: 1 << 20 };
        assert_eq!(SegmentHeader::decode(&header.encode()), Some(header));
        let trailer = Trailer {
            header,
            footer_offset: 8192,
            footer_len: 3,
            footer_crc: 4,
            first_lsn: Lsn(5),
            last_lsn: Lsn(6),
        };
        assert_eq!(Trailer::decode(&trailer.encode()), Some(trailer));
    }

    #[test]
    fn uids_differ() {
        let uids: std::collections::BTreeSet<u64> = (0..10)
            .flat_map(|store| {
                (0..10).flat_map(move |seed| (1..20).map(move |seq| (store, seed, seq)))
            })
            .map(|(store, seed, seq)| SegmentId::new(store, seed, seq).uid)
            .collect();
        assert_eq!(uids.len(), 10 * 10 * 19);
    }
}
