//! How a log is set up: [`Options`].

use crate::block::BLOCK_HEADER_BYTES;
use crate::error::{Error, Result};
use crate::recovery::Watch;
use crate::segment::{HEADER_BYTES, SEGMENT_BYTES_MAX};
use crate::tail::Tail;

/// What recovery does with the last block when it is damaged and nothing says whether it was
/// ever acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TailPolicy {
    /// There is no other replica: cut it off and report it.
    Single,
    /// There are other replicas: keep its entries as faulty where their names are readable, so
    /// that peers decide; cut it off and report it where they are not.
    Replicated,
}

/// How a log is set up. Sizes are in bytes.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whose log it is. A log opened under another number is refused.
    pub store_id: u64,
    /// Makes the segments' uids differ from those of other logs of this store. Any value.
    pub seed: u64,
    /// The size of a segment file; a multiple of `block_align`, 16 KiB to 1 GiB.
    pub segment_bytes: u64,
    /// Blocks start at multiples of this; a power of two, 512 to 4096. It should be the unit that
    /// the disk writes whole or not at all, which is 512 bytes or more with every disk that keeps
    /// to its standard: a page that was written in part before is written again when the next
    /// block goes there, and must not lose what it held. 4096 never writes a page again.
    pub block_align: u64,
    /// How many bytes of batches are committed together at most.
    pub group_bytes_max: u64,
    /// Entries at least this long are stored with LZ4 where that saves an eighth; `None`: never.
    pub compress_bytes_min: Option<usize>,
    /// How many prepared segments wait in the pool; at least 1, the last of which is kept for
    /// batches that free space.
    pub pool_segments: usize,
    /// How many segments are prepared when the log is opened, if more; they are used up before new
    /// ones are made. With as many as `purge_bytes` holds, a log that grows to its size never
    /// waits for a disk that is busy with zeros. At most 1024.
    pub prefill_segments: usize,
    /// Whether purged segments become prepared ones. Otherwise they are removed.
    pub recycle: bool,
    /// Encoded blocks kept in memory for reading.
    pub cache_bytes: usize,
    /// Threads that read segments during recovery; 1 reads them in the caller's.
    pub recovery_threads: usize,
    /// What recovery does with a damaged last block.
    pub tail: TailPolicy,
    /// Whether recovery checks every entry's bytes, or leaves that to reads and to the scrubber.
    pub verify_all: bool,
    /// Who is told how far recovery has come.
    pub progress: Option<Watch>,
    /// `purge` rewrites old entries only while the log is larger than this.
    pub purge_bytes: u64,
    /// A group with at most this many live bytes in old segments is rewritten by `purge`; one
    /// with more is reported as blocking it.
    pub straggler_bytes_max: u64,
    /// What one `purge` rewrites at most.
    pub rewrite_bytes_max: u64,
    /// How many bytes `purge` may rewrite for each hundred that are written, above a first
    /// `rewrite_bytes_max`; so rewriting never takes more than a share of the disk. A log of twice
    /// `purge_bytes` is rewritten all the same.
    pub rewrite_percent: u32,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            store_id: 0,
            seed: 0,
            segment_bytes: 64 << 20,
            block_align: 512,
            group_bytes_max: 1 << 20,
            compress_bytes_min: Some(8 << 10),
            pool_segments: 2,
            prefill_segments: 0,
            recycle: true,
            cache_bytes: 32 << 20,
            recovery_threads: 4,
            tail: TailPolicy::Replicated,
            verify_all: false,
            progress: None,
            purge_bytes: 1 << 30,
            straggler_bytes_max: 64 << 10,
            rewrite_bytes_max: 32 << 20,
            rewrite_percent: 50,
        }
    }
}

impl Options {
    /// Checks that the values make sense together.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] names the first one that does not.
    pub fn validate(&self) -> Result<()> {
        let invalid = |name, why| Err(Error::InvalidOption { name, why });
        if !self.block_align.is_power_of_two() || !(512..=4096).contains(&self.block_align) {
            return invalid("block_align", "must be 512, 1024, 2048 or 4096");
        }
        if !(16 << 10..=SEGMENT_BYTES_MAX).contains(&self.segment_bytes)
            || !self.segment_bytes.is_multiple_of(HEADER_BYTES)
        {
            return invalid("segment_bytes", "must be a multiple of 4096, 16 KiB to 1 GiB");
        }
        if !self.largest_batch_fits() {
            return invalid(
                "segment_bytes",
                "is too small for its blocks: 16 times `block_align` is enough",
            );
        }
        if self.pool_segments == 0 {
            return invalid("pool_segments", "must be at least 1");
        }
        if self.prefill_segments > 1024 {
            return invalid("prefill_segments", "must be at most 1024");
        }
        if self.recovery_threads == 0 {
            return invalid("recovery_threads", "must be at least 1");
        }
        Ok(())
    }

    /// Whether a segment without blocks takes the largest batch, even if all of that is index (so
    /// that the footer repeats it) and the block before was the same (so that the mirror is as
    /// long).
    fn largest_batch_fits(&self) -> bool {
        let batch = self.batch_bytes_max();
        Tail::bytes_of(batch, BLOCK_HEADER_BYTES as u64 + batch, 0, self.block_align)
            <= self.segment_bytes - HEADER_BYTES
    }

    /// The largest batch: several must fit into a segment beside its header and footer.
    #[must_use]
    pub fn batch_bytes_max(&self) -> u64 {
        (self.segment_bytes - 2 * HEADER_BYTES) / 4
    }
}
