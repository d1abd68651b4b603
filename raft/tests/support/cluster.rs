//! Nodes joined by a network that delivers at once, except where a test cuts it.
//!
//! Each node does all work of a portion before the next: write, sync, send, apply. A missing node is
//! a black hole.
#![expect(clippy::unwrap_used, reason = "a test wants to fail at the place of the surprise")]
#![allow(dead_code, reason = "every suite uses a part")]

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use tinykv_raft::{
    Body, Config, Entries, Entry, EntryId, HardState, Index, MemStorage, Membership, Message, Node,
    NodeId, Payload, ReadOutcome, Ready, RoleKind, Snapshot, Storage, Term, Vote,
};

/// Returns whether a message gives a vote, if it is an answer at all.
pub(crate) fn granted(body: &Body) -> Option<bool> {
    match body {
        Body::VoteResponse(vote) | Body::PreVoteResponse(vote) => Some(vote.granted),
        _ => None,
    }
}

/// A node, and what its state machine got.
pub(crate) struct Member {
    pub(crate) node: Node<MemStorage>,
    /// Every command that was applied, without the empty ones.
    pub(crate) applied: Vec<Bytes>,
    pub(crate) reads: Vec<ReadOutcome>,
}

/// The options of the stages: no pre-vote, no check-quorum, ten ticks of election timeout.
pub(crate) fn stage_config(id: u64) -> Config {
    Config {
        pre_vote: false,
        check_quorum: false,
        step_down_on_removal: false,
        ..Config::new(NodeId(id))
    }
}

/// Makes a log of entries with these terms, at 1, 2, ..., each with a command that names its place.
pub(crate) fn log_of(terms: &[u64]) -> Vec<Entry> {
    (1..)
        .zip(terms)
        .map(|(index, term)| Entry {
            term: Term(*term),
            index: Index(index),
            payload: Payload::Normal(Bytes::from(format!("{term}/{index}"))),
        })
        .collect()
}

/// Makes the storage of a member of `voters` with this log and hard state.
pub(crate) fn storage_of(voters: &[u64], terms: &[u64], hard_state: HardState) -> MemStorage {
    let mut storage = MemStorage::with_membership(Membership::of_voters(voters.iter().copied()));
    storage.append(&Entries::new(log_of(terms)));
    storage.set_hard_state(hard_state);
    storage
}

pub(crate) fn hard_state(term: u64, vote: Option<u64>, commit: u64) -> HardState {
    HardState { term: Term(term), vote: vote.map(NodeId), commit: Index(commit) }
}

impl Member {
    pub(crate) fn new(config: Config, storage: MemStorage) -> Member {
        let rng = SmallRng::seed_from_u64(config.id.0);
        let node = Node::new(config, storage, rng).unwrap();
        Member { node, applied: Vec::new(), reads: Vec::new() }
    }

    /// A member of `voters` with an empty log and the stages' options.
    pub(crate) fn of(id: u64, voters: &[u64]) -> Member {
        Member::new(stage_config(id), storage_of(voters, &[], HardState::default()))
    }

    /// Works until nothing is left; returns all messages to others.
    pub(crate) fn work(&mut self) -> Vec<Message> {
        let mut sent = Vec::new();
        let mut ready = Ready::default();
        while self.node.has_ready() {
            self.node.ready_into(&mut ready);
            sent.extend(self.finish(&ready));
        }
        sent
    }

    /// Does all work of one portion.
    pub(crate) fn finish(&mut self, ready: &Ready) -> Vec<Message> {
        self.write(ready);
        let id = self.node.id();
        let mut sent = ready.messages.clone();
        sent.extend(ready.messages_after_persist(id).cloned());
        self.reads.extend(&ready.reads);
        self.node.persisted(ready.number);
        self.apply(ready);
        self.node.assert_invariants();
        sent
    }

    pub(crate) fn write(&mut self, ready: &Ready) {
        let storage = self.node.storage_mut();
        if let Some(snapshot) = &ready.snapshot {
            storage.install_snapshot(snapshot.clone());
        }
        ready.repaired.iter().for_each(|entry| storage.repair(entry));
        ready.entries.iter().for_each(|batch| storage.append(batch));
        if let Some(hard_state) = ready.hard_state {
            storage.set_hard_state(hard_state);
        }
    }

