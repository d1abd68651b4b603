//! What a block repeats of those before it, so that each is named in two places that are far enough
//! apart: [`Mirror`].
//!
//! A disk loses a sector of 512 bytes, or a page of 4 KiB. Blocks may be smaller than a page, so
//! the block right behind is not always far enough away:
//!
//! ```text
//! page  |  A  |  B  |  C  |  D  |  E   :   page  |  F ...
//! mirror         A     B     C     D                E D C B A
//! ```
//!
//! Each block names the one before it, which is enough for a bad sector. The first block that
//! starts in a page names all that start in the page of the block before it, which is enough for
//! a bad page; and also the one before these, where its index reaches into that page.

use crate::block::BlockHeader;
use crate::segment::PAGE;

/// The names of the last blocks of a log: their headers and indexes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mirror {
    /// What the first block in the next page repeats, in the order of the blocks.
    page: Vec<u8>,
    /// Where the last block's is in it.
    last: usize,
    /// The last block's segment, its place there, and the end of its index.
    place: Option<(u64, u64, u64)>,
}

/// No mirror names a block that is further away: one that reaches into a page, and as many as can
/// start in it.
pub(crate) const REACH: usize = 1 + PAGE as usize / 512;

impl Mirror {
    /// What the next block repeats if it starts at `offset` of the segment `uid`: the last block,
    /// and those before it if the block is first in its page and that many bytes fit.
    pub(crate) fn at(&self, uid: u64, offset: u64, fits: impl FnOnce(usize) -> bool) -> &[u8] {
        let whole = self.is_first_in_page(uid, offset) && fits(self.page.len());
        if whole { &self.page } else { self.last() }
    }

    /// The last block's header and index.
    pub(crate) fn last(&self) -> &[u8] {
        &self.page[self.last..]
    }

    /// Takes in the block that was written last.
    pub(crate) fn push(&mut self, header: &BlockHeader, summary: &[u8]) {
        if self.is_first_in_page(header.uid, header.offset) {
            let page_start = header.offset / PAGE * PAGE;
            let reaches_in =
                self.place.is_some_and(|(uid, _, end)| uid == header.uid && end > page_start);
            self.page.drain(..if reaches_in { self.last } else { self.page.len() });
        }
        self.last = self.page.len();
        self.page.extend_from_slice(summary);
        self.place = Some((header.uid, header.offset, header.mirror_offset()));
    }

    fn is_first_in_page(&self, uid: u64, offset: u64) -> bool {
        self.place.is_none_or(|(last_uid, last, _)| last_uid != uid || last / PAGE != offset / PAGE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Lsn;

    fn block(lsn: u64, offset: u64, index_len: u32) -> BlockHeader {
        BlockHeader {
            lsn: Lsn(lsn),
            uid: 1,
            offset,
            synced: Lsn(0),
            prev_crc: 0,
            items: 0,
            index_len,
            index_crc: 0,
            mirror_len: 0,
            mirror_crc: 0,
            payload_len: 0,
            total_len: 512,
            crc: 0,
        }
    }

    #[test]
    fn the_first_block_in_a_page_names_all_that_a_bad_page_takes() {
        let mut mirror = Mirror::default();
        assert_eq!(mirror.at(1, 4096, |_| true), b"");
        mirror.push(&block(1, 4096, 10), b"a");
        mirror.push(&block(2, 4608, 10), b"b");
        assert_eq!(mirror.at(1, 5120, |_| true), b"b", "in the same page");
        assert_eq!(mirror.at(1, 8192, |_| true), b"ab");
        assert_eq!(mirror.at(2, 4096, |_| true), b"ab", "in the next segment");
        assert_eq!(mirror.at(1, 8192, |len| len < 2), b"b", "where there is no room");
        // Its index ends in the next page, with which it would be lost.
        mirror.push(&block(3, 7680, 1000), b"c");
        mirror.push(&block(4, 9216, 10), b"d");
        assert_eq!(mirror.at(1, 9728, |_| true), b"d");
        assert_eq!(mirror.at(1, 12288, |_| true), b"cd");
        mirror.push(&block(5, 12288, 10), b"e");
        assert_eq!(mirror.at(1, 16384, |_| true), b"e");
    }
}
