//! The raft core beside raft-rs 0.7 (protobuf codec), in one process, on the same work.
//!
//! `make bench-raft`. One thread, all nodes of a group in it, logs in memory, messages passed by
//! move. A round proposes a batch and ends when every node has applied it. Runs are interleaved and
//! the median of ten is shown, in nanoseconds and allocations an entry, for the whole group.

mod heap;
mod ours;
mod rival;

use std::time::Instant;

use bytes::Bytes;
use ours::Ours;
use rival::Rival;

#[global_allocator]
static HEAP: heap::Counting = heap::Counting;

/// How often each case is measured.
const RUNS: usize = 10;

/// A group of nodes of which the first leads.
trait Group {
    fn new(size: u64, batch_append: bool) -> Self;
    fn propose(&mut self, batch: usize, data: &Bytes);
    fn settle(&mut self);
    fn tick_leader(&mut self);
    fn compact(&mut self);
    fn applied(&self) -> u64;
}

/// Nanoseconds and allocations for one unit of work.
type Cost = (f64, f64);

fn commit<G: Group>(group: &mut G, size: u64, batch: usize, data: &Bytes) -> Cost {
    let entries = 12_800;
    let before = (group.applied(), heap::allocations());
    let mut spent = 0;
    for round in 0..entries / batch {
        let started = Instant::now();
        group.propose(batch, data);
        group.settle();
        spent += started.elapsed().as_nanos();
        if round % 32 == 31 {
            group.compact();
        }
    }
    let allocations = heap::allocations() - before.1;
    assert_eq!(group.applied() - before.0, entries as u64 * size, "all nodes apply all");
    (spent as f64 / entries as f64, allocations as f64 / entries as f64)
}

fn heartbeat<G: Group>(group: &mut G) -> Cost {
    let rounds = 5_000;
    let before = heap::allocations();
    let started = Instant::now();
    for _ in 0..rounds {
        group.tick_leader();
        group.settle();
    }
    let spent = started.elapsed().as_nanos() as f64;
    (spent / f64::from(rounds), (heap::allocations() - before) as f64 / f64::from(rounds))
}

fn median(mut costs: Vec<Cost>) -> Cost {
    costs.sort_by(|a, b| a.0.total_cmp(&b.0));
    costs[costs.len() / 2]
}

fn line(name: &str, ours: Cost, rivals: &[Cost]) {
    let best = rivals.iter().map(|cost| cost.0).fold(f64::INFINITY, f64::min);
    let rival = |place: usize| match rivals.get(place) {
        Some((time, count)) => format!("{time:8.0} {count:7.2}"),
        None => " ".repeat(16),
    };
    println!(
        "{name:32} {:8.0} {:7.2}  |  {}  |  {}  |  {:5.2}x",
        ours.0,
        ours.1,
        rival(0),
        rival(1),
        best / ours.0
    );
}

fn idle_bytes<T>(make: impl Fn(u64) -> T) -> u64 {
    let count = 1000;
    let mut all = Vec::with_capacity(count as usize);
    let before = heap::live_bytes();
    for _ in 0..count {
        all.push(make(1));
    }
    (heap::live_bytes() - before) / count
}

fn main() {
    println!(
        "{:32} {:>16}  |  {:>16}  |  {:>16}  |",
        "", "ours", "raft-rs batched", "raft-rs default"
    );
    println!(
        "{:32} {}",
        "ns and allocations an entry",
        "      ns  allocs  |        ns  allocs  |        ns  allocs  |  best/ours"
    );
    for (size, bytes, batch) in [
        (1, 256, 1),
        (1, 256, 64),
        (3, 256, 1),
        (3, 256, 64),
        (3, 256, 256),
        (3, 4096, 64),
        (5, 256, 64),
    ] {
        let data = Bytes::from(vec![7; bytes]);
        let mut ours: Ours = Group::new(size, true);
        let mut batched: Rival = Group::new(size, true);
        let mut default: Rival = Group::new(size, false);
        let (mut a, mut b, mut c) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..RUNS {
            a.push(commit(&mut ours, size, batch, &data));
            b.push(commit(&mut batched, size, batch, &data));
            c.push(commit(&mut default, size, batch, &data));
        }
        let name = format!("{size} nodes, {bytes} B, batch {batch}");
        line(&name, median(a), &[median(b), median(c)]);
    }
    let mut ours: Ours = Group::new(3, true);
    let mut rival: Rival = Group::new(3, true);
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        a.push(heartbeat(&mut ours));
        b.push(heartbeat(&mut rival));
    }
    line("heartbeat round, 3 nodes", median(a), &[median(b)]);
    println!();
    println!("bytes                                ours   raft-rs");
    let row = |name: &str, ours: u64, rival: u64| println!("{name:32} {ours:8} {rival:9}");
    row(
        "heap of an idle node, 3 voters",
        idle_bytes(|id| ours::node(id, 3)),
        idle_bytes(|id| rival::node(id, 3, true)),
    );
    let size = |bytes: usize| bytes as u64;
    row(
        "size_of Message",
        size(size_of::<tinykv_raft::Message>()),
        size(size_of::<raft::eraftpb::Message>()),
    );
    row(
        "size_of Entry",
        size(size_of::<tinykv_raft::Entry>()),
        size(size_of::<raft::eraftpb::Entry>()),
    );
}