    pub(crate) fn apply(&mut self, ready: &Ready) {
        for entry in ready.committed() {
            match &entry.payload {
                Payload::Change(change) => {
                    if let Ok(membership) = self.node.apply_change(change) {
                        self.node.storage_mut().set_membership(membership);
                    }
                }
                Payload::Normal(data) if data.is_empty() => {}
                Payload::Normal(data) => self.applied.push(data.clone()),
            }
        }
        if let Some(index) = ready.last_committed() {
            self.node.applied(index);
        }
    }

    /// Takes a message from `from` in `term`, works, and returns what is sent.
    pub(crate) fn hear(&mut self, from: u64, term: u64, body: Body) -> Vec<Message> {
        let message = Message { from: NodeId(from), to: self.node.id(), term: Term(term), body };
        // A message that is refused has no effect, which is what tests look at.
        let _ = self.node.step(message);
        self.work()
    }

    /// Lets time pass, and returns what is sent.
    pub(crate) fn ticks(&mut self, count: u32) -> Vec<Message> {
        let mut sent = Vec::new();
        for _ in 0..count {
            self.node.tick();
            sent.extend(self.work());
        }
        sent
    }

    /// Makes a candidate of a follower; returns what is sent.
    pub(crate) fn campaign(&mut self) -> Vec<Message> {
        self.node.campaign().unwrap();
        self.work()
    }

    /// Makes a leader: campaigns and gets the votes of all others.
    pub(crate) fn lead(&mut self) -> Vec<Message> {
        self.campaign();
        let term = self.node.term().0;
        let mut sent = Vec::new();
        for id in self.node.membership().ids() {
            if !self.node.is_leader() && id != self.node.id() {
                sent.extend(self.hear(id.0, term, Body::VoteResponse(Vote::GRANTED)));
            }
        }
        assert!(self.node.is_leader());
        sent
    }

    /// The terms of the log's entries.
    pub(crate) fn terms(&self) -> Vec<u64> {
        self.node.storage().all().map(|entry| entry.term.0).collect()
    }

    /// The log, from its first stored entry.
    pub(crate) fn log(&self) -> Vec<Entry> {
        self.node.storage().all().collect()
    }

    /// The non-empty commands of the log.
    pub(crate) fn commands(&self) -> Vec<Bytes> {
        commands(&self.log())
    }
}

/// The non-empty commands of entries.
pub(crate) fn commands(entries: &[Entry]) -> Vec<Bytes> {
    let data = entries.iter().filter_map(|entry| match &entry.payload {
        Payload::Normal(data) if !data.is_empty() => Some(data.clone()),
        _ => None,
    });
    data.collect()
}

/// A group and its network.
pub(crate) struct Cluster {
    pub(crate) members: BTreeMap<u64, Member>,
    cut: BTreeSet<(u64, u64)>,
    ignored: Vec<fn(&Body) -> bool>,
    queue: VecDeque<Message>,
    /// Everything that was delivered or lost, for tests that count.
    pub(crate) seen: Vec<Message>,
}

impl Cluster {
    /// Nodes 1 to `size`, of which all are there.
    pub(crate) fn of(size: u64) -> Cluster {
        Cluster::with_missing(size, &[])
    }

    /// Nodes 1 to `size`, without those in `missing`.
    pub(crate) fn with_missing(size: u64, missing: &[u64]) -> Cluster {
        let voters: Vec<u64> = (1..=size).collect();
        let there = voters.iter().copied().filter(|id| !missing.contains(id));
        Cluster::from_members(there.map(|id| Member::of(id, &voters)))
    }

    /// Nodes 1 to `size` with other options.
    pub(crate) fn configured(size: u64, configure: impl Fn(&mut Config)) -> Cluster {
        let voters: Vec<u64> = (1..=size).collect();
        Cluster::from_members(voters.iter().map(|id| {
            let mut config = stage_config(*id);
            configure(&mut config);
            Member::new(config, storage_of(&voters, &[], HardState::default()))
        }))
    }

