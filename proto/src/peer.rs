//! What stores say to each other about regions, and why a region refuses a command.
//!
//! A [`PeerMessage`] goes from a peer of a region to another peer of the same region. It carries
//! the sender's idea of the region (its epoch), so that a store can tell news from a voice of the
//! past. Several of them travel in one frame; see [`crate::peer_frame`].
//!
//! What comes in here was sent by a peer and may be anything: decoding does not panic, and takes
//! no memory for lengths that are only announced.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorCode};
use crate::message::read_whole;

/// A region: a range of keys with its raft group. Zero is none.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct RegionId(pub u64);

/// A store: one server of a cluster. Zero is none. A store that lost its disk comes back under
/// another number, since it does not know any more what it promised.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct StoreId(pub u64);

impl fmt::Display for RegionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How often a region has changed. Each number only grows; a region whose epoch is behind in
/// either is of the past.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Epoch {
    /// Grows with each change of the members.
    pub conf_ver: u64,
    /// Grows with each change of the key range.
    pub version: u64,
}

impl Epoch {
    /// The epoch of a region that has never changed.
    pub const FIRST: Epoch = Epoch { conf_ver: 1, version: 1 };

    /// Whether this is of the past, as seen by one who knows `other`.
    #[must_use]
    pub fn is_behind(self, other: Epoch) -> bool {
        self.conf_ver < other.conf_ver || self.version < other.version
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.version, self.conf_ver)
    }
}

/// A replica of a region on a store. Its id is its name in the raft group and is never used again
/// after it was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Peer {
    /// The member of the raft group. Zero is none.
    pub id: raft::NodeId,
    /// Where it lives.
    pub store: StoreId,
    /// It receives entries and does not vote.
    pub learner: bool,
}

impl Peer {
    /// A peer that votes.
    #[must_use]
    pub fn voter(id: u64, store: u64) -> Peer {
        Peer { id: raft::NodeId(id), store: StoreId(store), learner: false }
    }
}

/// A range of keys and who keeps it. Keys are those of the engine, with the prefix of their API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Region {
    /// Its id.
    pub id: RegionId,
    /// The first key.
    pub start: Bytes,
    /// The key after the last one; empty: to the last there is.
    pub end: Bytes,
    /// How often it has changed.
    pub epoch: Epoch,
    /// Its peers, ascending by id. None: nothing is known of the region yet.
    pub peers: Vec<Peer>,
}

impl Region {
    /// Whether a key belongs to it.
    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        key >= &self.start[..] && (self.end.is_empty() || key < &self.end[..])
    }

    /// Whether all keys from `start` to before `end` belong to it; no end: to the last there is.
    #[must_use]
    pub fn covers(&self, start: &[u8], end: Option<&[u8]>) -> bool {
        let end_inside = match end {
            None => self.end.is_empty(),
            Some(end) => self.end.is_empty() || end <= &self.end[..],
        };
        start >= &self.start[..] && end_inside
    }

    /// Whether it has keys in common with another region.
    #[must_use]
    pub fn overlaps(&self, other: &Region) -> bool {
        let is_before =
            |one: &Region, other: &Region| !one.end.is_empty() && one.end <= other.start;
        !is_before(self, other) && !is_before(other, self)
    }

    /// The peer on a store.
    #[must_use]
    pub fn peer_on(&self, store: StoreId) -> Option<Peer> {
        self.peers.iter().find(|peer| peer.store == store).copied()
    }

    /// The peer with an id.
    #[must_use]
    pub fn peer(&self, id: raft::NodeId) -> Option<Peer> {
        self.peers.iter().find(|peer| peer.id == id).copied()
    }
}

/// A message from a peer to another one of the same region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerMessage {
    /// The region.
    pub region: RegionId,
    /// Who sends.
    pub from: Peer,
    /// For whom it is. [`PeerMessage::to`]`.store` is where to deliver it. A [`PeerBody::StillMember`]
    /// may go to peer 0 of a store: to whoever is there.
    pub to: Peer,
    /// The region's epoch as the sender knows it; of one that knows nothing yet, the epoch of the
    /// message by which it was made.
    pub epoch: Epoch,
    /// What is said.
    pub body: PeerBody,
}

/// What a peer says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PeerBody {
    /// A message of the raft group. A snapshot never comes as one: it comes in chunks.
    Raft(raft::Message),
    /// A part of a snapshot.
    Chunk(SnapshotChunk),
    /// The receiver has all chunks below `next`.
    ChunkAck {
        /// Which snapshot.
        snapshot: u64,
        /// The first chunk that it lacks.
        next: u32,
    },
    /// The receiver does not take the snapshot (now). The sender forgets it.
    SnapshotRefused {
        /// Which snapshot.
        snapshot: u64,
    },
    /// "Am I still a member?", of a peer that has not heard a leader for long. It goes to every store
    /// that the sender knows; who is sure that the sender was removed answers [`PeerBody::Gone`], and
    /// all others nothing.
    StillMember,
    /// "You were removed." The epoch of the message is the one at which the receiver of this is no
    /// longer a member.
    Gone,
}

/// A part of a snapshot. Chunks are sent in order; the receiver takes them in order only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotChunk {
    /// The sender's name for the snapshot, never used twice by it.
    pub snapshot: u64,
    /// Counts from 0.
    pub number: u32,
    /// No more follow.
    pub last: bool,
    /// The crc32c of `data`, going on from the one of the chunk before: the last one vouches for
    /// all of them.
    pub crc: u32,
    /// In the first chunk: the raft message that the snapshot belongs to; what it says of the state
    /// is in its `data`.
    pub message: Option<raft::Message>,
    /// Pairs of the state machine, in the format of the raft store.
    pub data: Bytes,
}

