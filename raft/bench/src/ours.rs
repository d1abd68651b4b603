//! A group of our nodes in one thread.

use bytes::Bytes;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use tinykv_raft::{
    Body, Config, Entries, Entry, EntryId, HardState, Index, InitialState, MemStorage, Membership,
    Message, Node, NodeId, Payload, Ready, Snapshot, Storage, StorageError, Term,
};

use crate::Group;
use crate::log::{Log, Numbered};

impl Numbered for Entry {
    fn index(&self) -> u64 {
        self.index.0
    }

    fn term(&self) -> u64 {
        self.term.0
    }
}

/// A log that a node reads and the bench writes.
pub(crate) trait Disk: Storage {
    fn of(size: u64) -> Self;
    fn write(&mut self, ready: &Ready);
    fn compact(&mut self, index: Index);
}

/// The log that both sides use.
#[derive(Debug)]
pub(crate) struct Neutral {
    log: Log<Entry>,
    hard_state: HardState,
    membership: Membership,
}

impl Disk for Neutral {
    fn of(size: u64) -> Neutral {
        let membership = Membership::of_voters(1..=size);
        Neutral { log: Log::default(), hard_state: HardState::default(), membership }
    }

    fn write(&mut self, ready: &Ready) {
        if let Some(Snapshot { last, .. }) = ready.snapshot {
            self.log.restart(last.index.0, last.term.0);
        }
        ready.entries.iter().for_each(|entries| self.log.append(entries));
        self.hard_state = ready.hard_state.unwrap_or(self.hard_state);
    }

    fn compact(&mut self, index: Index) {
        self.log.compact(index.0);
    }
}

impl Storage for Neutral {
    fn initial_state(&self) -> Result<InitialState, StorageError> {
        let (hard_state, membership) = (self.hard_state, self.membership.clone());
        Ok(InitialState { hard_state, membership, faulty: Vec::new() })
    }

    fn entries(&self, lo: Index, hi: Index, max_bytes: u64) -> Result<Entries, StorageError> {
        if lo < self.first_index() {
            return Err(StorageError::Compacted { up_to: self.first_index().prev() });
        }
        // A message holds so many of these entries at most.
        let hi = hi.0.min(lo.0 + 4096);
        Ok(Entries::new(self.log.range(lo.0, hi)).limited(max_bytes))
    }

    fn term(&self, index: Index) -> Result<Term, StorageError> {
        let up_to = self.first_index().prev();
        self.log.term(index.0).map(Term).ok_or(StorageError::Compacted { up_to })
    }

    fn first_index(&self) -> Index {
        Index(self.log.first())
    }

    fn last_index(&self) -> Index {
        Index(self.log.last())
    }

    fn snapshot(&self) -> Result<Snapshot, StorageError> {
        let index = self.first_index().prev();
        let last = EntryId { term: self.term(index)?, index };
        Ok(Snapshot { last, membership: self.membership.clone(), data: Bytes::new() })
    }
}

/// This crate's own log, which keeps the batches that it is given.
impl Disk for MemStorage {
    fn of(size: u64) -> MemStorage {
        MemStorage::with_membership(Membership::of_voters(1..=size))
    }

    fn write(&mut self, ready: &Ready) {
        if let Some(snapshot) = &ready.snapshot {
            self.install_snapshot(snapshot.clone());
        }
        ready.entries.iter().for_each(|entries| self.append(entries));
        if let Some(state) = ready.hard_state {
            self.set_hard_state(state);
        }
    }

    fn compact(&mut self, index: Index) {
        // Nothing to forget is fine.
        let _ = MemStorage::compact(self, index);
    }
}

/// One group.
pub(crate) struct Ours<D> {
    pub(crate) nodes: Vec<Node<D>>,
    ready: Ready,
    queue: Vec<Message>,
    spare: Vec<Message>,
    down: Option<u64>,
    applied: u64,
    reads: u64,
    /// Appends that were refused.
    probes: u64,
}

pub(crate) fn node<D: Disk>(id: u64, size: u64) -> Node<D> {
    node_on(id, D::of(size))
}

