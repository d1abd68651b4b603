//! Single messages of replication: an acknowledgement at the leader, entries at a follower, and how
//! many questions it takes to find where two logs part.

use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use cpu_time::ThreadTime;
use raft::eraftpb::{self, MessageType};
use tinykv_raft::{
    Body, Entries, Entry, EntryId, Index, Message, Node, NodeId, Payload, Ready, Term,
};

use crate::cases::Group;
use crate::micro::{ours_leader, print_line};
use crate::ours::{self, Disk, Neutral, Ours};
use crate::rival::{self, Rival};

/// Messages that are timed together; what comes of them is done untimed.
const TOGETHER: u64 = 64;

/// How often.
const ROUNDS: u64 = 50;

pub(crate) fn print() {
    println!();
    println!("{:40} {:>10} {:>10} {:>8}", "ns a message", "ours", "raft-rs", "ratio");
    for size in [3, 5, 7] {
        let (mut ours, mut rival) = (ours_leader(size), rival::leader(size));
        print_line(
            &format!("leader of {size}, an acknowledgement"),
            || acknowledge_ours(&mut ours, size),
            || acknowledge_rival(&mut rival, size),
        );
    }
    for count in [1, 64] {
        let (mut ours, mut rival) = (ours::node::<Neutral>(2, 3), rival::node::<true>(2, 3));
        print_line(
            &format!("follower, an append of {count}"),
            || append_ours(&mut ours, count),
            || append_rival(&mut rival, count),
        );
    }
    println!();
    println!("{:40} {:>10} {:>10}", "refused appends until logs meet", "ours", "raft-rs");
    for (entries, terms) in [(1_000, 10), (10_000, 20), (10_000, 1)] {
        println!(
            "{:40} {:10} {:10}",
            format!("{entries} entries of {terms} terms on both sides"),
            probes::<Ours<Neutral>>(entries, terms),
            probes::<Rival<true>>(entries, terms)
        );
    }
}

fn per_message(spent: Duration) -> f64 {
    spent.as_nanos() as f64 / (TOGETHER * ROUNDS) as f64
}

/// The followers acknowledge the leader's entries one by one.
fn acknowledge_ours(node: &mut Node<Neutral>, size: u64) -> f64 {
    let (mut spent, mut ready) = (Duration::ZERO, Ready::default());
    for _ in 0..ROUNDS {
        let first = node.last().index.next();
        let data = std::iter::repeat_n(Bytes::new(), TOGETHER as usize);
        node.propose_batch(data).expect("the leader takes it");
        work_ours(node, &mut ready);
        let messages: Vec<Message> = (0..TOGETHER)
            .map(|n| Message {
                from: NodeId(2 + n % (size - 1)),
                to: NodeId(1),
                term: node.term(),
                body: Body::AppendAccepted { index: first.plus(n) },
            })
            .collect();
        let started = ThreadTime::now();
        for message in messages {
            node.step(black_box(message)).expect("it counts");
        }
        spent += started.elapsed();
        for id in 2..=size {
            let body = Body::AppendAccepted { index: node.last().index };
            let (from, to, term) = (NodeId(id), NodeId(1), node.term());
            node.step(Message { from, to, term, body }).expect("it counts");
        }
        work_ours(node, &mut ready);
        Disk::compact(node.storage_mut(), first);
    }
    per_message(spent)
}

fn work_ours(node: &mut Node<Neutral>, ready: &mut Ready) {
    while node.has_ready() {
        node.ready_into(ready);
        node.storage_mut().write(ready);
        node.advance(ready);
    }
}