/// The version of the layout of a message.
const MESSAGE_VERSION: u8 = 1;

/// A message of a peer that cannot be read. Drop it; raft sends again what matters.
#[derive(Debug, thiserror::Error)]
pub enum PeerMessageError {
    /// The other store speaks another version.
    #[error("a peer's message has version {0}, this build reads 1: update the older store")]
    Version(u8),
    /// The bytes are no message.
    #[error("a peer's message cannot be read: {0}")]
    Damaged(String),
}

impl PeerMessage {
    /// Appends the message to `out`.
    ///
    /// ```text
    ///  0          1
    /// +----------+------------------------------------------------------------+
    /// | version  | MessagePack: [region, [peer, store, learner] from, the     |
    /// | u8 = 1   | same to, [conf_ver, version] epoch, {kind: body}]          |
    /// +----------+------------------------------------------------------------+
    /// ```
    pub fn encode(&self, out: &mut BytesMut) {
        out.put_u8(MESSAGE_VERSION);
        let mut serializer = rmp_serde::Serializer::new(out.writer());
        self.serialize(&mut serializer).expect("writing to memory does not fail");
    }

    /// Reads what [`PeerMessage::encode`] wrote.
    ///
    /// # Errors
    /// Why it is no message.
    pub fn decode(bytes: &[u8]) -> Result<PeerMessage, PeerMessageError> {
        match bytes.split_first() {
            Some((&MESSAGE_VERSION, rest)) => {
                read_whole(rest).map_err(|error| PeerMessageError::Damaged(error.to_string()))
            }
            Some((version, _)) => Err(PeerMessageError::Version(*version)),
            None => Err(PeerMessageError::Damaged("it is empty".to_owned())),
        }
    }

    /// About how many bytes it takes, for limits on queues.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        const OVERHEAD_BYTES: usize = 64;
        OVERHEAD_BYTES
            + match &self.body {
                PeerBody::Raft(raft::Message {
                    body: raft::Body::Append { entries, .. }, ..
                }) => entries.iter().map(|entry| entry.size_bytes() as usize).sum(),
                PeerBody::Chunk(chunk) => chunk.data.len(),
                _ => 0,
            }
    }
}

/// Who leads a region, as far as the one who refuses knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaderHint {
    /// The leader.
    pub peer: Peer,
    /// The `HOST:PORT` where its store takes clients, if it is known.
    pub address: Option<String>,
}

/// Why a region did not carry out a command. All but [`RegionError::Undetermined`] mean that
/// nothing of it was or will be carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum RegionError {
    /// Ask the leader; if none is named, try again soon.
    #[error("this store does not lead region {region}")]
    NotLeader {
        /// The region.
        region: RegionId,
        /// Who does.
        leader: Option<LeaderHint>,
    },
    /// Look up where the region lives, then try again.
    #[error("region {region} is not on this store")]
    RegionNotFound {
        /// The region.
        region: RegionId,
    },
    /// Look up the region of the key, then try again.
    #[error("the key is not in region {}", region.id)]
    KeyNotInRegion {
        /// The first byte string that does not belong to it.
        key: Bytes,
        /// The region as it is.
        region: Box<Region>,
    },
    /// Use the regions as they are now, then try again.
    #[error("the region has changed since it was looked up")]
    EpochNotMatch {
        /// What is on this store now: the region, and those it was split into.
        current: Vec<Region>,
    },
    /// Another leader's command stands where this one was proposed. Try again.
    #[error("the command was overtaken by a new leader's")]
    StaleCommand,
    /// The request was meant for another store; look up its address again.
    #[error("this is store {actual}, not store {asked}")]
    StoreNotMatch {
        /// For whom it was.
        asked: StoreId,
        /// Who this is.
        actual: StoreId,
    },
    /// Try again later.
    #[error("{reason}; try again later")]
    ServerIsBusy {
        /// What is full.
        reason: String,
    },
    /// Split the command.
    #[error("the command has {bytes} bytes, at most {limit} can be replicated at once")]
    RaftEntryTooLarge {
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// The command was not begun within its time.
    #[error("the command was not begun within its time")]
    DeadlineExceeded,
    /// The command may have been carried out or not, or may be later: what became of it is not
    /// known here. Read before repeating it.
    #[error("it is not known whether the command was carried out: {reason}")]
    Undetermined {
        /// Why not.
        reason: String,
    },
}

impl From<RegionError> for Error {
    /// What a client is told that does not know of regions.
    fn from(error: RegionError) -> Error {
        let message = error.to_string();
        match error {
            RegionError::NotLeader {
                leader: Some(LeaderHint { address: Some(to), .. }), ..
            } => Error::redirect(ErrorCode::NotLeader, Some(to), message),
            RegionError::NotLeader { .. } => Error::retry(ErrorCode::NotLeader, 0, message),
            RegionError::RaftEntryTooLarge { .. } => {
                Error::reject(ErrorCode::InvalidRequest, message)
            }
            RegionError::ServerIsBusy { .. } => Error::retry(ErrorCode::ServerIsBusy, 0, message),
            RegionError::DeadlineExceeded => Error::retry(ErrorCode::DeadlineExceeded, 0, message),
            RegionError::Undetermined { .. } => {
                Error::undetermined(ErrorCode::DeadlineExceeded, message)
            }
            RegionError::RegionNotFound { .. }
            | RegionError::KeyNotInRegion { .. }
            | RegionError::EpochNotMatch { .. }
            | RegionError::StaleCommand
            | RegionError::StoreNotMatch { .. } => Error::retry(ErrorCode::NotLeader, 0, message),
        }
    }
}
