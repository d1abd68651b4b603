//! What a node reads from disk.
//!
//! The node never writes: it says what to write in each [`crate::Ready`], and reads back through
//! this trait what is written. The trait has two kinds of implementors: [`MemStorage`] for tests
//! and simulation, and the raft log of a region in the write-ahead log.
//!
//! # Damaged entries
//!
//! A log that finds an entry damaged after it was durable must neither drop it silently nor cut the
//! log off before it: the node has acknowledged the entry, and a commit may rest on that. Were it to
//! answer as a node with a shorter log, it could vote for a leader that lacks the entry, and a
//! committed entry would be lost (Alagappan et al., "Protocol-Aware Recovery for Consensus-Based
//! Storage", FAST 2018). So storage names such entries in [`InitialState::faulty`] and answers
//! [`StorageError::Faulty`] for them. The node then keeps the length of its log when it votes, does
//! not campaign, acknowledges nothing from the damaged entry on, and fetches it again from the
//! leader; the fresh copy comes in [`crate::Ready::repaired`] and is written in place.

mod memory;

pub use memory::MemStorage;

use crate::entry::Entries;
use crate::error::StorageError;
use crate::membership::Membership;
use crate::message::Snapshot;
use crate::types::{HardState, Index, Term};

/// What a node starts from.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct InitialState {
    /// The last hard state written.
    pub hard_state: HardState,
    /// The membership as of the applied index (not of the last entry).
    pub membership: Membership,
    /// The indexes of entries known to be damaged, ascending.
    pub faulty: Vec<Index>,
}

/// The raft log and what belongs to it, for reading.
///
/// Entries in `first_index ..= last_index` are stored; the entry just before `first_index` is the
/// last that a snapshot replaced, and its term is still known. A new log has `first_index` 1 and
/// `last_index` 0.
pub trait Storage {
    /// Returns what the node starts from.
    ///
    /// # Errors
    /// [`StorageError::Failed`] if it cannot be read.
    fn initial_state(&self) -> Result<InitialState, StorageError>;

    /// Returns entries from `lo` on, at least one, all below `hi`, and as many as are at hand within
    /// `max_bytes`. Returning fewer is fine: the node asks again.
    ///
    /// # Errors
    /// Why the entry at `lo` cannot be had.
    fn entries(&self, lo: Index, hi: Index, max_bytes: u64) -> Result<Entries, StorageError>;

    /// Returns the term of an entry in `first_index - 1 ..= last_index`.
    ///
    /// # Errors
    /// Why it cannot be had; [`StorageError::Faulty`] if the damage took the term too.
    fn term(&self, index: Index) -> Result<Term, StorageError>;

    /// Returns the index of the first entry that is stored, or would be.
    fn first_index(&self) -> Index;

    /// Returns the index of the last entry; `first_index - 1` if none is stored.
    fn last_index(&self) -> Index;

    /// Returns a snapshot for a follower that is too far behind.
    ///
    /// # Errors
    /// [`StorageError::SnapshotNotReady`] if it must be made first.
    fn snapshot(&self) -> Result<Snapshot, StorageError>;
}
