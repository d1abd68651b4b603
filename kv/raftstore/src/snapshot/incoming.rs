//! A snapshot that is being received: [`Incoming`].

use mutant::mutant;
use proto::peer::{RegionId, SnapshotChunk};
use raft::{Body, Message, NodeId};

use crate::applier::install::is_chunk;
use crate::format::{self, SnapshotMeta};

/// A snapshot that is being received, chunk by chunk.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) from: NodeId,
    pub(crate) snapshot: u64,
    pub(crate) meta: SnapshotMeta,
    message: Message,
    /// The first chunk that is missing.
    pub(crate) next: u32,
    crc: u32,
    /// Ticks since a chunk came that was missing.
    pub(crate) silent_ticks: u32,
}

/// What a chunk came to.
#[derive(Debug)]
pub(crate) enum Take {
    /// It is kept.
    Keep,
    /// It is kept, and it was the last one: now raft may have this.
    Complete(Box<Message>),
    /// It was there already, or is too early.
    Ignore,
    /// It is damaged, or not what its stream promised.
    Refuse,
}

impl Incoming {
    /// Begins with the first chunk of a snapshot; none if it is no beginning of one.
    pub(crate) fn begin(from: NodeId, region: RegionId, chunk: &SnapshotChunk) -> Option<Incoming> {
        let message = chunk.message.clone()?;
        let Body::Snapshot(snapshot) = &message.body else { return None };
        let meta: SnapshotMeta = format::unpack(&snapshot.data)?;
        let sound = chunk.number == 0
            && message.from == from
            && meta.snapshot == chunk.snapshot
            && meta.last == snapshot.last
            && meta.state.membership == snapshot.membership
            && meta.state.region.id == region
            && !meta.state.region.peers.is_empty();
        sound.then_some(Incoming {
            from,
            snapshot: chunk.snapshot,
            meta,
            message,
            next: 0,
            crc: 0,
            silent_ticks: 0,
        })
    }

    /// Takes a chunk of this snapshot.
    pub(crate) fn take(&mut self, chunk: &SnapshotChunk) -> Take {
        if let Some(message) = &chunk.message {
            // Sent again by a leader of a later term.
            self.message.term = self.message.term.max(message.term);
        }
        if chunk.number != self.next {
            return Take::Ignore;
        }
        let crc = crc32c::crc32c_append(self.crc, &chunk.data);
        let good = crc == chunk.crc && is_chunk(chunk.data.clone());
        if !good && !mutant!("chunk-unchecked") {
            return Take::Refuse;
        }
        self.crc = crc;
        self.next += 1;
        self.silent_ticks = 0;
        match chunk.last {
            true => Take::Complete(Box::new(self.message.clone())),
            false => Take::Keep,
        }
    }
}
