//! A leader's append alone, without messages and storage, beside the engine of openraft: all that can
//! be compared of it without its runtime.

use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use cpu_time::ThreadTime;
use openraft::bench_internals::{BenchEngine, UTConfig};
use openraft::type_config::alias::PayloadOf;
use tinykv_raft::{Body, Message, Node, NodeId, Ready, Storage};

use crate::micro::{ours_leader, print_line};
use crate::ours::{Disk, Neutral};

/// How many appends are timed before the output is thrown away, untimed.
const BETWEEN: u32 = 64;

pub(crate) fn print() {
    println!();
    println!("{:40} {:>10} {:>10} {:>8}", "ns an append", "ours", "openraft", "ratio");
    batches::<1>();
    batches::<10>();
    batches::<64>();
}

fn batches<const N: usize>() {
    let mut ours = ours_leader(3);
    let mut rival = BenchEngine::new_leader();
    let name = format!("a leader appends {N} empty entries");
    print_line(&name, || append_ours::<N>(&mut ours), || append_theirs::<N>(&mut rival));
}

fn append_ours<const N: usize>(node: &mut Node<Neutral>) -> f64 {
    let (mut spent, rounds) = (Duration::ZERO, 50);
    let mut ready = Ready::default();
    for _ in 0..rounds {
        let started = ThreadTime::now();
        for _ in 0..BETWEEN {
            let batch: [Bytes; N] = std::array::from_fn(|_| Bytes::new());
            node.propose_batch(black_box(batch)).expect("the leader takes it");
        }
        spent += started.elapsed();
        drain(node, &mut ready);
    }
    spent.as_nanos() as f64 / f64::from(BETWEEN * rounds)
}

/// Lets all be written, acknowledged and applied.
fn drain(node: &mut Node<Neutral>, ready: &mut Ready) {
    loop {
        while node.has_ready() {
            node.ready_into(ready);
            node.storage_mut().write(ready);
            node.advance(ready);
        }
        let index = node.storage().last_index();
        if node.applied_index() == index {
            return Disk::compact(node.storage_mut(), index);
        }
        let body = Body::AppendAccepted { index };
        let message = Message { from: NodeId(2), to: NodeId(1), term: node.term(), body };
        node.step(message).expect("it counts");
    }
}

fn append_theirs<const N: usize>(engine: &mut BenchEngine) -> f64 {
    let (mut spent, rounds) = (Duration::ZERO, 50);
    for _ in 0..rounds {
        let started = ThreadTime::now();
        for _ in 0..BETWEEN {
            let batch: [PayloadOf<UTConfig>; N] =
                std::array::from_fn(|_| PayloadOf::<UTConfig>::Blank);
            engine.append(black_box(batch));
        }
        spent += started.elapsed();
        engine.clear_commands();
    }
    spent.as_nanos() as f64 / f64::from(BETWEEN * rounds)
}
