//! Virtual time, a network that loses, repeats, delays and reorders, and the nodes in it.
//!
//! Everything happens in one queue, ordered by time and then by the order of scheduling; the only
//! source of chance is the seed. So a seed always gives the same run, which the trace hash shows.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use bytes::Bytes;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tinykv_raft::{
    Body, Entry, EntryId, Index, Membership, Message, NodeId, Payload, Snapshot, StepError, Storage,
};

use super::disk::Disk;
use super::invariants::{Check, Delivery, Invariants, entry_hash, mix};
use super::member::Member;
use super::options::{NODES, Options, TICK};
use super::{faults, liveness};

/// The most that may happen in a run; most take some thousand steps.
const STEPS_MAX: u64 = 1_000_000;

/// What a run was like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    /// The same seed gives the same hash.
    pub(crate) trace_hash: u64,
    pub(crate) steps: u64,
    pub(crate) committed: u64,
    pub(crate) reads: u64,
}

/// Takes a line for each thing that happens.
pub(crate) type Trace = fn(&str);

/// Something that will happen.
#[derive(Debug)]
pub(crate) enum Event {
    Tick(u64),
    Deliver(Message),
    /// A portion of a node in one of its lives is durable.
    Persisted {
        id: u64,
        life: u32,
        number: u64,
    },
    /// The oldest committed entries of a node are applied.
    Applied {
        id: u64,
        life: u32,
    },
    Restart(u64),
    Heal,
    /// A snapshot was lost, and its sender is told.
    SnapshotLost {
        from: u64,
        to: u64,
    },
    /// A client does something.
    Client,
    /// Something breaks.
    Fault,
}

struct Scheduled {
    at: u64,
    order: u64,
    event: Event,
}

pub(crate) struct World {
    pub(crate) rng: SmallRng,
    pub(crate) seed: u64,
    pub(crate) options: Options,
    pub(crate) now: u64,
    pub(crate) members: Vec<Member>,
    /// Directed pairs between which nothing gets through.
    pub(crate) cut: BTreeSet<(u64, u64)>,
    pub(crate) invariants: Invariants,
    /// Faults have ended.
    pub(crate) healed: bool,
    /// Clients are silent.
    pub(crate) quiet: bool,
    pub(crate) proposals: u64,
    queue: BinaryHeap<Reverse<Scheduled>>,
    scheduled: u64,
    steps: u64,
    trace_hash: u64,
    trace: Option<Trace>,
}

/// Runs one seed: faults, then peace, in which the group must come together.
pub(crate) fn run(seed: u64, trace: Option<Trace>) -> Result<Report, String> {
    let mut world = World::new(seed, trace);
    if let Some(trace) = trace {
        trace(&format!("{:#?}", world.options));
    }
    world.begin()?;
    let end = world.options.duration;
    world.run_until(end)?;
    liveness::check(&mut world)?;
    let committed = world.invariants.reads.highest_applied().0;
    Ok(Report {
        trace_hash: world.trace_hash,
        steps: world.steps,
        committed,
        reads: world.invariants.reads.confirmed,
    })
}

impl World {
    fn new(seed: u64, trace: Option<Trace>) -> World {
        let mut rng = SmallRng::seed_from_u64(seed);
        let options = Options::draw(&mut rng);
        // Founding members begin with a snapshot, so that later ones cannot be brought up by
        // entries alone and miss the founding membership.
        let founding = Snapshot {
            last: EntryId::new(1, 1),
            membership: Membership::of_voters(1..=options.founders),
            data: Bytes::copy_from_slice(&7u64.to_le_bytes()),
        };
        let members = (1..=NODES).map(|id| {
            let founder = id <= options.founders;
            Member::new(id, if founder { Disk::founding(&founding) } else { Disk::default() })
        });
        World {
            rng,
            seed,
            now: 0,
            members: members.collect(),
            cut: BTreeSet::new(),
            invariants: Invariants::default(),
            healed: false,
            quiet: false,
            proposals: 0,
            queue: BinaryHeap::new(),
            scheduled: 0,
            steps: 0,
            trace_hash: 0,
            trace,
            options,
        }
    }

