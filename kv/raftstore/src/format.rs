//! How the store's own state lies in the wal and in the engine.
//!
//! In the wal each region is a group, and group 0 is the store itself. Keys of a group:
//!
//! | group | key | value |
//! |---|---|---|
//! | 0 | `s` | [`Ident`], MessagePack |
//! | region | `p` | [`LocalState`], MessagePack |
//! | region | `h` | the hard state, [`encode_hard_state`] |
//! | region | `t` | the last entry that was cut off, [`encode_id`] |
//!
//! In the engine, in `Cf::Raft`:
//!
//! | key | value |
//! |---|---|
//! | [`region_key`] with `a` | [`AppliedState`] |
//! | [`region_key`] with `r` | [`RegionState`], MessagePack |
//! | [`region_key`] with `i` | [`SnapshotMeta`] of a snapshot that is being installed, MessagePack |
//! | [`staged_key`] | a chunk of a snapshot that is not installed |

use bytes::{BufMut, Bytes, BytesMut};
use engine::Range;
use proto::peer::{Peer, Region, RegionId, StoreId};
use raft::{EntryId, HardState, Index, Membership, NodeId, Term};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use wal::GroupId;

/// The group of the store itself.
pub const STORE_GROUP: GroupId = GroupId(0);

/// Group 0: whose log it is.
pub const IDENT_KEY: &[u8] = b"s";
/// A region's group: who the peer is.
pub const LOCAL_KEY: &[u8] = b"p";
/// A region's group: term, vote, commit.
pub const HARD_STATE_KEY: &[u8] = b"h";
/// A region's group: the last entry that was cut off.
pub const TRUNCATED_KEY: &[u8] = b"t";

/// The group of a region.
#[must_use]
pub fn group(region: RegionId) -> GroupId {
    GroupId(region.0)
}

/// Whose log it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ident {
    /// The cluster.
    pub cluster_id: u64,
    /// The store.
    pub store: StoreId,
}

/// Who the peer of a region on this store is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalState {
    /// The peer; of a tombstone the one that was removed.
    pub peer: Peer,
    /// It was removed: no peer of this id or a smaller one may be made again.
    pub tombstone: bool,
    /// The region when the peer was made, which counts until the engine knows better; of a
    /// tombstone the region when it was removed. Without peers: nothing was known of it.
    pub region: Region,
}

/// How far a region is applied; changes with the data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AppliedState {
    /// The last entry that was applied.
    pub id: EntryId,
    /// The latest time of a command so far.
    pub time: u64,
}

/// What a region is, as of the applied entry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegionState {
    /// The region.
    pub region: Region,
    /// The members of its raft group.
    pub membership: Membership,
}

/// What a snapshot holds beside the pairs. It travels as the data of the raft snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotMeta {
    /// The sender's name for it.
    pub snapshot: u64,
    /// The last entry that it replaces.
    pub last: EntryId,
    /// The latest time of a command so far.
    pub time: u64,
    /// Region and membership.
    pub state: RegionState,
}

impl AppliedState {
    /// ```text
    ///  0              8             16            24
    /// +--------------+-------------+-------------+
    /// | index u64 BE | term u64 BE | time u64 BE |
    /// +--------------+-------------+-------------+
    /// ```
    #[must_use]
    pub fn encode(self) -> Bytes {
        let mut out = BytesMut::with_capacity(24);
        out.put_slice(&encode_id(self.id));
        out.put_u64(self.time);
        out.freeze()
    }

    /// Reads what [`AppliedState::encode`] wrote.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<AppliedState> {
        let [index, term, time] = numbers(bytes)?;
        Some(AppliedState { id: EntryId { term: Term(term), index: Index(index) }, time })
    }
}

/// Writes the name of an entry.
///
/// ```text
///  0              8             16
/// +--------------+-------------+
/// | index u64 BE | term u64 BE |
/// +--------------+-------------+
/// ```
#[must_use]
pub fn encode_id(id: EntryId) -> Vec<u8> {
    [id.index.0.to_be_bytes(), id.term.0.to_be_bytes()].concat()
}

/// Reads what [`encode_id`] wrote.
#[must_use]
pub fn decode_id(bytes: &[u8]) -> Option<EntryId> {
    let [index, term] = numbers(bytes)?;
    Some(EntryId { term: Term(term), index: Index(index) })
}

/// Writes a hard state.
///
/// ```text
///  0             8             16              24
/// +-------------+-------------+---------------+
/// | term u64 BE | vote u64 BE | commit u64 BE |    vote 0: none
/// +-------------+-------------+---------------+
/// ```
#[must_use]
pub fn encode_hard_state(state: HardState) -> Vec<u8> {
    let vote = state.vote.unwrap_or(NodeId(0)).0;
    [state.term.0.to_be_bytes(), vote.to_be_bytes(), state.commit.0.to_be_bytes()].concat()
}

