//! A small replicated store over the raft core alone, to test the world with: it writes its whole
//! log to a file each time, and its bugs can be switched on by a feature of the scenario.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;

use bytes::Bytes;
use raft::{
    Config, Entries, Entry, HardState, Index, MemStorage, Membership, Message, Node, NodeId,
    Payload, Proposed, ReadOutcome, Term,
};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};
use tinykv_sim::history::Op;
use tinykv_sim::process::{Deed, Fact, Features, Lane, Output, Process, Reply, Setup, State};
use tinykv_sim::random::mix_bytes;
use wal::{ErrFs, Fs, OpenMode};

use crate::histories::Plain;

/// Bugs that the toy can have, by the value of the feature `bug`.
pub(crate) const BUGS: &[&str] = &[
    "none",
    "answers before the entry is committed",
    "serves reads without asking whether it still leads",
    "says that a write is durable without syncing it",
    "forgets its vote in a crash",
    "applies an entry again after some restarts",
    "never answers a read",
    "takes the index alone for its own proposal",
    "sends each message back twice",
];

/// What is on the disk.
#[derive(Default, Serialize, Deserialize)]
struct Stored {
    term: u64,
    vote: Option<u64>,
    commit: u64,
    entries: Vec<(u64, u64, Vec<u8>)>,
}

/// A portion of raft's work that is not yet written.
struct Portion {
    number: u64,
    entries: Vec<Entries>,
    hard_state: Option<HardState>,
    promises: Vec<Message>,
}

/// The toy.
pub(crate) struct Toy {
    bug: &'static str,
    stores: u64,
    node: Node<MemStorage>,
    fs: ErrFs,
    /// What is, or is going to be, in the file.
    stored: Stored,
    portions: VecDeque<Portion>,
    committed: VecDeque<Entries>,
    machine: Plain,
    applied: u64,
    /// Proposals by index.
    proposals: BTreeMap<u64, Vec<(Proposed, u64)>>,
    /// Reads that were not confirmed, and those that wait for an index.
    reads: BTreeMap<u64, Op>,
    confirmed: Vec<(u64, u64)>,
    output: Output<Message>,
    told: (u64, bool, u64),
}

fn fact(deed: Deed) -> Fact {
    Fact { group: 1, deed }
}

fn digest(payload: &Payload) -> u64 {
    match payload {
        Payload::Normal(data) => mix_bytes(0, data),
        Payload::Change(_) => 1,
    }
}

impl Toy {
    fn save(&mut self) -> std::io::Result<()> {
        let mut text = serde_json::to_vec(&self.stored)?;
        text.extend(mix_bytes(0, &text).to_le_bytes());
        let (next, path) = (Path::new("next"), Path::new("log"));
        if self.fs.exists(next)? {
            self.fs.remove(next)?;
        }
        let file = self.fs.open(next, OpenMode::CreateNew)?;
        file.write_all_at(&text, 0)?;
        if self.bug != BUGS[3] {
            file.sync_data()?;
        }
        self.fs.rename(next, path)?;
        self.fs.sync_dir(Path::new(""))
    }

    fn load(fs: &ErrFs) -> std::io::Result<Stored> {
        if !fs.exists(Path::new("log"))? {
            return Ok(Stored::default());
        }
        let file = fs.open(Path::new("log"), OpenMode::Read)?;
        let mut text = vec![0; usize::try_from(file.len()?).unwrap()];
        file.read_exact_at(&mut text, 0)?;
        let (text, sum) = text.split_last_chunk::<8>().ok_or(std::io::ErrorKind::InvalidData)?;
        if mix_bytes(0, text).to_le_bytes() != *sum {
            return Err(std::io::ErrorKind::InvalidData.into());
        }
        Ok(serde_json::from_slice(text)?)
    }

    fn write(&mut self, portion: Portion) {
        if let Some(state) = portion.hard_state {
            let Stored { term, vote, commit, .. } = &mut self.stored;
            (*term, *vote, *commit) = (state.term.0, state.vote.map(|it| it.0), state.commit.0);
        }
        for entry in portion.entries.iter().flatten() {
            let Payload::Normal(data) = &entry.payload else { continue };
            let at = usize::try_from(entry.index.0).unwrap() - 1;
            self.stored.entries.truncate(at);
            self.stored.entries.push((entry.index.0, entry.term.0, data.to_vec()));
        }
        if let Err(error) = self.save() {
            self.output.stopped = Some(error.to_string());
            return;
        }
        self.node.persisted(portion.number);
        let id = self.node.id();
        let promises = portion.promises.into_iter().filter(|message| message.to != id);
        self.output.messages.extend(promises.map(|message| (message.to.0, message)));
    }

