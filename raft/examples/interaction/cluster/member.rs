//! A node of the cluster with its storage, its state machine and its two threads.
//!
//! The state machine appends every command to a string and keeps a snapshot of each of its states,
//! so that a follower in need gets the newest.

use std::collections::VecDeque;

use bytes::BytesMut;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use tinykv_raft::{
    Body, Config, ConfigError, Entries, Entry, EntryId, HardState, Index, InitialState, MemStorage,
    Membership, Message, NodeId, Payload, Progress, ProposeError, Ready, Snapshot, Status,
    StepError, Storage, StorageError, Term,
};

use super::super::describe;
use super::nested;

pub(crate) type Node = tinykv_raft::Node<Disk>;

/// Something on its way: a message, or the report of a thread.
pub(crate) struct Flight {
    pub(crate) to: u64,
    pub(crate) kind: &'static str,
    pub(crate) text: String,
    pub(crate) delivery: Delivery,
}

/// What arrives.
pub(crate) enum Delivery {
    /// A message of another node.
    Message(Message),
    /// A node's own vote or acknowledgement; it counts when its portion is reported, which is now
    /// if this is the last word of the portion.
    Own { portion: Option<u64> },
    /// The append thread has written a portion.
    Persisted(u64),
    /// The apply thread has applied entries.
    Applied(Index),
}

/// A job of a thread, as it is shown, and what follows from it.
pub(crate) struct Work {
    pub(crate) text: String,
    pub(crate) responses: Vec<Flight>,
}

struct AppendWork {
    hard_state: Option<HardState>,
    snapshot: Option<Snapshot>,
    entries: Vec<Entries>,
    work: Work,
}

struct ApplyWork {
    entries: Vec<Entries>,
    work: Work,
}

pub(crate) struct Member {
    pub(crate) node: Node,
    pub(crate) config: Config,
    append_work: VecDeque<AppendWork>,
    apply_work: VecDeque<ApplyWork>,
    /// Reads of this node's leader hold by a lease.
    pub(crate) lease: bool,
    /// Who made the proposals that this node passes on and that have not left: elsewhere a message
    /// passed on keeps its sender.
    proposers: VecDeque<NodeId>,
    /// The membership of a snapshot that is not stored: elsewhere it is in force at once.
    restoring: Membership,
}

impl Flight {
    pub(crate) fn of(message: Message) -> Flight {
        Flight {
            to: message.to.0,
            kind: describe::kind(&message.body),
            text: describe::message(&message),
            delivery: Delivery::Message(message),
        }
    }

    /// Returns whether no network is between: a thread's report, or what is shown as coming from the
    /// receiver itself.
    pub(crate) fn is_local(&self) -> bool {
        match &self.delivery {
            Delivery::Message(message) => {
                matches!(message.body, Body::TransferLeader { target } if target == message.to)
            }
            _ => true,
        }
    }
}

impl Member {
    pub(crate) fn new(
        config: Config,
        lease: bool,
        snapshot: Snapshot,
        founding: bool,
    ) -> Result<Member, ConfigError> {
        let log = match founding {
            true => MemStorage::with_snapshot(snapshot.clone()),
            false => MemStorage::new(),
        };
        let disk = Disk { log, history: vec![snapshot] };
        let rng = SmallRng::seed_from_u64(config.id.0);
        Ok(Member {
            node: Node::new(config.clone(), disk, rng)?,
            config,
            append_work: VecDeque::new(),
            apply_work: VecDeque::new(),
            lease,
            proposers: VecDeque::new(),
            restoring: Membership::default(),
        })
    }

    /// Proposes on behalf of this node. A follower passes on changes too, which the library lets it do
    /// for others only.
    pub(crate) fn propose(&mut self, payload: Payload) -> Result<(), ProposeError> {
        match self.propose_for(self.node.id(), vec![payload]) {
            Ok(()) => Ok(()),
            Err(StepError::Propose(error)) => Err(error),
            Err(other) => panic!("a proposal fails as such, not by {other}"),
        }
    }

    fn propose_for(&mut self, proposer: NodeId, payloads: Vec<Payload>) -> Result<(), StepError> {
        let (id, body) = (self.node.id(), Body::Propose { payloads });
        // The library takes no message from the node itself, and does not look who else sent this.
        let from = if proposer == id { NodeId(u64::MAX) } else { proposer };
        self.node.step(Message { from, to: id, term: Term(0), body })?;
        if !self.node.is_leader() {
            self.proposers.push_back(proposer);
        }
        Ok(())
    }

    /// Returns what the node knows, as the scripts expect it while a snapshot is being stored.
    pub(crate) fn status(&self) -> Status {
        let mut status = self.node.status();
        if self.node.pending_snapshot().is_some() {
            status.membership = self.restoring.clone();
        }
        status
    }

    /// Returns whether a member that waits for entries can get a snapshot only.
    pub(crate) fn lacks(&self, progress: &Progress) -> bool {
        let prev = progress.next.prev();
        progress.id != self.node.id()
            && !progress.is_paused()
            && (self.node.entry_term(prev).is_none()
                || progress.next < self.node.storage().first_index())
    }

