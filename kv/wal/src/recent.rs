//! The last blocks in memory, so that what was just written is read without the disk.

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
        let at = usize::try_from(offset - *start).ok().filter(|at| *at < block.len())?;
        (*found == seq).then(|| (Arc::clone(block), at))
    }
}