    fn apply(&mut self, entries: &Entries) {
        for entry in entries {
            let (index, term) = (entry.index.0, entry.term.0);
            let Payload::Normal(data) = &entry.payload else { continue };
            let op: Option<Op> = serde_json::from_slice(data).ok();
            let answer = op.map(|op| self.machine.run(&op));
            self.applied = index;
            let deed = Deed::Applied { index, term, digest: digest(&entry.payload) };
            self.output.facts.push(fact(deed));
            for (proposed, call) in self.proposals.remove(&index).unwrap_or_default() {
                let mine = proposed.outcome(entry.id()) == Some(true) || self.bug == BUGS[7];
                let reply = match answer.clone().filter(|_| mine) {
                    Some(answer) => Reply::Done(answer),
                    None => Reply::Refused { why: "another leader".to_owned(), leader: None },
                };
                self.reply(call, reply);
            }
        }
        self.node.applied(Index(self.applied));
        self.serve();
    }

    fn reply(&mut self, call: u64, reply: Reply) {
        self.output.replies.push((call, reply));
    }

    fn serve(&mut self) {
        let (ready, wait) = self.confirmed.drain(..).partition(|(_, index)| *index <= self.applied);
        self.confirmed = wait;
        let ready: Vec<(u64, u64)> = ready;
        for (call, _) in ready {
            if let Some(op) = self.reads.remove(&call) {
                let answer = self.machine.run(&op);
                self.reply(call, Reply::Done(answer));
            }
        }
    }

    fn drain(&mut self) {
        while self.node.has_ready() {
            let ready = self.node.ready();
            self.output.messages.extend(ready.messages.into_iter().map(|it| (it.to.0, it)));
            for entry in ready.entries.iter().flatten() {
                let (index, term) = (entry.index.0, entry.term.0);
                let digest = digest(&entry.payload);
                let deed = Deed::Appended { index, term, before: None, digest };
                self.output.facts.push(fact(deed));
            }
            for ReadOutcome { token, result } in ready.reads {
                match result {
                    Ok(index) => self.confirmed.push((token, index.0)),
                    Err(error) => {
                        self.reads.remove(&token);
                        let why = error.to_string();
                        self.reply(token, Reply::Refused { why, leader: None });
                    }
                }
            }
            for entries in ready.committed {
                self.committed.push_back(entries);
                self.output.work.push(Lane::Apply);
            }
            // What was handed out can be read at once; it is durable later.
            for entries in &ready.entries {
                self.node.storage_mut().append(entries);
            }
            self.portions.push_back(Portion {
                number: ready.number,
                entries: ready.entries,
                hard_state: ready.hard_state,
                promises: ready.promises,
            });
            self.output.work.push(Lane::Log);
        }
        if self.bug != BUGS[6] {
            self.serve();
        }
        let (term, leads, commit) = self.told;
        let now = (self.node.term().0, self.node.is_leader(), self.node.committed().0);
        if now.1 && (term, leads) != (now.0, true) {
            self.output.facts.push(fact(Deed::Leads { term: now.0 }));
        }
        if now.2 != commit {
            self.output.facts.push(fact(Deed::Committed { index: now.2 }));
        }
        self.told = now;
    }
}

impl Process for Toy {
    type Message = Message;

    fn features(_: &mut SmallRng) -> Features {
        Features::new()
    }

