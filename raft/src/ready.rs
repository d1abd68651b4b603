//! What a node wants done: written, sent, applied.

use crate::entry::{Entries, Entry};
use crate::error::StorageError;
use crate::message::{Message, Snapshot};
use crate::read_index::ReadOutcome;
use crate::types::{EntryId, HardState, Index, NodeId, SoftState, Term};

/// One portion of work, numbered. See [`crate::Node`] for the order in which it must be done.
///
/// A `Ready` can be filled again by [`crate::Node::ready_into`]; its buffers are then reused.
#[must_use = "the work in a Ready must be done, or it is lost"]
#[derive(Debug, Default)]
pub struct Ready {
    /// Counts the portions; what [`crate::Node::persisted`] is told.
    pub number: u64,
    /// The role or the leader changed. Need not be stored.
    pub soft_state: Option<SoftState>,
    /// To write: the hard state, if it changed.
    ///
    /// A portion becomes durable as a whole, or in this order: `snapshot`; term and vote; `repaired`
    /// and `entries`; commit. An entry of a term that the node does not remember is beyond its vote;
    /// and a commit index that is durable before the entries it covers makes the node, after a crash,
    /// take the replaced entries for the committed ones.
    pub hard_state: Option<HardState>,
    /// To write: replaces the log and the state machine, both at once.
    pub snapshot: Option<Snapshot>,
    /// To write: batches of consecutive entries. Whatever the log holds at or after an entry's index
    /// is cut off first.
    pub entries: Vec<Entries>,
    /// To write in place: fresh copies of damaged entries. Nothing after them is cut off.
    pub repaired: Vec<Entry>,
    /// The writes of this portion must be synced before they count as durable. Without it a crash
    /// could lose them without harm.
    pub must_sync: bool,
    /// To send at once, in any order relative to the writes.
    pub messages: Vec<Message>,
    /// To send when this portion and all before it are durable; but not those to this node itself,
    /// which [`crate::Node::persisted`] delivers. See [`Ready::messages_after_persist`].
    pub promises: Vec<Message>,
    /// To apply, in order. Batches of consecutive entries.
    pub committed: Vec<Entries>,
    /// Linearizable reads that were confirmed or failed.
    pub reads: Vec<ReadOutcome>,
    /// Committed entries could not be read from storage. Stop the node, or let it try again.
    pub storage_error: Option<StorageError>,
    /// What the report that this portion is durable will say.
    pub report: Option<WriteReport>,
}

/// What becomes durable with a portion of work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WriteReport {
    /// The term in which the portion was handed out. If the node is in another term when the report
    /// comes, the entries may have been replaced, and the report says nothing of them.
    pub term: Term,
    /// The log's last entry when the portion was handed out, if any entry was not durable then.
    pub last: Option<EntryId>,
    /// The last index of the portion's snapshot.
    pub snapshot: Option<Index>,
}

impl Ready {
    /// Returns whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.soft_state.is_none()
            && !self.has_writes()
            && self.messages.is_empty()
            && self.promises.is_empty()
            && self.committed.is_empty()
            && self.reads.is_empty()
    }

    /// Returns whether there is anything to write.
    pub fn has_writes(&self) -> bool {
        self.hard_state.is_some()
            || self.snapshot.is_some()
            || !self.entries.is_empty()
            || !self.repaired.is_empty()
    }

    /// Returns the messages that may leave when this portion is durable.
    pub fn messages_after_persist(&self, id: NodeId) -> impl Iterator<Item = &Message> {
        self.promises.iter().filter(move |message| message.to != id)
    }

    /// Returns the entries to write, one by one.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().flatten()
    }

    /// Returns the entries to apply, one by one.
    pub fn committed(&self) -> impl Iterator<Item = &Entry> {
        self.committed.iter().flatten()
    }

    /// Returns the index of the last entry to apply.
    pub fn last_committed(&self) -> Option<Index> {
        self.committed.last().map(|entries| entries.last_id().index)
    }

    /// Empties the portion and keeps its buffers.
    pub(crate) fn clear(&mut self) {
        self.number = 0;
        self.soft_state = None;
        self.hard_state = None;
        self.snapshot = None;
        self.entries.clear();
        self.repaired.clear();
        self.must_sync = false;
        self.messages.clear();
        self.promises.clear();
        self.committed.clear();
        self.reads.clear();
        self.storage_error = None;
        self.report = None;
    }
}