    pub(crate) fn has_append_work(&self) -> bool {
        !self.append_work.is_empty()
    }

    pub(crate) fn has_apply_work(&self) -> bool {
        !self.apply_work.is_empty()
    }

    pub(crate) fn latest_snapshot(&self) -> Snapshot {
        self.node.storage().latest()
    }

    /// Takes a portion of work; returns how it is shown and what is sent at once.
    pub(crate) fn process_ready(&mut self) -> Result<(String, Vec<Flight>), String> {
        let mut ready = self.node.ready();
        let passed_on = |message: &&mut Message| matches!(message.body, Body::Propose { .. });
        for message in ready.messages.iter_mut().filter(passed_on) {
            message.from = self.proposers.pop_front().unwrap_or(message.from);
        }
        let mut flights: Vec<Flight> = ready.messages.drain(..).map(Flight::of).collect();
        let mut shown: Vec<String> = flights.iter().map(|flight| flight.text.clone()).collect();
        if self.config.async_writes {
            self.queue(&ready, &mut shown);
            return Ok((describe::ready(&ready, &shown), flights));
        }
        let promises = ready.messages_after_persist(self.node.id()).cloned().map(Flight::of);
        let promises: Vec<Flight> = promises.collect();
        shown.extend(promises.iter().map(|flight| flight.text.clone()));
        flights.extend(promises);
        let text = describe::ready(&ready, &shown);
        self.node.storage_mut().write(ready.hard_state, ready.snapshot.as_ref(), &ready.entries);
        self.apply(&ready.committed)?;
        self.node.advance(&ready);
        Ok((text, flights))
    }

    /// Hands a portion to the threads.
    fn queue(&mut self, ready: &Ready, shown: &mut Vec<String>) {
        let id = self.node.id();
        if ready.has_writes() || !ready.promises.is_empty() {
            let responses = self.append_responses(ready);
            let text = append_text(id, ready);
            shown.push(text.clone() + &response_list(&responses));
            self.append_work.push_back(AppendWork {
                hard_state: ready.hard_state,
                snapshot: ready.snapshot.clone(),
                entries: ready.entries.clone(),
                work: Work { text, responses },
            });
        }
        if let Some(last) = ready.last_committed() {
            let lines: Vec<String> = ready.committed().map(describe::entry).collect();
            let list = describe::entry_list(&lines);
            let text = format!("{:x}->ApplyThread MsgStorageApply Term:0 Log:0/0{list}", id.0);
            let done = Flight {
                to: id.0,
                kind: "MsgStorageApplyResp",
                text: format!("ApplyThread->{:x} MsgStorageApplyResp Term:0 Log:0/0{list}", id.0),
                delivery: Delivery::Applied(last),
            };
            let responses = vec![done];
            shown.push(text.clone() + &response_list(&responses));
            let entries = ready.committed.clone();
            self.apply_work.push_back(ApplyWork { entries, work: Work { text, responses } });
        }
    }

    fn append_responses(&self, ready: &Ready) -> Vec<Flight> {
        let id = self.node.id();
        let mut responses: Vec<Flight> = ready.promises.iter().cloned().map(Flight::of).collect();
        for own in responses.iter_mut().filter(|flight| flight.to == id.0) {
            own.delivery = Delivery::Own { portion: None };
        }
        let Some(report) = ready.report else {
            let own = responses.iter_mut().rev().find(|flight| flight.to == id.0);
            if let Some(last) = own {
                last.delivery = Delivery::Own { portion: Some(ready.number) };
            }
            return responses;
        };
        let last = report.last.unwrap_or_default();
        let snapshot = ready.snapshot.as_ref().map_or(String::new(), |snapshot| {
            format!("\n  Snapshot: {}", describe::snapshot(snapshot))
        });
        responses.push(Flight {
            to: id.0,
            kind: "MsgStorageAppendResp",
            text: format!(
                "AppendThread->{:x} MsgStorageAppendResp Term:{} Log:{}/{}{snapshot}",
                id.0, report.term, last.term, last.index
            ),
            delivery: Delivery::Persisted(ready.number),
        });
        responses
    }

    pub(crate) fn process_append(&mut self) -> Option<Work> {
        let job = self.append_work.pop_front()?;
        self.node.storage_mut().write(job.hard_state, job.snapshot.as_ref(), &job.entries);
        Some(job.work)
    }

    pub(crate) fn process_apply(&mut self) -> Result<Option<Work>, String> {
        let Some(job) = self.apply_work.pop_front() else { return Ok(None) };
        self.apply(&job.entries)?;
        Ok(Some(job.work))
    }

    fn apply(&mut self, committed: &[Entries]) -> Result<(), String> {
        for entry in committed.iter().flatten() {
            let membership = match &entry.payload {
                // A change that cannot be carried out leaves the membership as it is.
                Payload::Change(change) => self.node.apply_change(change).ok(),
                Payload::Normal(_) => None,
            };
            let history = &mut self.node.storage_mut().history;
            let before = history.last().cloned().unwrap_or_default();
            let mut data = BytesMut::from(&before.data[..]);
            if let Payload::Normal(command) = &entry.payload {
                data.extend_from_slice(command);
            }
            let membership = membership.unwrap_or(before.membership);
            history.push(Snapshot { last: entry.id(), membership, data: data.freeze() });
        }
        Ok(())
    }