    fn folders() -> &'static [&'static str] {
        &[""]
    }

    fn start(setup: &Setup<'_>, fs: ErrFs) -> Result<Toy, String> {
        let bug = BUGS[usize::try_from(setup.features.get("bug").copied().unwrap_or(0)).unwrap()];
        let mut stored = Toy::load(&fs).map_err(|error| error.to_string())?;
        if bug == BUGS[4] {
            stored.vote = None;
        }
        let members = Membership::of_voters(1..=setup.stores);
        let mut storage = MemStorage::with_membership(members);
        let entries = stored.entries.iter().map(|(index, term, data)| {
            let payload = Payload::Normal(Bytes::copy_from_slice(data));
            Entry { index: Index(*index), term: Term(*term), payload }
        });
        storage.append(&Entries::new(entries.collect()));
        storage.set_hard_state(HardState {
            term: Term(stored.term),
            vote: stored.vote.map(NodeId),
            commit: Index(stored.commit),
        });
        let mut rng =
            SmallRng::seed_from_u64(setup.seed ^ setup.store << 32 ^ u64::from(setup.life));
        let mut machine = Plain::default();
        if bug == BUGS[5] && rng.random_bool(0.5) {
            let first =
                stored.entries.iter().find_map(|(_, _, it)| serde_json::from_slice(it).ok());
            first.map(|op| machine.run(&op));
        }
        let node = Node::new(Config::new(NodeId(setup.store)), storage, rng);
        Ok(Toy {
            bug,
            stores: setup.stores,
            node: node.map_err(|error| error.to_string())?,
            fs,
            stored,
            portions: VecDeque::new(),
            committed: VecDeque::new(),
            machine,
            applied: 0,
            proposals: BTreeMap::new(),
            reads: BTreeMap::new(),
            confirmed: Vec::new(),
            output: Output::default(),
            told: (0, false, 0),
        })
    }

    fn tick(&mut self, _: u64) {
        self.node.tick();
    }

    fn receive(&mut self, message: Message, _: u64) {
        if self.bug == BUGS[8] {
            let back = (message.from.0, message.clone());
            self.output.messages.extend([back.clone(), back]);
        }
        // A message that is not taken is like one that is lost.
        let _ = self.node.step(message);
    }

    fn request(&mut self, call: u64, op: &Op, _: u64) {
        let refused = |why: String| Reply::Refused { why, leader: None };
        if !self.node.is_leader() {
            let leader = self.node.leader().map(|leader| leader.0);
            return self.reply(call, Reply::Refused { why: "not the leader".to_owned(), leader });
        }
        if op.is_read() {
            if self.bug == BUGS[2] {
                let answer = self.machine.run(op);
                return self.reply(call, Reply::Done(answer));
            }
            match self.node.read_index(call) {
                Ok(()) => drop(self.reads.insert(call, op.clone())),
                Err(error) => self.reply(call, refused(error.to_string())),
            }
            return;
        }
        match self.node.propose(serde_json::to_vec(op).unwrap().into()) {
            Ok(proposed @ Proposed::Appended { last }) => {
                if self.bug == BUGS[1] {
                    let answer = self.machine.clone().run(op);
                    return self.reply(call, Reply::Done(answer));
                }
                self.proposals.entry(last.index.0).or_default().push((proposed, call));
            }
            Ok(Proposed::Forwarded { .. }) => {
                let why = "forwarded".to_owned();
                self.reply(call, Reply::Unknown { why });
            }
            Err(error) => self.reply(call, refused(error.to_string())),
        }
    }

    fn work(&mut self, lane: Lane) {
        match lane {
            Lane::Log => {
                if let Some(portion) = self.portions.pop_front() {
                    self.write(portion);
                }
            }
            Lane::Apply => {
                if let Some(entries) = self.committed.pop_front() {
                    self.apply(&entries);
                }
            }
            Lane::Snapshot => {}
        }
    }

    fn output(&mut self) -> Output<Message> {
        self.drain();
        std::mem::take(&mut self.output)
    }

    fn is_leader(&self) -> bool {
        self.node.is_leader()
    }

    fn states(&self) -> Result<Vec<State>, String> {
        let pairs = self.machine.0.iter();
        let digest = pairs.fold(0, |hash, (key, value)| {
            mix_bytes(mix_bytes(hash, key.as_bytes()), value.as_bytes())
        });
        let members = (1..=self.stores).collect();
        Ok(vec![State { group: 1, applied: self.applied, digest, members }])
    }

    fn peek(&self, key: &str) -> Result<Option<String>, String> {
        Ok(self.machine.0.get(key).cloned())
    }

    fn describe(message: &Message) -> String {
        let body = format!("{:?}", message.body);
        body.chars().take(60).collect()
    }

    fn digest(message: &Message) -> u64 {
        mix_bytes(message.term.0, format!("{:?}", message.body).as_bytes())
    }
}
