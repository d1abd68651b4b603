//! Peers that send anything: no message makes a store panic or stop.

mod support {
    pub(crate) mod machine;
    pub(crate) mod world;
}

use bytes::BytesMut;
use proto::peer::{Epoch, Peer, PeerBody, PeerMessage, RegionId, SnapshotChunk};
use raft::{Body, Entries, Entry, EntryId, Index, Message, NodeId, Payload, Term, Vote};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use support::world::{Options, REGION, World};

/// A number that is likely to matter.
fn number(rng: &mut SmallRng) -> u64 {
    match rng.random_range(0..8) {
        0 => 0,
        1 => u64::MAX,
        2 => u64::MAX - 1,
        3 => 1 << 63,
        _ => rng.random_range(0..12),
    }
}

fn id(rng: &mut SmallRng) -> EntryId {
    EntryId::new(number(rng), number(rng))
}

fn entries(rng: &mut SmallRng) -> Entries {
    let first = number(rng);
    let count = rng.random_range(0..3);
    let entries = (0..count)
        .map(|at| Entry {
            term: Term(number(rng)),
            index: match rng.random_range(0..8) {
                0 => Index(number(rng)),
                _ => Index(first.wrapping_add(at)),
            },
            payload: Payload::Normal(vec![0; rng.random_range(0..30)].into()),
        })
        .collect();
    Entries::new(entries)
}

fn body(rng: &mut SmallRng) -> Body {
    match rng.random_range(0..13) {
        0 => Body::RequestPreVote { last: id(rng) },
        1 => Body::PreVoteResponse(Vote { granted: rng.random(), committed: id(rng) }),
        2 => Body::RequestVote { last: id(rng), transfer: rng.random() },
        3 => Body::VoteResponse(Vote { granted: rng.random(), committed: id(rng) }),
        4 => Body::Append { prev: id(rng), commit: Index(number(rng)), entries: entries(rng) },
        5 => Body::AppendAccepted { index: Index(number(rng)) },
        6 => Body::AppendRejected {
            rejected: Index(number(rng)),
            hint: id(rng),
            damaged: rng.random(),
        },
        7 => Body::Heartbeat { commit: Index(number(rng)), round: number(rng) },
        8 => Body::HeartbeatResponse { round: number(rng) },
        9 => Body::Commit { index: Index(number(rng)) },
        10 => Body::Snapshot(Box::default()),
        11 => Body::TimeoutNow,
        _ => Body::ReadIndexResponse { token: number(rng), index: Index(number(rng)) },
    }
}

fn message(rng: &mut SmallRng) -> PeerMessage {
    let peer = |rng: &mut SmallRng| Peer::voter(rng.random_range(0..6), rng.random_range(1..4));
    let (from, to) = (peer(rng), Peer::voter(rng.random_range(1..5), 1));
    let raft = |rng: &mut SmallRng| Message {
        from: if rng.random_bool(0.9) { from.id } else { NodeId(number(rng)) },
        to: if rng.random_bool(0.9) { to.id } else { NodeId(number(rng)) },
        term: Term(number(rng)),
        body: body(rng),
    };
    let body = match rng.random_range(0..8) {
        0 => PeerBody::Chunk(SnapshotChunk {
            snapshot: rng.random_range(0..3),
            number: rng.random_range(0..3),
            last: rng.random(),
            crc: rng.random(),
            message: rng.random::<bool>().then(|| raft(rng)),
            data: vec![0; rng.random_range(0..20)].into(),
        }),
        1 => PeerBody::ChunkAck { snapshot: number(rng), next: rng.random() },
        2 => PeerBody::SnapshotRefused { snapshot: number(rng) },
        _ => PeerBody::Raft(raft(rng)),
    };
    let epoch = Epoch { conf_ver: rng.random_range(0..3), version: rng.random_range(0..3) };
    let region = if rng.random_bool(0.9) { REGION } else { RegionId(rng.random_range(0..5)) };
    PeerMessage { region, from, to, epoch, body }
}

#[test]
fn no_message_makes_a_store_panic_or_stop() {
    for seed in 0..60 {
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut world = World::new(Options::new(seed, 3));
        world.must_put("k", "v");
        for _ in 0..200 {
            let message = message(&mut rng);
            let mut bytes = BytesMut::new();
            message.encode(&mut bytes);
            if let Ok(message) = PeerMessage::decode(&bytes) {
                world.node_mut(1).store.step(message);
            }
            if rng.random_bool(0.2) {
                world.tick();
            }
        }
        world.run(5);
        assert!(world.is_up(1), "SEED={seed}");
    }
}