    pub(crate) fn receive(&mut self, delivery: Delivery) -> Result<(), StepError> {
        match delivery {
            Delivery::Message(message) => return self.step(message),
            Delivery::Own { portion } => {
                let member = self.node.membership().contains(self.node.id());
                if let Some(portion) = portion {
                    self.node.persisted(portion);
                }
                if !member {
                    return Err(StepError::PeerNotFound);
                }
            }
            Delivery::Persisted(portion) => self.node.persisted(portion),
            Delivery::Applied(index) => self.node.applied(index),
        }
        Ok(())
    }

    fn step(&mut self, mut message: Message) -> Result<(), StepError> {
        let (id, from) = (self.node.id(), message.from);
        let membership = match message.body {
            Body::Propose { payloads } => return self.propose_for(from, payloads),
            Body::Snapshot(snapshot) if !snapshot.membership.contains(id) => {
                // The library takes a snapshot that is older than the change that added the node. The
                // scripts expect the answer to entries that are committed already.
                let (prev, commit) = (EntryId::default(), Index(0));
                message.body = Body::Append { prev, commit, entries: Entries::default() };
                None
            }
            Body::Snapshot(ref snapshot) => Some(snapshot.membership.clone()),
            _ => None,
        };
        // Of no term: a snapshot that was sent by hand before there was any.
        if message.term == Term(0) {
            message.term = self.node.term();
        }
        let before = self.node.pending_snapshot();
        let result = self.node.step(message);
        if let Some(membership) = membership
            && self.node.pending_snapshot() != before
        {
            self.restoring = membership;
        }
        result
    }

    pub(crate) fn compact(&mut self, index: u64) -> Result<(), String> {
        let log = &mut self.node.storage_mut().log;
        log.compact(Index(index)).map_err(|error| match error {
            StorageError::Compacted { .. } => {
                "requested index is unavailable due to compaction".to_owned()
            }
            other => other.to_string(),
        })
    }

    pub(crate) fn raft_log(&self) -> String {
        let log = &self.node.storage().log;
        if log.last_index() < log.first_index() {
            let (first, last) = (log.first_index(), log.last_index());
            return format!("log is empty: first index={first}, last index={last}");
        }
        let all: Vec<Entry> = log.all().collect();
        describe::entries(all.iter())
    }
}

fn append_text(id: NodeId, ready: &Ready) -> String {
    let state = ready.hard_state.unwrap_or_default();
    let commit =
        if state.commit.0 > 0 { format!(" Commit:{}", state.commit) } else { String::new() };
    let vote = state.vote.map_or(String::new(), |vote| format!(" Vote:{vote}"));
    let lines: Vec<String> = ready.entries().map(describe::entry).collect();
    let entries = describe::entry_list(&lines);
    let snapshot = ready.snapshot.as_ref().map_or(String::new(), |snapshot| {
        format!("\n  Snapshot: {}", describe::snapshot(snapshot))
    });
    let term = state.term;
    let head = format!("{:x}->AppendThread MsgStorageAppend Term:{term} Log:0/0", id.0);
    head + &commit + &vote + &entries + &snapshot
}

fn response_list(responses: &[Flight]) -> String {
    if responses.is_empty() {
        return String::new();
    }
    let lines: String = responses.iter().map(|response| nested(&response.text)).collect();
    format!(" Responses:[{lines}\n]")
}

/// A log in memory that answers with the newest snapshot of the state machine.
#[derive(Debug)]
pub(crate) struct Disk {
    log: MemStorage,
    history: Vec<Snapshot>,
}

impl Disk {
    fn latest(&self) -> Snapshot {
        self.history.last().cloned().unwrap_or_default()
    }

    fn write(
        &mut self,
        hard_state: Option<HardState>,
        snapshot: Option<&Snapshot>,
        entries: &[Entries],
    ) {
        if let Some(hard_state) = hard_state {
            self.log.set_hard_state(hard_state);
        }
        if let Some(snapshot) = snapshot {
            self.log.install_snapshot(snapshot.clone());
        }
        entries.iter().for_each(|batch| self.log.append(batch));
    }
}

impl Storage for Disk {
    fn initial_state(&self) -> Result<InitialState, StorageError> {
        self.log.initial_state()
    }

    fn entries(&self, lo: Index, hi: Index, max_bytes: u64) -> Result<Entries, StorageError> {
        self.log.entries(lo, hi, max_bytes)
    }

    fn term(&self, index: Index) -> Result<Term, StorageError> {
        self.log.term(index)
    }

    fn first_index(&self) -> Index {
        self.log.first_index()
    }

    fn last_index(&self) -> Index {
        self.log.last_index()
    }

    fn snapshot(&self) -> Result<Snapshot, StorageError> {
        Ok(self.latest())
    }
}