    fn begin(&mut self) -> Check {
        for id in 1..=NODES {
            self.start(id)?;
            let offset = self.rng.random_range(0..TICK);
            self.schedule(offset, Event::Tick(id));
        }
        self.schedule(50, Event::Client);
        self.schedule(100, Event::Fault);
        Ok(())
    }

    pub(crate) fn start(&mut self, id: u64) -> Check {
        let (config, seed) = (self.options.config.clone(), self.seed);
        self.member(id).start(&config, seed)?;
        if let Some(node) = &self.members[id as usize - 1].node {
            self.invariants.lease_promise.started(node);
        }
        self.drain(id)
    }

    pub(crate) fn member(&mut self, id: u64) -> &mut Member {
        &mut self.members[id as usize - 1]
    }

    pub(crate) fn schedule(&mut self, delay: u64, event: Event) {
        self.scheduled += 1;
        let (at, order) = (self.now + delay, self.scheduled);
        self.queue.push(Reverse(Scheduled { at, order, event }));
    }

    pub(crate) fn run_until(&mut self, end: u64) -> Check {
        while let Some(Reverse(next)) = self.queue.peek()
            && next.at <= end
        {
            let Some(Reverse(Scheduled { at, event, .. })) = self.queue.pop() else { break };
            self.now = at;
            self.steps += 1;
            if self.steps > STEPS_MAX {
                return Err(format!("messages beget messages: {STEPS_MAX} steps, and no end"));
            }
            self.note(&event);
            self.happen(event)?;
        }
        self.now = end;
        Ok(())
    }

    fn note(&mut self, event: &Event) {
        if let (Some(trace), false) = (self.trace, matches!(event, Event::Tick(_))) {
            trace(&format!("{:6} {event:?}", self.now));
        }
        let mut hash = mix(self.trace_hash, &self.now);
        hash = match event {
            Event::Tick(id) => mix(hash, id),
            Event::Deliver(message) => {
                let Message { from, to, term, body } = message;
                let kind = std::mem::discriminant(body);
                let size = match body {
                    Body::Append { prev, commit, entries } => {
                        mix(mix(0, &(prev, commit)), &entries.len())
                    }
                    Body::AppendAccepted { index } => index.0,
                    _ => 0,
                };
                mix(hash, &(from, to, term, format!("{kind:?}"), size))
            }
            Event::Persisted { id, life, number } => mix(hash, &(id, life, number)),
            Event::Applied { id, life } => mix(hash, &(id, life)),
            Event::Restart(id) => mix(hash, id),
            _ => hash,
        };
        self.trace_hash = hash;
    }

    fn happen(&mut self, event: Event) -> Check {
        match event {
            Event::Tick(id) => {
                self.schedule(TICK, Event::Tick(id));
                if !self.awake(id) || self.member(id).node.is_none() {
                    return Ok(());
                }
                self.invariants.leadership.ticked(id);
                self.invariants.lease_promise.ticked(id);
                if let Some(node) = &mut self.member(id).node {
                    node.tick();
                }
                self.drain(id)
            }
            Event::Deliver(message) => self.deliver(message),
            Event::Persisted { id, life, number } => self.persisted(id, life, number),
            Event::Applied { id, life } => self.applied(id, life),
            Event::Restart(id) => {
                if self.member(id).node.is_none() {
                    self.start(id)?;
                }
                Ok(())
            }
            Event::Heal => {
                self.cut.clear();
                Ok(())
            }
            Event::SnapshotLost { from, to } => {
                if let Some(node) = &mut self.member(from).node {
                    node.report_snapshot(NodeId(to), false);
                    return self.drain(from);
                }
                Ok(())
            }
            Event::Client => faults::client(self),
            Event::Fault => faults::strike(self),
        }
    }

