//! Snapshots of a region: read from a view, sent in chunks, received, checked.
//!
//! ```text
//!  sender                                                  receiver
//!  raft wants one -> Task::Snapshot -> a view
//!  raft sends it  -> ChunkTask (any thread) -> Chunk ---->  in order? crc? -> Task::Stage
//!                                    ^      <---- ChunkAck
//!                                    `- a window of chunks; those not acknowledged are sent again
//!                                                  last --> raft takes it -> Task::Install
//! ```
//!
//! Nothing is read on the thread of the store. A stream that breaks off is gone on with from the
//! first chunk that the receiver lacks, or given up after `snapshot_ticks`; raft then asks again.

mod incoming;
mod outgoing;

use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use engine::{Cf, Direction, Range, View};
use proto::peer::{Region, RegionId, SnapshotChunk};
use raft::NodeId;

use crate::format::SnapshotMeta;

pub(crate) use incoming::{Incoming, Take};
pub(crate) use outgoing::{Outgoing, Ticked};

/// A region at one moment, to be sent.
#[derive(Debug)]
pub struct Source {
    pub(crate) meta: SnapshotMeta,
    pub(crate) view: Arc<dyn View>,
    pub(crate) ranges: Vec<(Cf, Range)>,
    pub(crate) owns: fn(&Region, Cf, &[u8]) -> bool,
}

/// Reads the next chunk of a snapshot: work for any thread that may wait for the disk.
#[derive(Debug)]
pub struct ChunkTask {
    pub(crate) region: RegionId,
    pub(crate) to: NodeId,
    /// Which of the attempts to send it.
    pub(crate) attempt: u64,
    pub(crate) cursor: Cursor,
}

/// What a [`ChunkTask`] came to. It is given to [`crate::Store::chunk_read`].
#[derive(Debug)]
pub struct ChunkRead {
    pub(crate) region: RegionId,
    pub(crate) to: NodeId,
    pub(crate) attempt: u64,
    pub(crate) cursor: Cursor,
    pub(crate) chunk: engine::Result<SnapshotChunk>,
}

/// How far a snapshot is read.
#[derive(Debug)]
pub(crate) struct Cursor {
    pub(crate) source: Arc<Source>,
    /// Which of the source's ranges is being read, and from where on.
    place: usize,
    start: Option<bytes::Bytes>,
    number: u32,
    crc: u32,
    chunk_bytes: usize,
}

impl ChunkTask {
    /// Reads the chunk.
    #[must_use]
    pub fn run(mut self) -> ChunkRead {
        let chunk = self.cursor.read();
        let ChunkTask { region, to, attempt, cursor } = self;
        ChunkRead { region, to, attempt, cursor, chunk }
    }
}

impl Cursor {
    pub(crate) fn new(source: Arc<Source>, chunk_bytes: usize) -> Cursor {
        Cursor { source, place: 0, start: None, number: 0, crc: 0, chunk_bytes }
    }

    /// Reads the next chunk.
    fn read(&mut self) -> engine::Result<SnapshotChunk> {
        let source = Arc::clone(&self.source);
        let mut data = BytesMut::new();
        while let Some((cf, range)) = source.ranges.get(self.place) {
            let mut range = range.clone();
            if let Some(start) = self.start.take() {
                range.start = start;
            }
            for pair in source.view.iter(*cf, range, Direction::Forward) {
                let (key, value) = pair?;
                if data.len() >= self.chunk_bytes {
                    self.start = Some(key);
                    break;
                }
                if (source.owns)(&source.meta.state.region, *cf, &key) {
                    put_pair(&mut data, *cf, &key, &value);
                }
            }
            if self.start.is_some() {
                break;
            }
            self.place += 1;
        }
        let last = self.place >= source.ranges.len();
        let data = data.freeze();
        self.crc = crc32c::crc32c_append(self.crc, &data);
        let number = self.number;
        self.number += 1;
        let snapshot = source.meta.snapshot;
        Ok(SnapshotChunk { snapshot, number, last, crc: self.crc, message: None, data })
    }
}

/// Adds a pair to a chunk, whose data is a list of them:
///
/// ```text
/// +----+---------------+-----+---------------+-------+
/// | cf | length u32 BE | key | length u32 BE | value |
/// | u8 |               |     |               |       |
/// +----+---------------+-----+---------------+-------+
/// ```
fn put_pair(out: &mut BytesMut, cf: Cf, key: &[u8], value: &[u8]) {
    out.put_u8(cf as u8);
    for part in [key, value] {
        out.put_u32(u32::try_from(part.len()).expect("engines refuse longer keys and values"));
        out.put_slice(part);
    }
}
