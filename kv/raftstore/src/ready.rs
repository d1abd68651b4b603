//! What a store wants done: [`Ready`].

use proto::peer::{PeerMessage, Region, RegionError, RegionId};
use wal::LogBatch;

use crate::applier::Task;
use crate::entry::LogEntry;
use crate::snapshot::ChunkTask;

/// One portion of work. See the crate's page for the order in which it is done.
#[must_use = "the work in a Ready must be done, or it is lost"]
#[derive(Debug)]
pub struct Ready<R> {
    /// What [`crate::Store::persisted`] is told once `logs` are written. 0 if there are none.
    pub number: u64,
    /// To send now. What had to wait for the disk has waited.
    pub messages: Vec<PeerMessage>,
    /// To write, in this order, each whole.
    pub logs: Vec<LogBatch<LogEntry>>,
    /// Sync after the last of `logs`, before [`crate::Store::persisted`] is told.
    pub must_sync: bool,
    /// For the applier, in order.
    pub tasks: Vec<Task>,
    /// Chunks of snapshots to read, anywhere.
    pub chunks: Vec<ChunkTask>,
    /// What commands came to: each tag once.
    pub answers: Vec<Answer<R>>,
    /// What membership changes came to: each tag once, with the region afterwards.
    pub changes: Vec<Answer<Region>>,
    /// Tags of reads that are safe now, from a view of the engine that is taken before `tasks` are
    /// given to the applier. They are not answered otherwise.
    pub reads: Vec<u64>,
    /// Regions of which this store heard that another peer leads now, or none.
    pub led: Vec<RegionId>,
    /// What somebody should look at.
    pub alarms: Vec<Alarm>,
}

/// What a command came to.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer<R> {
    /// The caller's name for it.
    pub tag: u64,
    /// What the state machine says, or why the command was not carried out.
    pub result: Result<R, RegionError>,
}

/// Something that should not happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// Where.
    pub region: RegionId,
    /// What, for people.
    pub message: String,
    /// Whether the store has to stop: it has forgotten what it promised, or another one has, and
    /// what it answers from now on could be wrong.
    pub must_stop: bool,
}

impl<R> Default for Ready<R> {
    fn default() -> Ready<R> {
        Ready {
            number: 0,
            messages: Vec::new(),
            logs: Vec::new(),
            must_sync: false,
            tasks: Vec::new(),
            chunks: Vec::new(),
            answers: Vec::new(),
            changes: Vec::new(),
            reads: Vec::new(),
            led: Vec::new(),
            alarms: Vec::new(),
        }
    }
}

impl<R> Ready<R> {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
            && self.logs.is_empty()
            && self.tasks.is_empty()
            && self.chunks.is_empty()
            && self.answers.is_empty()
            && self.changes.is_empty()
            && self.reads.is_empty()
            && self.led.is_empty()
            && self.alarms.is_empty()
    }
}
