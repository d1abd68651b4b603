//! Counters of a running log: [`Metrics`] is a copy of them.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What a log has done since it was opened, and what it holds. Sizes are in bytes.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Metrics {
            $($(#[$doc])* pub $name: u64,)*
            /// Groups that exist.
            pub groups: u64,
            /// Segments with blocks.
            pub segments: u64,
            /// The size of their files.
            pub log_bytes: u64,
            /// What is still needed of them.
            pub live_bytes: u64,
            /// Prepared segments that wait.
            pub pool_segments: u64,
            /// What the index takes in memory.
            pub index_bytes: u64,
        }

        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: AtomicU64,)*
        }

        impl Counters {
            pub(crate) fn copy(&self) -> Metrics {
                Metrics { $($name: self.$name.load(Relaxed),)* ..Metrics::default() }
            }
        }
    };
}

counters! {
    /// Batches that were written.
    batches,
    /// Blocks that were written: group commits.
    blocks,
    /// Bytes of these blocks.
    block_bytes,
    /// Bytes of entries in these blocks.
    payload_bytes,
    /// Syncs of segment data.
    syncs,
    /// Bytes of entries that `purge` wrote again.
    rewritten_bytes,
    /// Segments that were prepared by writing zeros.
    segments_made,
    /// Segments that were prepared from purged ones.
    segments_recycled,
    /// How often a full segment had to wait for the next one to be prepared.
    pool_waits,
    /// Footers that could not be written. Recovery of these segments takes longer.
    seal_errors,
    /// Entries that a read found damaged.
    faulty_reads,
}

/// Adds to a counter.
pub(crate) fn count(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Relaxed);
}