    pub(crate) fn from_members(members: impl IntoIterator<Item = Member>) -> Cluster {
        Cluster {
            members: members.into_iter().map(|member| (member.node.id().0, member)).collect(),
            cut: BTreeSet::new(),
            ignored: Vec::new(),
            queue: VecDeque::new(),
            seen: Vec::new(),
        }
    }

    pub(crate) fn cut(&mut self, a: u64, b: u64) {
        self.cut.extend([(a, b), (b, a)]);
    }

    pub(crate) fn cut_one_way(&mut self, from: u64, to: u64) {
        self.cut.insert((from, to));
    }

    pub(crate) fn isolate(&mut self, id: u64) {
        for other in self.members.keys().copied().collect::<Vec<_>>() {
            if other != id {
                self.cut(id, other);
            }
        }
    }

    pub(crate) fn ignore(&mut self, kind: fn(&Body) -> bool) {
        self.ignored.push(kind);
    }

    pub(crate) fn recover(&mut self) {
        self.cut.clear();
        self.ignored.clear();
    }

    pub(crate) fn member(&mut self, id: u64) -> &mut Member {
        self.members.get_mut(&id).unwrap()
    }

    pub(crate) fn node(&self, id: u64) -> &Node<MemStorage> {
        &self.members[&id].node
    }

    /// Lets everybody work and delivers until all is quiet.
    pub(crate) fn settle(&mut self) {
        loop {
            for member in self.members.values_mut() {
                let sent = member.work();
                self.queue.extend(sent);
            }
            let Some(message) = self.queue.pop_front() else { return };
            self.seen.push(message.clone());
            self.deliver(message);
        }
    }

    fn deliver(&mut self, message: Message) {
        let lost = self.cut.contains(&(message.from.0, message.to.0))
            || self.ignored.iter().any(|kind| kind(&message.body));
        if let (false, Some(member)) = (lost, self.members.get_mut(&message.to.0)) {
            let to = message.to;
            let _ = member.node.step(message);
            let sent = member.work();
            self.queue.extend(sent);
            self.members[&to.0].node.assert_invariants();
        }
    }

    /// Brings a message from outside, and settles.
    pub(crate) fn send(&mut self, from: u64, to: u64, term: u64, body: Body) {
        self.queue.push_back(Message {
            from: NodeId(from),
            to: NodeId(to),
            term: Term(term),
            body,
        });
        self.settle();
    }

    pub(crate) fn campaign(&mut self, id: u64) {
        // A leader refuses, and a test that does not expect it looks at roles.
        let _ = self.member(id).node.campaign();
        self.settle();
    }

    pub(crate) fn propose(&mut self, id: u64, data: &'static str) {
        // Whether it was taken shows in the logs.
        let _ = self.member(id).node.propose(Bytes::from_static(data.as_bytes()));
        self.settle();
    }

    pub(crate) fn ticks(&mut self, id: u64, count: u32) {
        for _ in 0..count {
            self.member(id).node.tick();
            self.settle();
        }
    }

    /// Lets time pass everywhere.
    pub(crate) fn all_ticks(&mut self, count: u32) {
        for _ in 0..count {
            self.members.values_mut().for_each(|member| member.node.tick());
            self.settle();
        }
    }

    pub(crate) fn heartbeat(&mut self, id: u64) {
        self.ticks(id, 1);
    }

    pub(crate) fn role(&self, id: u64) -> RoleKind {
        self.node(id).role()
    }

    pub(crate) fn roles(&self) -> Vec<RoleKind> {
        self.members.values().map(|member| member.node.role()).collect()
    }

    pub(crate) fn term(&self, id: u64) -> u64 {
        self.node(id).term().0
    }

    pub(crate) fn committed(&self, id: u64) -> u64 {
        self.node(id).committed().0
    }

    /// Stores a snapshot of a member's state and compacts its log up to the applied index.
    pub(crate) fn compact(&mut self, id: u64) {
        let node = &mut self.member(id).node;
        let index = node.applied_index();
        let last = EntryId { term: node.entry_term(index).unwrap(), index };
        let membership = node.membership().clone();
        let storage = node.storage_mut();
        storage.set_snapshot(Snapshot { last, membership, data: Bytes::new() });
        storage.compact(index).unwrap();
        assert_eq!(storage.first_index(), index.next());
    }
}