fn acknowledge_rival(node: &mut raft::RawNode<rival::Neutral>, size: u64) -> f64 {
    let mut spent = Duration::ZERO;
    for _ in 0..ROUNDS {
        let first = node.raft.raft_log.last_index() + 1;
        for _ in 0..TOGETHER {
            node.propose(Vec::new(), Vec::new()).expect("the leader takes it");
        }
        rival::work(node);
        let answer = |from, index| {
            let mut message = eraftpb::Message::default();
            message.set_msg_type(MessageType::MsgAppendResponse);
            (message.from, message.to, message.index) = (from, 1, index);
            message
        };
        let term = node.raft.term;
        let messages: Vec<eraftpb::Message> = (0..TOGETHER)
            .map(|n| eraftpb::Message { term, ..answer(2 + n % (size - 1), first + n) })
            .collect();
        let started = ThreadTime::now();
        for message in messages {
            node.step(black_box(message)).expect("it counts");
        }
        spent += started.elapsed();
        for id in 2..=size {
            let last = node.raft.raft_log.last_index();
            node.step(eraftpb::Message { term, ..answer(id, last) }).expect("it counts");
        }
        rival::work(node);
        node.mut_store().compact(first);
    }
    per_message(spent)
}

/// A follower takes messages of `count` entries each.
fn append_ours(node: &mut Node<Neutral>, count: u64) -> f64 {
    let (mut spent, mut ready) = (Duration::ZERO, Ready::default());
    let data = Bytes::from(vec![7; 256]);
    for _ in 0..ROUNDS {
        let last = node.last();
        let first_term = |index: Index| if index == Index(0) { Term(0) } else { Term(1) };
        let messages: Vec<Message> = (0..TOGETHER)
            .map(|n| {
                let prev = last.index.plus(n * count);
                let entry = |n| Entry {
                    term: Term(1),
                    index: prev.plus(n),
                    payload: Payload::Normal(data.clone()),
                };
                let entries = Entries::new((1..=count).map(entry).collect());
                let prev = EntryId { term: first_term(prev), index: prev };
                let body = Body::Append { prev, commit: last.index, entries };
                Message { from: NodeId(1), to: NodeId(2), term: Term(1), body }
            })
            .collect();
        let started = ThreadTime::now();
        for message in messages {
            node.step(black_box(message)).expect("it is understood");
        }
        spent += started.elapsed();
        work_ours(node, &mut ready);
        let applied = node.applied_index();
        Disk::compact(node.storage_mut(), applied);
    }
    per_message(spent)
}

fn append_rival(node: &mut raft::RawNode<rival::Neutral>, count: u64) -> f64 {
    let mut spent = Duration::ZERO;
    let data = Bytes::from(vec![7; 256]);
    for _ in 0..ROUNDS {
        let last = node.raft.raft_log.last_index();
        let messages: Vec<eraftpb::Message> = (0..TOGETHER)
            .map(|n| {
                let prev = last + n * count;
                let entry = |n| {
                    let mut entry = eraftpb::Entry::default();
                    (entry.term, entry.index, entry.data) = (1, prev + n, data.clone());
                    entry
                };
                let mut message = eraftpb::Message::default();
                message.set_msg_type(MessageType::MsgAppend);
                (message.from, message.to, message.term) = (1, 2, 1);
                (message.index, message.log_term, message.commit) =
                    (prev, u64::from(prev > 0), last);
                message.entries = (1..=count).map(entry).collect::<Vec<_>>().into();
                message
            })
            .collect();
        let started = ThreadTime::now();
        for message in messages {
            node.step(black_box(message)).expect("it is understood");
        }
        spent += started.elapsed();
        rival::work(node);
        let applied = node.raft.raft_log.applied;
        node.mut_store().compact(applied);
    }
    per_message(spent)
}

/// Counts the appends that a follower refuses, whose log parted from the leader's after entry 1. On
/// both sides so many entries follow, of so many terms: even ones there, odd ones here.
fn probes<G: Group>(entries: u64, terms: u64) -> u64 {
    let tail = |odd: u64| {
        let term = move |n: u64| 2 + 2 * (n * terms / entries) + odd;
        std::iter::once(1).chain((0..entries).map(term)).collect::<Vec<u64>>()
    };
    let (ours, theirs) = (tail(1), tail(0));
    let mut group = G::with_logs(&[ours.clone(), ours, theirs]);
    group.elect(1);
    for _ in 0..1000 {
        if group.last(3) == group.last(1) && group.applied() > 0 {
            break;
        }
        group.tick_leader();
        group.settle();
    }
    assert_eq!(group.last(3), group.last(1), "the follower comes up");
    group.probes()
}