fn node_on<D: Disk>(id: u64, disk: D) -> Node<D> {
    let config = Config { pre_vote: false, check_quorum: false, ..Config::new(NodeId(id)) };
    Node::new(config, disk, SmallRng::seed_from_u64(id)).expect("a new node starts")
}

impl<D: Disk> Ours<D> {
    fn of_nodes(nodes: Vec<Node<D>>) -> Ours<D> {
        Ours {
            nodes,
            ready: Ready::default(),
            queue: Vec::new(),
            spare: Vec::new(),
            down: None,
            applied: 0,
            reads: 0,
            probes: 0,
        }
    }
}

impl<D: Disk> Group for Ours<D> {
    fn new(size: u64) -> Ours<D> {
        let mut group = Ours::of_nodes((1..=size).map(|id| node(id, size)).collect());
        group.elect(1);
        assert!(group.nodes[0].is_leader());
        group
    }

    fn with_logs(logs: &[Vec<u64>]) -> Ours<D> {
        let size = logs.len() as u64;
        let mut group = Ours::of_nodes(Vec::new());
        for (id, terms) in (1..).zip(logs) {
            let mut disk = D::of(size);
            let entry = |(index, term): (u64, &u64)| Entry {
                term: Term(*term),
                index: Index(index),
                payload: Payload::Normal(Bytes::new()),
            };
            let entries = vec![Entries::new((1..).zip(terms).map(entry).collect())];
            let term = Term(terms.last().copied().unwrap_or(0));
            let hard_state = Some(HardState { term, ..HardState::default() });
            disk.write(&Ready { entries, hard_state, ..Ready::default() });
            group.nodes.push(node_on(id, disk));
        }
        group
    }

    fn elect(&mut self, id: u64) {
        self.nodes[id as usize - 1].campaign().expect("it may campaign");
        self.settle();
    }

    fn propose(&mut self, batch: usize, data: &Bytes) {
        let leader = &mut self.nodes[0];
        let result = match batch {
            1 => leader.propose(data.clone()),
            _ => leader.propose_batch(std::iter::repeat_n(data.clone(), batch)),
        };
        result.expect("the leader takes it");
    }

    fn size(&self) -> usize {
        self.nodes.len()
    }

    fn has_ready(&self, place: usize) -> bool {
        self.nodes[place].has_ready()
    }

    fn work(&mut self, place: usize) {
        let node = &mut self.nodes[place];
        node.ready_into(&mut self.ready);
        node.storage_mut().write(&self.ready);
        self.applied +=
            self.ready.committed.iter().map(|entries| entries.len() as u64).sum::<u64>();
        self.reads += self.ready.reads.len() as u64;
        node.advance(&self.ready);
        self.queue.append(&mut self.ready.messages);
        // What a node promises itself goes no further: `advance` has delivered it.
        let id = node.id();
        self.ready.promises.retain(|message| message.to != id);
        self.queue.append(&mut self.ready.promises);
    }

    fn deliver(&mut self) -> bool {
        std::mem::swap(&mut self.queue, &mut self.spare);
        let any = !self.spare.is_empty();
        for message in self.spare.drain(..) {
            if self.down != Some(message.to.0) {
                self.probes += u64::from(matches!(message.body, Body::AppendRejected { .. }));
                let to = message.to.0 as usize - 1;
                self.nodes[to].step(message).expect("it is understood");
            }
        }
        any
    }

    fn tick_leader(&mut self) {
        self.nodes[0].tick();
    }

    fn read(&mut self, count: u64) {
        for token in 0..count {
            self.nodes[0].read_index(token).expect("it waits");
        }
    }

    fn set_down(&mut self, id: Option<u64>) {
        self.down = id;
    }

    fn compact(&mut self, keep: u64) {
        for node in &mut self.nodes {
            let index = Index(node.applied_index().0.saturating_sub(keep));
            node.storage_mut().compact(index);
        }
    }

    fn applied(&self) -> u64 {
        self.applied
    }

    fn reads(&self) -> u64 {
        self.reads
    }

    fn probes(&self) -> u64 {
        self.probes
    }

    fn last(&self, id: u64) -> u64 {
        self.nodes[id as usize - 1].last().index.0
    }
}
