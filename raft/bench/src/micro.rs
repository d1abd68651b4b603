//! Single functions, and sizes.

use std::hint::black_box;

use bytes::Bytes;
use cpu_time::ThreadTime;
use protobuf::Message as _;
use tinykv_raft::quorum::{Joint, Majority};
use tinykv_raft::{
    Body, Entries, Entry, EntryId, Index, Message, Node, NodeId, Payload, Storage, Term, Vote,
};

use crate::ours::{self, Neutral};
use crate::{heap, rival};

/// Prints one line of each.
pub(crate) fn print() {
    println!();
    println!("{:40} {:>10} {:>10} {:>8}", "ns", "ours", "raft-rs", "ratio");
    let (mut nodes, mut rivals) = (idle_ours(), idle_rivals());
    print_line(
        "tick of an idle follower, of 10,000",
        || tick(&mut nodes),
        || tick_rivals(&mut rivals),
    );
    for size in [3, 5, 7] {
        let name = format!("commit index of {size} voters");
        let mut rival = rival::leader(size);
        print_line(
            &name,
            || commit_index(size),
            || {
                per(10_000, || {
                    black_box(rival.raft.mut_prs().maximal_committed_index());
                })
            },
        );
    }
    let mut rival = rival::joint_leader();
    print_line("commit index of 3 and 3 voters, joint", joint_commit_index, || {
        per(10_000, || {
            black_box(rival.raft.mut_prs().maximal_committed_index());
        })
    });
    let encoded = print_codec();
    println!();
    println!("{:40} {:>10} {:>10}", "bytes", "ours", "raft-rs");
    let row = |name: &str, ours: u64, rival: u64| println!("{name:40} {ours:10} {rival:10}");
    row(
        "heap of an idle follower, 3 voters",
        heap_of(|| ours::node::<Neutral>(1, 3)),
        heap_of(|| rival::node::<true>(1, 3)),
    );
    row(
        "heap of an idle leader, 3 voters",
        heap_of(|| ours_leader(3)),
        heap_of(|| rival::leader(3)),
    );
    row("64 entries of 256 B, encoded", encoded.0, encoded.1);
    let size = |bytes: usize| bytes as u64;
    row("size_of Message", size(size_of::<Message>()), size(size_of::<raft::eraftpb::Message>()));
    row("size_of Entry", size(size_of::<Entry>()), size(size_of::<raft::eraftpb::Entry>()));
    row(
        "size_of the node itself",
        size(size_of::<Node<Neutral>>()),
        size(size_of::<raft::RawNode<rival::Neutral>>()),
    );
}

/// Prints how long it takes to write and read a message, and returns its bytes.
fn print_codec() -> (u64, u64) {
    let (message, theirs) = (message_of_64(), rival_message_of_64());
    let (mut bytes, mut their_bytes) = (encode(&message), Vec::new());
    theirs.write_to_vec(&mut their_bytes).expect("it fits");
    // Into a buffer that is there, as a stream to a peer has one.
    print_line(
        "encode 64 entries of 256 B",
        || {
            per(200, || {
                bytes.clear();
                rmp_serde::encode::write(&mut bytes, &message).expect("it can be encoded");
                black_box(&bytes);
            })
        },
        || {
            per(200, || {
                their_bytes.clear();
                theirs.write_to_vec(&mut their_bytes).expect("it fits");
                black_box(&their_bytes);
            })
        },
    );
    print_line(
        "decode them",
        || per(200, || drop(black_box(decode(&bytes)))),
        || per(200, || drop(black_box(raft::eraftpb::Message::parse_from_bytes(&their_bytes)))),
    );
    (bytes.len() as u64, their_bytes.len() as u64)
}

/// Prints the medians of runs in turns.
pub(crate) fn print_line(
    name: &str,
    mut ours: impl FnMut() -> f64,
    mut rival: impl FnMut() -> f64,
) {
    let (mut a, mut b): (Vec<f64>, Vec<f64>) = (0..11).map(|_| (ours(), rival())).unzip();
    a.sort_by(f64::total_cmp);
    b.sort_by(f64::total_cmp);
    println!("{name:40} {:10.1} {:10.1} {:7.2}x", a[5], b[5], b[5] / a[5]);
}

fn per(count: u32, mut action: impl FnMut()) -> f64 {
    let started = ThreadTime::now();
    for _ in 0..count {
        action();
    }
    started.elapsed().as_nanos() as f64 / f64::from(count)
}

fn idle_ours() -> Vec<Node<Neutral>> {
    (0..10_000).map(|_| ours::node(1, 3)).collect()
}

fn idle_rivals() -> Vec<raft::RawNode<rival::Neutral>> {
    (0..10_000).map(|_| rival::node::<true>(1, 3)).collect()
}

