//! Where a value is.

use std::num::NonZeroU32;

/// The place of a record on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Location {
    /// The number of the segment.
    pub(super) segment: NonZeroU32,
    /// Where the record starts in the segment.
    pub(super) offset: u32,
    /// The size of the value in bytes.
    pub(super) value_len: u32,
}