/// Reads what [`encode_hard_state`] wrote.
#[must_use]
pub fn decode_hard_state(bytes: &[u8]) -> Option<HardState> {
    let [term, vote, commit] = numbers(bytes)?;
    let vote = (vote != 0).then_some(NodeId(vote));
    Some(HardState { term: Term(term), vote, commit: Index(commit) })
}

/// Reads exactly `N` numbers.
fn numbers<const N: usize>(bytes: &[u8]) -> Option<[u64; N]> {
    let (chunks, rest) = bytes.as_chunks::<8>();
    let chunks: &[[u8; 8]; N] = chunks.try_into().ok().filter(|_| rest.is_empty())?;
    Some(chunks.map(u64::from_be_bytes))
}

/// Makes the key of a region's own state in `Cf::Raft`.
///
/// ```text
///  0     1               9
/// +-----+---------------+------+
/// | 'r' | region u64 BE | kind |     kind: 'a', 'r', 'i'
/// +-----+---------------+------+
/// ```
#[must_use]
pub fn region_key(region: RegionId, kind: u8) -> Bytes {
    let mut key = BytesMut::with_capacity(10);
    key.put_u8(b'r');
    key.put_u64(region.0);
    key.put_u8(kind);
    key.freeze()
}

/// The keys of a region's own state.
#[must_use]
pub fn region_keys(region: RegionId) -> Range {
    Range::new(region_key(region, 0), region_key(region, u8::MAX))
}

/// The keys of all regions' own states.
#[must_use]
pub fn all_region_keys() -> Range {
    Range::new(vec![b'r'], vec![b'r' + 1])
}

/// The region and the kind of a key that [`region_key`] made.
#[must_use]
pub fn decode_region_key(key: &[u8]) -> Option<(RegionId, u8)> {
    let [b'r', id @ .., kind] = key else { return None };
    let [id] = numbers(id)?;
    Some((RegionId(id), *kind))
}

/// Makes the key of a chunk in `Cf::Raft`.
///
/// ```text
///  0     1               9                 17              21
/// +-----+---------------+-----------------+---------------+
/// | 's' | region u64 BE | snapshot u64 BE | number u32 BE |
/// +-----+---------------+-----------------+---------------+
/// ```
#[must_use]
pub fn staged_key(region: RegionId, snapshot: u64, number: u32) -> Bytes {
    let mut key = BytesMut::with_capacity(21);
    key.put_u8(b's');
    key.put_u64(region.0);
    key.put_u64(snapshot);
    key.put_u32(number);
    key.freeze()
}

/// The keys of all chunks of a snapshot.
#[must_use]
pub fn staged_keys(region: RegionId, snapshot: u64) -> Range {
    let mut end = BytesMut::from(&staged_key(region, snapshot, u32::MAX)[..]);
    end.put_u8(0);
    Range::new(staged_key(region, snapshot, 0), end.freeze())
}

/// The keys of all chunks of all snapshots of a region.
#[must_use]
pub fn all_staged_keys(region: RegionId) -> Range {
    let end = staged_keys(region, u64::MAX).end;
    Range { start: staged_key(region, 0, 0), end }
}

/// Writes a state as MessagePack.
pub(crate) fn pack(state: &impl Serialize) -> Vec<u8> {
    rmp_serde::to_vec(state).expect("writing to memory does not fail")
}

/// Reads a state that [`pack`] wrote, or that a peer says it did.
pub(crate) fn unpack<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    rmp_serde::from_slice(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_a_region_are_apart_from_those_of_others() {
        let keys = region_keys(RegionId(7));
        for kind in [b'a', b'r', b'i'] {
            assert!(keys.contains(&region_key(RegionId(7), kind)));
            assert!(!keys.contains(&region_key(RegionId(8), kind)));
            assert_eq!(
                decode_region_key(&region_key(RegionId(7), kind)),
                Some((RegionId(7), kind))
            );
        }
        let staged = staged_keys(RegionId(7), 1);
        assert!(staged.contains(&staged_key(RegionId(7), 1, u32::MAX)));
        assert!(!staged.contains(&staged_key(RegionId(7), 2, 0)));
        assert!(all_staged_keys(RegionId(7)).contains(&staged_key(RegionId(7), u64::MAX, 3)));
        assert!(!all_staged_keys(RegionId(7)).contains(&staged_key(RegionId(8), 0, 0)));
    }

    #[test]
    fn numbers_are_read_as_written_and_of_one_length_only() {
        let state = HardState { term: Term(3), vote: Some(NodeId(2)), commit: Index(9) };
        let bytes = encode_hard_state(state);
        assert_eq!(decode_hard_state(&bytes), Some(state));
        assert_eq!(decode_hard_state(&bytes[1..]), None);
        let applied = AppliedState { id: EntryId::new(4, 5), time: 6 };
        assert_eq!(AppliedState::decode(&applied.encode()), Some(applied));
        assert_eq!(decode_id(&encode_id(applied.id)), Some(applied.id));
    }
}
