//! Work for a whole group: what is proposed, read, elected and caught up with.

use bytes::Bytes;
use cpu_time::ThreadTime;

use crate::heap;

/// A group of nodes of which the first leads.
pub(crate) trait Group: Sized {
    fn new(size: u64) -> Self;
    /// Makes nodes that have logs already: the terms of the entries, from index 1 on.
    fn with_logs(logs: &[Vec<u64>]) -> Self;
    /// Lets a node campaign and win.
    fn elect(&mut self, id: u64);
    fn propose(&mut self, batch: usize, data: &Bytes);
    fn size(&self) -> usize;
    fn has_ready(&self, place: usize) -> bool;
    /// Does the portion of work that a node has ready.
    fn work(&mut self, place: usize);
    /// Delivers what is on its way; returns whether there was anything.
    fn deliver(&mut self) -> bool;
    /// Works and delivers until all is quiet.
    fn settle(&mut self) {
        loop {
            let mut idle = true;
            for place in 0..self.size() {
                while self.has_ready(place) {
                    idle = false;
                    self.work(place);
                }
            }
            if !self.deliver() && idle {
                return;
            }
        }
    }
    fn tick_leader(&mut self);
    fn read(&mut self, count: u64);
    /// What is sent to this node is lost.
    fn set_down(&mut self, id: Option<u64>);
    /// Forgets all but the last entries that are applied.
    fn compact(&mut self, keep: u64);
    /// How many entries all nodes together have applied.
    fn applied(&self) -> u64;
    fn reads(&self) -> u64;
    /// How many appends were refused.
    fn probes(&self) -> u64;
    /// The last index of a node's log.
    fn last(&self, id: u64) -> u64;
}

/// What is done.
#[derive(Clone, Copy)]
pub(crate) enum Work {
    /// Entries of so many bytes are proposed in batches, and every node applies them.
    Commit { bytes: usize, batch: usize },
    /// The leader's heartbeats are answered.
    Heartbeat,
    /// So many reads are confirmed together.
    Read(u64),
    /// Another node is elected.
    Election,
    /// A node that was away gets what it missed, in entries.
    CatchUp,
    /// A node that was away gets a snapshot.
    Snapshot,
}

/// One line of the table.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    pub(crate) nodes: u64,
    pub(crate) work: Work,
    /// How much is done in one run; a unit is an entry, a round, a read, an election, a snapshot.
    pub(crate) units: u64,
}

/// Nanoseconds and allocations for one unit.
pub(crate) type Cost = (f64, f64);

const fn commit(nodes: u64, bytes: usize, batch: usize) -> Case {
    Case { nodes, work: Work::Commit { bytes, batch }, units: 12_800 }
}

const fn other(nodes: u64, work: Work, units: u64) -> Case {
    Case { nodes, work, units }
}

/// All lines, those of the goals first.
pub(crate) const CASES: &[Case] = &[
    commit(3, 256, 1),
    commit(3, 256, 64),
    commit(1, 16, 1),
    commit(1, 256, 1),
    commit(1, 256, 64),
    commit(3, 16, 1),
    commit(3, 256, 16),
    commit(3, 256, 256),
    commit(3, 4096, 64),
    commit(5, 256, 1),
    commit(5, 256, 64),
    other(3, Work::Heartbeat, 5_000),
    other(3, Work::Read(1), 2_000),
    other(3, Work::Read(64), 12_800),
    other(3, Work::Election, 500),
    other(5, Work::Election, 500),
    other(7, Work::Election, 500),
    other(3, Work::CatchUp, 100_000),
    other(3, Work::Snapshot, 500),
];

impl Case {
    pub(crate) fn name(&self) -> String {
        let what = match self.work {
            Work::Commit { bytes, batch } => format!("commit {bytes} B, batch {batch}"),
            Work::Heartbeat => "heartbeat round".to_owned(),
            Work::Read(count) => format!("read, {count} at once"),
            Work::Election => "election".to_owned(),
            Work::CatchUp => "entry to catch up with".to_owned(),
            Work::Snapshot => "snapshot to catch up with".to_owned(),
        };
        format!("{} nodes, {what}", self.nodes)
    }

    /// Does `units` of the work with a group that did some before.
    pub(crate) fn run<G: Group>(&self, group: &mut G, units: u64) -> Cost {
        let (spent, allocations) = match self.work {
            Work::Commit { bytes, batch } => self.commit(group, units, bytes, batch),
            Work::Heartbeat => timed(|| repeat(units, || beat(group))),
            Work::Read(count) => read(group, units, count),
            Work::Election => timed(|| {
                for round in 0..units {
                    group.elect(2 - round % 2);
                }
            }),
            Work::CatchUp => catch_up(group, units),
            Work::Snapshot => snapshots(group, units),
        };
        (spent / units as f64, allocations / units as f64)
    }

    fn commit<G: Group>(&self, group: &mut G, units: u64, bytes: usize, batch: usize) -> Cost {
        let data = Bytes::from(vec![7; bytes]);
        let before = group.applied();
        let mut sum = (0.0, 0.0);
        let rounds = units / batch as u64;
        for done in (0..rounds).step_by(32) {
            let (time, count) = timed(|| {
                repeat(32.min(rounds - done), || {
                    group.propose(batch, &data);
                    group.settle();
                });
            });
            sum = (sum.0 + time, sum.1 + count);
            group.compact(64);
        }
        assert_eq!(group.applied() - before, units * self.nodes, "all nodes apply all");
        sum
    }
}

fn repeat(count: u64, mut action: impl FnMut()) {
    (0..count).for_each(|_| action());
}

fn beat<G: Group>(group: &mut G) {
    group.tick_leader();
    group.settle();
}

/// Returns nanoseconds and allocations.
fn timed(action: impl FnOnce()) -> Cost {
    let before = heap::allocations();
    let started = ThreadTime::now();
    action();
    let spent = started.elapsed().as_nanos() as f64;
    (spent, (heap::allocations() - before) as f64)
}

fn read<G: Group>(group: &mut G, units: u64, count: u64) -> Cost {
    let before = group.reads();
    let cost = timed(|| {
        repeat(units / count, || {
            group.read(count);
            group.settle();
        });
    });
    assert_eq!(group.reads() - before, units / count * count, "all reads are confirmed");
    cost
}

/// Lets node 3 miss `units` entries and times how it gets them.
fn catch_up<G: Group>(group: &mut G, units: u64) -> Cost {
    let data = Bytes::from(vec![7; 256]);
    group.set_down(Some(3));
    repeat(units / 100, || {
        group.propose(100, &data);
        group.settle();
    });
    group.set_down(None);
    let cost = timed(|| come_back(group));
    group.compact(64);
    cost
}

fn snapshots<G: Group>(group: &mut G, units: u64) -> Cost {
    let data = Bytes::from_static(b"x");
    let mut sum = (0.0, 0.0);
    for _ in 0..units {
        group.set_down(Some(3));
        group.propose(1, &data);
        group.settle();
        group.compact(0);
        group.set_down(None);
        let (time, count) = timed(|| come_back(group));
        sum = (sum.0 + time, sum.1 + count);
    }
    sum
}

fn come_back<G: Group>(group: &mut G) {
    for _ in 0..1000 {
        if group.last(3) == group.last(1) {
            return;
        }
        beat(group);
    }
    panic!("node 3 does not come back: {} of {}", group.last(3), group.last(1));
}