    fn awake(&mut self, id: u64) -> bool {
        let now = self.now;
        self.member(id).paused_until <= now
    }

    fn deliver(&mut self, message: Message) -> Check {
        let id = message.to.0;
        let until = self.member(id).paused_until;
        if until > self.now {
            // A node that stands still finds its messages when it goes on.
            self.schedule(until - self.now, Event::Deliver(message));
            return Ok(());
        }
        self.invariants.leadership.heard(&message);
        self.invariants.lease_promise.heard(&message);
        let Some(node) = &mut self.member(id).node else { return Ok(()) };
        let delivery = Delivery::of(node, &message);
        match node.step(message) {
            Ok(()) => delivery.check(node)?,
            Err(StepError::Violation { theirs }) => {
                return Err(format!(
                    "node {id} was sent {theirs}, which contradicts what it committed"
                ));
            }
            Err(error @ StepError::Forgotten { .. }) => return Err(format!("node {id}: {error}")),
            Err(_) => {}
        }
        self.drain(id)
    }

    /// Does what a node has ready.
    pub(crate) fn drain(&mut self, id: u64) -> Check {
        loop {
            self.check(id)?;
            let member = self.member(id);
            let Some(node) = &mut member.node else { return Ok(()) };
            if !node.has_ready() {
                return Ok(());
            }
            node.ready_into(&mut member.ready);
            if let Some(error) = member.ready.storage_error {
                return Err(format!("node {id} cannot read its log: {error}"));
            }
            self.check_writes(id)?;
            self.member(id).write();
            for message in std::mem::take(&mut self.member(id).ready.messages) {
                self.send(message)?;
            }
            for outcome in std::mem::take(&mut self.member(id).ready.reads) {
                self.invariants.reads.check(&outcome)?;
            }
            match self.options.config.async_writes {
                true => self.begin_work(id),
                false => self.finish_work(id)?,
            }
        }
    }

    fn check(&mut self, id: u64) -> Check {
        let member = &self.members[id as usize - 1];
        self.invariants.after_step(member, &self.members, &self.options)
    }

    fn check_writes(&mut self, id: u64) -> Check {
        let member = &self.members[id as usize - 1];
        let entries: Vec<&Entry> = member.ready.entries().collect();
        for (place, entry) in entries.iter().enumerate() {
            let before = place.checked_sub(1).map(|place| entries[place]);
            let before = before.filter(|before| before.index.next() == entry.index);
            self.invariants.on_write(before, entry)?;
        }
        Ok(())
    }

    /// Hands writing and applying to threads that take their time.
    fn begin_work(&mut self, id: u64) {
        let (write_delay, apply_delay) = (self.options.write_delay, self.options.apply_delay);
        let write_delay = self.delay(write_delay);
        let apply_delay = self.delay(apply_delay);
        let member = self.member(id);
        let (number, life) = (member.ready.number, member.life);
        let promises = std::mem::take(&mut member.ready.promises);
        let applies = !member.ready.committed.is_empty();
        if applies {
            let committed = std::mem::take(&mut member.ready.committed);
            member.applying.push_back(committed);
        }
        member.writing.push_back((number, promises));
        self.schedule(write_delay, Event::Persisted { id, life, number });
        if applies {
            self.schedule(apply_delay, Event::Applied { id, life });
        }
    }

    /// Does all work of a portion at once.
    fn finish_work(&mut self, id: u64) -> Check {
        let member = self.member(id);
        let number = member.ready.number;
        let promises = std::mem::take(&mut member.ready.promises);
        let committed = std::mem::take(&mut member.ready.committed);
        member.disk.sync(number);
        self.keep_promises(id, promises)?;
        if let Some(node) = &mut self.member(id).node {
            node.persisted(number);
        }
        self.apply(id, committed)
    }

