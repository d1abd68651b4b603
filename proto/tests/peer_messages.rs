//! Messages of peers: what is written is read, and nothing that comes in panics.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use raft::{Body, Entries, Entry, EntryId, Index, Message, NodeId, Payload, Term, Vote};
use tinykv_proto::peer::{
    Epoch, LeaderHint, Peer, PeerBody, PeerMessage, PeerMessageError, Region, RegionError,
    RegionId, SnapshotChunk, StoreId,
};
use tinykv_proto::{Action, Error};

fn raft_message(body: Body) -> Message {
    Message { from: NodeId(1), to: NodeId(2), term: Term(7), body }
}

fn messages() -> Vec<PeerMessage> {
    let entry = |index| Entry {
        term: Term(7),
        index: Index(index),
        payload: Payload::Normal(Bytes::from_static(b"command")),
    };
    let bodies = vec![
        PeerBody::Raft(raft_message(Body::Append {
            prev: EntryId::new(6, 4),
            commit: Index(3),
            entries: Entries::new(vec![entry(5), entry(6)]),
        })),
        PeerBody::Raft(raft_message(Body::VoteResponse(Vote::GRANTED))),
        PeerBody::Raft(raft_message(Body::Heartbeat { commit: Index(3), round: 9 })),
        PeerBody::Chunk(SnapshotChunk {
            snapshot: u64::MAX,
            number: 3,
            last: true,
            crc: 5,
            message: Some(raft_message(Body::TimeoutNow)),
            data: Bytes::from_static(b"pairs"),
        }),
        PeerBody::ChunkAck { snapshot: 1, next: 2 },
        PeerBody::SnapshotRefused { snapshot: 1 },
        PeerBody::StillMember,
        PeerBody::Gone,
    ];
    let message = |body| PeerMessage {
        region: RegionId(1),
        from: Peer::voter(1, 11),
        to: Peer { learner: true, ..Peer::voter(2, 12) },
        epoch: Epoch { conf_ver: 3, version: 4 },
        body,
    };
    bodies.into_iter().map(message).collect()
}

fn encode(message: &PeerMessage) -> Bytes {
    let mut out = BytesMut::new();
    message.encode(&mut out);
    out.freeze()
}

#[test]
fn what_is_written_is_read() {
    for message in messages() {
        let bytes = encode(&message);
        assert_eq!(PeerMessage::decode(&bytes).expect("it was just written"), message);
        for len in 0..bytes.len() {
            assert!(PeerMessage::decode(&bytes[..len]).is_err(), "{message:?} cut at {len}");
        }
        let mut newer = bytes.to_vec();
        newer[0] = 2;
        assert!(matches!(PeerMessage::decode(&newer), Err(PeerMessageError::Version(2))));
    }
}

#[test]
fn an_append_costs_little_beside_its_entries() {
    let bytes = encode(&messages()[0]).len();
    assert!(bytes < 120, "{bytes} bytes for two commands of 7");
}

proptest! {
    #[test]
    fn nothing_panics(at in 0usize..7, place in any::<prop::sample::Index>(), byte: u8) {
        let mut bytes = encode(&messages()[at]).to_vec();
        let place = place.index(bytes.len());
        bytes[place] = byte;
        let _ = PeerMessage::decode(&bytes);
    }

    #[test]
    fn noise_does_not_panic(noise: Vec<u8>) {
        let _ = PeerMessage::decode(&noise);
    }
}

#[test]
fn a_region_knows_its_keys() {
    let region = |start: &'static [u8], end: &'static [u8]| Region {
        start: Bytes::from_static(start),
        end: Bytes::from_static(end),
        ..Region::default()
    };
    let middle = region(b"b", b"d");
    assert!(middle.contains(b"b") && middle.contains(b"c") && !middle.contains(b"d"));
    assert!(middle.covers(b"b", Some(b"d")) && !middle.covers(b"b", Some(b"e")));
    assert!(!middle.covers(b"b", None) && !middle.covers(b"a", Some(b"c")));
    let last = region(b"b", b"");
    assert!(middle.overlaps(&last) && last.overlaps(&middle) && last.overlaps(&region(b"", b"")));
    assert!(!middle.overlaps(&region(b"d", b"")) && !region(b"", b"b").overlaps(&middle));
    assert!(last.contains(b"zzz") && last.covers(b"c", None) && !last.contains(b"a"));
}

#[test]
fn a_client_is_told_what_it_may_do() {
    let hint = |address: Option<&str>| {
        let address = address.map(str::to_owned);
        let leader = Some(LeaderHint { peer: Peer::voter(1, 1), address });
        Error::from(RegionError::NotLeader { region: RegionId(1), leader }).action
    };
    assert_eq!(hint(Some("a:1")), Action::Redirect { address: Some("a:1".to_owned()) });
    assert_eq!(hint(None), Action::Retry { after_ms: 0 });
    let action = |error| Error::from(error).action;
    let unknown = RegionError::Undetermined { reason: "it is late".to_owned() };
    assert_eq!(action(unknown), Action::Undetermined);
    assert_eq!(action(RegionError::StaleCommand), Action::Retry { after_ms: 0 });
    let store = RegionError::StoreNotMatch { asked: StoreId(1), actual: StoreId(2) };
    assert_eq!(action(store), Action::Retry { after_ms: 0 });
    assert_eq!(action(RegionError::RaftEntryTooLarge { bytes: 2, limit: 1 }), Action::Reject);
}