/// Lets a tick pass everywhere; a message keeps them from campaigning.
fn tick(nodes: &mut [Node<Neutral>]) -> f64 {
    let started = ThreadTime::now();
    for node in nodes.iter_mut() {
        node.tick();
    }
    let spent = started.elapsed().as_nanos() as f64 / nodes.len() as f64;
    let body = Body::Heartbeat { commit: Index(0), round: 1 };
    for node in nodes {
        let message = Message { from: NodeId(2), to: NodeId(1), term: Term(1), body: body.clone() };
        node.step(message).expect("it is understood");
        let ready = node.ready();
        node.advance(&ready);
    }
    spent
}

fn tick_rivals(nodes: &mut [raft::RawNode<rival::Neutral>]) -> f64 {
    let started = ThreadTime::now();
    for node in nodes.iter_mut() {
        node.tick();
    }
    let spent = started.elapsed().as_nanos() as f64 / nodes.len() as f64;
    for node in nodes {
        let mut message = raft::eraftpb::Message::default();
        message.set_msg_type(raft::eraftpb::MessageType::MsgHeartbeat);
        (message.from, message.to, message.term) = (2, 1, 1);
        node.step(message).expect("it is understood");
        let ready = node.ready();
        let _ = node.advance(ready);
        node.advance_apply();
    }
    spent
}

fn commit_index(size: u64) -> f64 {
    let incoming = (1..=size).map(NodeId).collect();
    commit_index_of(&Joint { incoming, outgoing: Majority::default() }, size)
}

/// Of {1,2,3} and {4,5,6}.
fn joint_commit_index() -> f64 {
    let half = |ids: std::ops::RangeInclusive<u64>| ids.map(NodeId).collect();
    commit_index_of(&Joint { incoming: half(4..=6), outgoing: half(1..=3) }, 6)
}

fn commit_index_of(voters: &Joint, size: u64) -> f64 {
    let reached: Vec<(NodeId, Index)> = (1..=size).map(|id| (NodeId(id), Index(id * 7))).collect();
    per(10_000, || {
        let of = |id| reached.iter().find(|(voter, _)| *voter == id).map(|(_, index)| *index);
        black_box(voters.committed_index(of));
    })
}

fn message_of_64() -> Message {
    let data = Bytes::from(vec![7; 256]);
    let entry = |index| Entry {
        term: Term(3),
        index: Index(index),
        payload: Payload::Normal(data.clone()),
    };
    let entries = Entries::new((1001..=1064).map(entry).collect());
    let body = Body::Append { prev: EntryId::new(3, 1000), commit: Index(990), entries };
    Message { from: NodeId(1), to: NodeId(2), term: Term(3), body }
}

fn rival_message_of_64() -> raft::eraftpb::Message {
    let mut message = raft::eraftpb::Message::default();
    message.set_msg_type(raft::eraftpb::MessageType::MsgAppend);
    (message.from, message.to, message.term) = (1, 2, 3);
    (message.log_term, message.index, message.commit) = (3, 1000, 990);
    let entry = |index| {
        let mut entry = raft::eraftpb::Entry::default();
        (entry.term, entry.index) = (3, index);
        entry.data = vec![7; 256].into();
        entry
    };
    message.entries = (1001..=1064).map(entry).collect::<Vec<_>>().into();
    message
}

fn encode(message: &Message) -> Vec<u8> {
    rmp_serde::to_vec(message).expect("it can be encoded")
}

fn decode(bytes: &[u8]) -> Message {
    rmp_serde::from_slice(bytes).expect("it was encoded")
}

fn heap_of<T>(make: impl Fn() -> T) -> u64 {
    let count = 500;
    let mut all = Vec::with_capacity(count as usize);
    let before = heap::live_bytes();
    for _ in 0..count {
        all.push(make());
    }
    (heap::live_bytes() - before) / count
}

/// A leader that has nothing to do, and has sent some heartbeats.
pub(crate) fn ours_leader(size: u64) -> Node<Neutral> {
    let mut node: Node<Neutral> = ours::node(1, size);
    node.campaign().expect("it may campaign");
    let mut ready = tinykv_raft::Ready::default();
    let mut work = |node: &mut Node<Neutral>| {
        while node.has_ready() {
            node.ready_into(&mut ready);
            ours::Disk::write(node.storage_mut(), &ready);
            node.advance(&ready);
        }
    };
    work(&mut node);
    let heard = |from, body| Message { from: NodeId(from), to: NodeId(1), term: Term(1), body };
    for from in 2..=size {
        let vote = heard(from, Body::VoteResponse(Vote::GRANTED));
        node.step(vote).expect("it counts or comes late");
        work(&mut node);
    }
    for from in 2..=size {
        let last = node.storage().last_index();
        node.step(heard(from, Body::AppendAccepted { index: last })).expect("it counts");
        work(&mut node);
    }
    for round in 1..=4 {
        node.tick();
        work(&mut node);
        for from in 2..=size {
            node.step(heard(from, Body::HeartbeatResponse { round })).expect("it counts");
            work(&mut node);
        }
    }
    node
}