    fn persisted(&mut self, id: u64, life: u32, number: u64) -> Check {
        let member = self.member(id);
        let done = member.life == life && member.writing.iter().any(|(n, _)| *n == number);
        let Some(node) = member.node.as_mut().filter(|_| done) else { return Ok(()) };
        member.disk.sync(number);
        node.persisted(number);
        while let Some((first, promises)) = self.member(id).writing.pop_front() {
            self.keep_promises(id, promises)?;
            if first == number {
                break;
            }
        }
        self.drain(id)
    }

    fn keep_promises(&mut self, id: u64, promises: Vec<Message>) -> Check {
        for message in promises.into_iter().filter(|message| message.to.0 != id) {
            self.send(message)?;
        }
        Ok(())
    }

    fn applied(&mut self, id: u64, life: u32) -> Check {
        let member = self.member(id);
        if member.life != life || member.node.is_none() {
            return Ok(());
        }
        if let Some(committed) = member.applying.pop_front() {
            self.apply(id, committed)?;
        }
        self.drain(id)
    }

    /// Applies committed entries to the state machine, which is durable at once.
    fn apply(&mut self, id: u64, committed: Vec<tinykv_raft::Entries>) -> Check {
        for entry in committed.iter().flatten() {
            let member = self.member(id);
            let Some(node) = &mut member.node else { return Ok(()) };
            let machine = &mut member.disk.machine;
            if entry.index != machine.applied.next() {
                // A snapshot may have gone ahead of what was being applied.
                if entry.index <= machine.applied && member.disk.durable.first_index() > entry.index
                {
                    continue;
                }
                let applied = machine.applied;
                return Err(format!("node {id} applied {} after {applied}", entry.index));
            }
            machine.applied = entry.index;
            machine.hash = entry_hash(machine.hash, entry);
            if let Payload::Change(change) = &entry.payload {
                // The leader that took it has seen that it is possible, and nothing came between.
                machine.membership = node
                    .apply_change(change)
                    .map_err(|error| format!("membership: {}: {error}", entry.index))?;
            }
            self.invariants.reads.applied(entry.index);
            self.invariants.on_apply(&self.members[id as usize - 1], entry)?;
        }
        let last = committed.last().map_or(Index(0), |entries| entries.last_id().index);
        if let Some(node) = &mut self.member(id).node
            && last > node.applied_index()
        {
            node.applied(last);
        }
        Ok(())
    }

    fn send(&mut self, message: Message) -> Check {
        let sender = &self.members[message.from.0 as usize - 1];
        self.invariants.on_send(sender, &self.members, &message, &self.options)?;
        let (from, to) = (message.from.0, message.to.0);
        let lost = self.cut.contains(&(from, to)) || self.chance(self.options.loss);
        if lost {
            if matches!(message.body, Body::Snapshot(_)) {
                self.schedule(100, Event::SnapshotLost { from, to });
            }
            return Ok(());
        }
        if self.chance(self.options.duplication) {
            let delay = self.delay(self.options.message_delay) * 4;
            self.schedule(delay, Event::Deliver(message.clone()));
        }
        let delay = self.delay(self.options.message_delay);
        self.schedule(delay, Event::Deliver(message));
        Ok(())
    }

    /// Draws a delay; in peace all is fast.
    fn delay(&mut self, longest: u64) -> u64 {
        let longest = if self.healed { longest.min(5) } else { longest };
        self.rng.random_range(1..=longest)
    }

    /// Returns true in so many of 1000 cases, but never after faults have ended.
    fn chance(&mut self, of_1000: u32) -> bool {
        !self.healed && self.rng.random_range(0..1000) < of_1000
    }

    pub(crate) fn crash(&mut self, id: u64) {
        let mut rng = SmallRng::seed_from_u64(self.rng.random());
        self.member(id).crash(&mut rng);
        self.invariants.after_crash(id);
    }
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Scheduled) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Scheduled) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Scheduled) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}
