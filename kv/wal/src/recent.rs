//! The last blocks in memory, without the zeros at their ends, so that what was just written is
//! read without the disk.

use std::collections::VecDeque;
use std::sync::Arc;

/// Blocks in the order they were written, at most so many bytes of all groups together.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    /// Segment, offset in its file, bytes. Ascending.
    blocks: VecDeque<(u32, u64, Arc<Vec<u8>>)>,
    bytes: usize,
    bytes_max: usize,
}

impl Recent {
    pub(crate) fn new(bytes_max: usize) -> Recent {
        Recent { bytes_max, ..Recent::default() }
    }

    pub(crate) fn push(&mut self, seq: u32, offset: u64, block: Vec<u8>) {
        if block.len() > self.bytes_max {
            return;
        }
        self.bytes += block.len();
        self.blocks.push_back((seq, offset, Arc::new(block)));
        while self.bytes > self.bytes_max {
            let (_, _, old) = self.blocks.pop_front().expect("bytes are of blocks");
            self.bytes -= old.len();
        }
    }

    /// The block that holds a place, and where the place is in it.
    pub(crate) fn get(&self, seq: u32, offset: u64) -> Option<(Arc<Vec<u8>>, usize)> {
        let after = self.blocks.partition_point(|(s, o, _)| (*s, *o) <= (seq, offset));
        let (found, start, block) = self.blocks.get(after.checked_sub(1)?)?;
        if *found != seq {
            return None;
        }
        let at = usize::try_from(offset - *start).ok().filter(|at| *at < block.len())?;
        Some((Arc::clone(block), at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_found_by_any_place_in_it_and_by_no_other() {
        let mut recent = Recent::new(250);
        recent.push(1, 8192, vec![1; 100]);
        recent.push(1, 9000, vec![2; 100]);
        let found = |recent: &Recent, seq, offset| {
            recent.get(seq, offset).map(|(block, at)| (block[0], at))
        };
        assert_eq!(found(&recent, 1, 8192), Some((1, 0)));
        assert_eq!(found(&recent, 1, 9099), Some((2, 99)));
        assert_eq!(found(&recent, 1, 9100), None);
        assert_eq!(found(&recent, 1, 100), None);
        assert_eq!(found(&recent, 2, 100), None, "of a later segment, at a lower offset");
        recent.push(2, 4096, vec![3; 100]);
        assert_eq!(found(&recent, 1, 8192), None, "the oldest has gone");
        assert_eq!(found(&recent, 2, 4100), Some((3, 4)));
        recent.push(2, 8192, vec![4; 300]);
        assert_eq!(found(&recent, 2, 8192), None, "too large");
    }
}
