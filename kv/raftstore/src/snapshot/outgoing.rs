//! A snapshot on its way to a peer: [`Outgoing`].

use std::collections::VecDeque;
use std::sync::Arc;

use proto::peer::{RegionId, SnapshotChunk};
use raft::{Message, NodeId};

use super::{ChunkTask, Cursor, Source};

/// A snapshot on its way to a peer. At most `window` chunks are read and not acknowledged.
#[derive(Debug)]
pub(crate) struct Outgoing {
    region: RegionId,
    to: NodeId,
    pub(crate) snapshot: u64,
    /// Tells chunks that were read for an earlier attempt to send it from those for this one.
    pub(crate) attempt: u64,
    /// Goes with the first chunk.
    message: Message,
    /// Where to read on; none while a task reads, or when all is read.
    cursor: Option<Cursor>,
    /// Chunks that were sent and are not acknowledged, in order.
    unacked: VecDeque<SnapshotChunk>,
    /// The first chunk that is not acknowledged.
    next: u32,
    window: usize,
    /// All chunks are read.
    is_read: bool,
    /// Ticks since the receiver was heard.
    silent_ticks: u32,
    /// Ticks since chunks were sent again.
    resend_ticks: u32,
}

/// What a tick came to.
pub(crate) enum Ticked {
    /// Nothing to do.
    Wait,
    /// These are to be sent again.
    Resend(Vec<SnapshotChunk>),
    /// Nothing was heard for too long.
    GiveUp,
}

impl Outgoing {
    pub(crate) fn new(
        (region, to, attempt): (RegionId, NodeId, u64),
        message: Message,
        source: &Arc<Source>,
        (chunk_bytes, window): (usize, usize),
    ) -> Outgoing {
        Outgoing {
            region,
            to,
            snapshot: source.meta.snapshot,
            attempt,
            message,
            cursor: Some(Cursor::new(Arc::clone(source), chunk_bytes)),
            unacked: VecDeque::new(),
            next: 0,
            window,
            is_read: false,
            silent_ticks: 0,
            resend_ticks: 0,
        }
    }

    /// The task that reads the next chunk, if one is wanted now.
    pub(crate) fn next_task(&mut self) -> Option<ChunkTask> {
        if self.is_read || self.unacked.len() >= self.window {
            return None;
        }
        let cursor = self.cursor.take()?;
        Some(ChunkTask { region: self.region, to: self.to, attempt: self.attempt, cursor })
    }

    /// Takes a chunk that was read, and gives it back to be sent.
    pub(crate) fn read(&mut self, cursor: Cursor, mut chunk: SnapshotChunk) -> SnapshotChunk {
        self.cursor = Some(cursor);
        self.is_read = chunk.last;
        if chunk.number == 0 {
            chunk.message = Some(self.message.clone());
        }
        self.unacked.push_back(chunk.clone());
        chunk
    }

    /// Takes an acknowledgement; returns whether all has arrived.
    pub(crate) fn acked(&mut self, next: u32) -> bool {
        self.silent_ticks = 0;
        if next > self.next {
            self.resend_ticks = 0;
        }
        while self.unacked.front().is_some_and(|chunk| chunk.number < next) {
            self.unacked.pop_front();
        }
        self.next = self.next.max(next);
        self.is_read && self.unacked.is_empty()
    }

    /// Lets time pass.
    pub(crate) fn tick(&mut self, resend: u32, give_up: u32) -> Ticked {
        self.silent_ticks += 1;
        self.resend_ticks += 1;
        if self.silent_ticks >= give_up {
            return Ticked::GiveUp;
        }
        if self.resend_ticks >= resend && !self.unacked.is_empty() {
            self.resend_ticks = 0;
            return Ticked::Resend(self.unacked.iter().cloned().collect());
        }
        Ticked::Wait
    }
}
