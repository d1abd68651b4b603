//! Where requests go: each to the leader of its region, here or elsewhere.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use mutant::mutant;
use node::{Place, Request, Response, Spot, decode_chunk, encode_chunk};
use proto::peer::{Epoch, RegionError, RegionId, StoreId};
use raftstore::KeySpan;
use tokio::sync::mpsc;

use super::{Pending, RaftThread};
use crate::cluster::forward::{Question, Reply, Verdict, decode_reply, encode_question};
use crate::cluster::inbox::Event;
use crate::cluster::readers::Lots;
use crate::cluster::request::{
    AskedReads, AskedWrites, Barrier, BarrierTo, Gathered, Joint, Write, WriteTo, left,
};
use crate::peer::{AskError, Replier};
use crate::store::{Admitted, Back, Outcome, Permit, Reader, StoreError};

/// Barriers by their region.
pub(in crate::cluster) type Barriers = BTreeMap<RegionId, Vec<Barrier>>;

/// The most bytes of writes that are forwarded as one, in bytes: well below a frame, and one may go
/// beyond.
const FORWARD_BYTES_MAX: usize = 16 << 20;

/// What goes to another store.
#[derive(Default)]
struct Parcel {
    /// Writes with their regions.
    writes: Vec<(RegionId, Write)>,
    barriers: Barriers,
}

/// Requests that wait for a leader of their region.
#[derive(Default)]
pub(super) struct Parked {
    pub(super) writes: Vec<Write>,
    pub(super) barriers: Vec<Barrier>,
}

impl RaftThread {
    /// Sends requests where they can be carried out.
    pub(super) fn route(&mut self) {
        if self.writes.is_empty() && self.barriers.is_empty() {
            return;
        }
        self.answer_late();
        let mut parcels: BTreeMap<StoreId, Parcel> = BTreeMap::new();
        let mut writes: VecDeque<Write> = std::mem::take(&mut self.writes).into();
        while let Some(write) = writes.pop_front() {
            match self.parts.node.place(&write.chunk) {
                Ok(Place::One(spot)) => self.route_write(write, spot, &mut parcels),
                Ok(Place::Several(split)) => {
                    let number = self.next_number();
                    let (joint, parts) = Joint::new(write, split, number);
                    let gathered = Gathered::new(joint, parts.len());
                    match parts.is_empty() {
                        // All its commands were refused.
                        true => self.joined(gathered),
                        false => drop(self.joints.insert(number, gathered)),
                    }
                    parts.into_iter().rev().for_each(|part| writes.push_front(part));
                }
                // A store that joins may get the region yet.
                Err(_) => {
                    if let Some(write) = self.turn_away(write, None) {
                        self.park(RegionId::default(), write);
                    }
                }
            }
        }
        for (region, barriers) in std::mem::take(&mut self.barriers) {
            self.route_barriers(region, barriers, &mut parcels);
        }
        for (store, parcel) in parcels {
            self.forward_writes(store, parcel.writes);
            self.forward_barriers(store, parcel.barriers);
        }
    }

    /// Answers the requests whose time is over, or that come after a failure.
    fn answer_late(&mut self) {
        let (now, failed) = (Instant::now(), self.failure.is_some());
        let error = || if failed { StoreError::Stopped } else { StoreError::NoLeader };
        let late = |it: &mut Write| failed || it.deadline <= now;
        let writes: Vec<Write> = self.writes.extract_if(.., late).collect();
        writes.into_iter().for_each(|it| self.finish(it, Err(error())));
        let late = |it: &mut Barrier| failed || it.is_late(now);
        let barriers: Vec<Barrier> =
            self.barriers.values_mut().flat_map(|it| it.extract_if(.., late)).collect();
        barriers.into_iter().for_each(|it| self.finish_barrier(it, Err(error())));
    }

    fn leader_of(&self, region: RegionId) -> Option<StoreId> {
        self.parts.node.store.leading_peer(region).map(|peer| peer.store)
    }

    fn route_write(&mut self, write: Write, spot: Spot, parcels: &mut BTreeMap<StoreId, Parcel>) {
        let (region, leader) = (spot.region, self.leader_of(spot.region));
        if leader == Some(self.parts.node.store.id()) {
            if let Some(write) = self.with_room(write, region) {
                self.propose(write, spot);
            }
            return;
        }
        let Some(write) = self.turn_away(write, leader) else { return };
        match leader {
            Some(store) => parcels.entry(store).or_default().writes.push((region, write)),
            None => self.parked.entry(region).or_default().writes.push(write),
        }
    }

    fn route_barriers(
        &mut self,
        region: RegionId,
        barriers: Vec<Barrier>,
        parcels: &mut BTreeMap<StoreId, Parcel>,
    ) {
        let leader = self.leader_of(region);
        if leader == Some(self.parts.node.store.id()) {
            return self.read(region, barriers);
        }
        let (remote, barriers): (Vec<_>, Vec<_>) =
            barriers.into_iter().partition(Barrier::is_remote);
        remote.into_iter().for_each(|it| self.finish_barrier(it, Err(StoreError::NoLeader)));
        if barriers.is_empty() {
            return;
        }
        match leader {
            Some(store) => {
                drop(parcels.entry(store).or_default().barriers.insert(region, barriers))
            }
            None => self.parked.entry(region).or_default().barriers.extend(barriers),
        }
    }

    /// Gives a write back that may be forwarded; answers one that another store has forwarded here,
    /// or whose client can go to the leader itself.
    fn turn_away(&mut self, write: Write, leader: Option<StoreId>) -> Option<Write> {
        if matches!(write.to, WriteTo::Ask { .. }) {
            self.finish(write, Err(StoreError::NoLeader));
            return None;
        }
        // A client takes the leader for that of all keys, so it is told only where that holds.
        let is_only = self.parts.node.store.regions().nth(1).is_none();
        let address = leader.and_then(|store| self.parts.peers.native_of(store.0));
        match address {
            Some(address) if write.may_redirect && is_only => {
                self.finish(write, Err(StoreError::NotLeader { address }));
                None
            }
            _ => Some(write),
        }
    }

    /// Has what waits for a leader of a region tried again.
    pub(super) fn unpark(&mut self, region: RegionId) {
        if let Some(parked) = self.parked.remove(&region) {
            self.writes.extend(parked.writes);
            self.barriers.entry(region).or_default().extend(parked.barriers);
        }
    }

    pub(super) fn next_number(&mut self) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        number
    }

    /// How many ticks are left until a deadline, at least 1.
    fn ticks_left(&self, deadline: Instant) -> u32 {
        let ticks = left(deadline).as_nanos() / self.parts.tick.as_nanos();
        u32::try_from(ticks).unwrap_or(u32::MAX / 2).max(1)
    }

    /// Proposes a write.
    fn propose(&mut self, write: Write, spot: Spot) {
        let deadline_ticks = self.ticks_left(write.deadline);
        let (tag, region) = (self.next_number(), spot.region);
        let request = Request { tag, region: None, now: self.clock.now(), deadline_ticks };
        self.parts.node.propose_at(&request, spot, &write.chunk);
        self.pending.insert(tag, Pending::Write(region, write));
    }

    /// Asks the raft store whether readers of a region may read.
    fn read(&mut self, region: RegionId, mut barriers: Vec<Barrier>) {
        let store = &mut self.parts.node.store;
        let Some((current, keys)) = store.region(region).map(|it| (it.epoch, KeySpan::none_in(it)))
        else {
            return barriers
                .into_iter()
                .for_each(|it| self.finish_barrier(it, Err(StoreError::NoLeader)));
        };
        // The range of the region is another one than when these readers came to it.
        let moved = |it: &mut Barrier| it.epoch.version != current.version;
        let moved: Vec<Barrier> = barriers.extract_if(.., moved).collect();
        for barrier in moved {
            let reason = "the region has changed, try again".to_owned();
            self.finish_barrier(barrier, Err(StoreError::Busy(reason)));
        }
        let Some(deadline) = barriers.iter().map(|it| it.deadline).max() else { return };
        let (deadline_ticks, tag) = (self.ticks_left(deadline), self.next_number());
        self.pending.insert(tag, Pending::Barriers(region, barriers));
        self.parts.node.store.read(tag, region, current, &keys, deadline_ticks);
    }

    /// Takes readers of this store.
    pub(super) fn admit(
        &mut self,
        readers: Vec<Reader>,
        deadline: Instant,
        back: &mpsc::UnboundedSender<Back>,
    ) {
        let mut lots = Lots::default();
        readers.into_iter().for_each(|reader| lots.add(reader, &self.parts.node.store));
        for (region, (epoch, readers)) in lots.at {
            let to = BarrierTo::Worker { readers, back: back.clone() };
            self.barriers.entry(region).or_default().push(Barrier { deadline, epoch, to });
        }
        if lots.nowhere.is_empty() {
            return;
        }
        if deadline > Instant::now() && self.failure.is_none() {
            // A store that joins may get the region yet.
            return self.nowhere.push((lots.nowhere, deadline, back.clone()));
        }
        let admitted = |it: Reader| Admitted { waiter: it.waiter, border: None };
        let readers = lots.nowhere.into_iter().map(admitted).collect();
        // An error means that the worker has gone, and its clients with it.
        let _ = back.send(Back::Readable(readers, Err(StoreError::NoLeader)));
    }

    /// Sends writes to the leader of their regions. One that the leader would refuse for its size
    /// stays here, since it would hold up what else goes there.
    fn forward_writes(&mut self, leader: StoreId, writes: Vec<(RegionId, Write)>) {
        let limit = self.parts.node.store.entry_bytes_max();
        let (mut lot, mut parts, mut lot_bytes) = (Vec::new(), Vec::new(), 0);
        for (region, write) in writes {
            let part = encode_chunk(&write.chunk);
            let bytes = part.len();
            if bytes > limit && !mutant!("too-large-forwarded") {
                let (bytes, limit) = (bytes as u64, limit as u64);
                let error = RegionError::RaftEntryTooLarge { bytes, limit };
                self.finish(write, Err(StoreError::Refused(error.to_string())));
                continue;
            }
            if lot_bytes + bytes > FORWARD_BYTES_MAX && !lot.is_empty() {
                let (lot, parts) = (std::mem::take(&mut lot), std::mem::take(&mut parts));
                self.ask_for_writes(leader, lot, parts);
                lot_bytes = 0;
            }
            lot_bytes += bytes;
            lot.push((region, write));
            parts.push(part);
        }
        self.ask_for_writes(leader, lot, parts);
    }

    /// Asks the leader of some regions to carry writes out, which are `parts` as bytes.
    fn ask_for_writes(
        &mut self,
        leader: StoreId,
        writes: Vec<(RegionId, Write)>,
        parts: Vec<Bytes>,
    ) {
        let Some(deadline) = writes.iter().map(|(_, it)| it.deadline).max() else { return };
        let body = encode_question(&Question::Writes(parts));
        self.parts.metrics.forwarded_writes.inc_by(writes.len() as u64);
        let inbox = Arc::clone(&self.parts.inbox);
        let done = Box::new(move |result| inbox.push(Event::Forwarded { writes, result }));
        self.parts.peers.ask(leader.0, body, left(deadline), done);
    }

    /// Asks the leader of regions from when on readers may read them here.
    fn forward_barriers(&mut self, leader: StoreId, barriers: Barriers) {
        let all = || barriers.values().flatten();
        let Some(deadline) = all().map(|it| it.deadline).max() else { return };
        let version = |barriers: &[Barrier]| barriers.first().map_or(0, |it| it.epoch.version);
        let regions = barriers.iter().map(|(region, it)| (*region, version(it))).collect();
        let body = encode_question(&Question::Readable(regions));
        self.parts.metrics.forwarded_reads.inc_by(all().count() as u64);
        let inbox = Arc::clone(&self.parts.inbox);
        let done = Box::new(move |result| inbox.push(Event::Confirmed { barriers, result }));
        self.parts.peers.ask(leader.0, body, left(deadline), done);
    }

    /// Takes what became of writes that were forwarded.
    pub(super) fn forwarded(
        &mut self,
        writes: Vec<(RegionId, Write)>,
        result: Result<Bytes, AskError>,
    ) {
        let reply = result.map(|body| decode_reply(&body));
        match reply {
            Ok(Some(Reply::Writes(verdicts))) if verdicts.len() == writes.len() => {
                for ((region, write), verdict) in writes.into_iter().zip(verdicts) {
                    match verdict {
                        Verdict::NotLeader => self.park(region, write),
                        verdict => self.finish(write, verdict.into()),
                    }
                }
            }
            Err(AskError::Unsent) => {
                writes.into_iter().for_each(|(region, write)| self.park(region, write));
            }
            Err(AskError::Busy) => {
                let reason = "too much waits for the leader, try again";
                self.finish_busy(writes, reason);
            }
            Ok(Some(Reply::Busy)) => {
                let reason = "too many writes of other stores wait at the leader, try again";
                self.finish_busy(writes, reason);
            }
            _ => {
                for (_, write) in writes {
                    let reason = "the leader did not answer".to_owned();
                    let outcome = match mutant!("lost-forwards-answered") {
                        true => Ok(write.chunk.commands.iter().map(|_| Response::Done).collect()),
                        false => Err(StoreError::Undetermined(reason)),
                    };
                    self.finish(write, outcome);
                }
            }
        }
    }

    fn finish_busy(&mut self, writes: Vec<(RegionId, Write)>, reason: &str) {
        for (_, write) in writes {
            self.finish(write, Err(StoreError::Busy(reason.to_owned())));
        }
    }

    pub(super) fn park(&mut self, region: RegionId, write: Write) {
        self.parked.entry(region).or_default().writes.push(write);
    }

    /// Takes what the leader says to readers.
    pub(super) fn confirmed(&mut self, barriers: Barriers, result: Result<Bytes, AskError>) {
        let indexes = match result.ok().and_then(|body| decode_reply(&body)) {
            Some(Reply::Readable(indexes)) if indexes.len() == barriers.len() => indexes,
            // A read may be asked again.
            _ => vec![None; barriers.len()],
        };
        for ((region, barriers), index) in barriers.into_iter().zip(indexes) {
            match index {
                Some(index) => self.waiting.entry(region).or_default().push((index, barriers)),
                None => self.parked.entry(region).or_default().barriers.extend(barriers),
            }
        }
        self.wake_readers();
    }

    /// Lets those read for whom enough is applied.
    pub(super) fn wake_readers(&mut self) {
        let mut awake = Vec::new();
        for (region, waiting) in &mut self.waiting {
            let applied = self.parts.node.store.readable_index(*region).0;
            let due = waiting.extract_if(.., |(index, _)| *index <= applied);
            awake.extend(due.flat_map(|(_, barriers)| barriers).map(|it| (it, applied)));
        }
        self.waiting.retain(|_, waiting| !waiting.is_empty());
        for (barrier, applied) in awake {
            self.finish_barrier(barrier, Ok(applied));
        }
    }

    /// Takes a question of another store.
    pub(super) fn asked(&mut self, timeout: Duration, question: Question, by: (Replier, Permit)) {
        let (deadline, ask) = (Instant::now() + timeout, self.next_number());
        match question {
            Question::Readable(regions) => {
                let asked = AskedReads::new(by, regions.len());
                if regions.is_empty() {
                    return asked.answer();
                }
                self.asked_reads.insert(ask, asked);
                for (place, (region, version)) in regions.into_iter().enumerate() {
                    let epoch = Epoch { version, ..Epoch::default() };
                    let to = BarrierTo::Ask { ask, place };
                    self.barriers.entry(region).or_default().push(Barrier { deadline, epoch, to });
                }
            }
            Question::Writes(parts) => {
                let asked = AskedWrites::new(by, parts.len());
                if parts.is_empty() {
                    return asked.answer();
                }
                self.asked_writes.insert(ask, asked);
                for (place, bytes) in parts.into_iter().enumerate() {
                    let to = WriteTo::Ask { ask, place };
                    let chunk = decode_chunk(&bytes);
                    let is_read = chunk.is_some();
                    let chunk = chunk.unwrap_or_default();
                    let write = Write { chunk, deadline, may_redirect: false, to };
                    match is_read {
                        true => self.writes.push(write),
                        false => {
                            let reason = "the leader cannot read it: update the older store";
                            self.finish(write, Err(StoreError::Refused(reason.to_owned())));
                        }
                    }
                }
            }
        }
    }

    /// Takes what the raft store says to a request.
    pub(super) fn answered(&mut self, tag: u64, result: Result<Vec<Response>, RegionError>) {
        match (self.pending.remove(&tag), result) {
            (None | Some(Pending::Change { .. }), _) => {}
            (Some(Pending::Write(_, write)), Ok(responses)) => self.finish(write, Ok(responses)),
            (Some(Pending::Write(region, write)), Err(error)) => match refusal(error) {
                None => self.park(region, write),
                Some(error) => self.finish(write, Err(error)),
            },
            (Some(Pending::Barriers(region, barriers)), Err(error)) => match refusal(error) {
                None => self.parked.entry(region).or_default().barriers.extend(barriers),
                Some(error) => self.finish_barriers(barriers, &error),
            },
            (Some(Pending::Barriers(_, barriers)), Ok(_)) => {
                self.finish_barriers(barriers, &StoreError::Lost);
            }
        }
    }

    /// Sends the outcome of a write back.
    pub(super) fn finish(&mut self, write: Write, outcome: Outcome) {
        self.finish_to(write.to, outcome);
    }

    fn finish_to(&mut self, to: WriteTo, outcome: Outcome) {
        match to {
            WriteTo::Worker { reply, back } => self.answers.push(back, reply, outcome),
            WriteTo::Ask { ask, place } => {
                let Some(asked) = self.asked_writes.get_mut(&ask) else { return };
                if asked.set(place, outcome.into())
                    && let Some(asked) = self.asked_writes.remove(&ask)
                {
                    asked.answer();
                }
            }
            WriteTo::Whole { joint, part } => {
                let Some(gathered) = self.joints.get_mut(&joint) else { return };
                if gathered.set(part, outcome)
                    && let Some(gathered) = self.joints.remove(&joint)
                {
                    self.joined(gathered);
                }
            }
        }
    }

    /// All parts of a write are done.
    fn joined(&mut self, gathered: Gathered<Joint, Outcome>) {
        let (joint, parts) = gathered.take(|| Err(StoreError::Lost));
        let outcome = joint.join(parts);
        self.finish_to(joint.to, outcome);
    }

    /// Lets readers read, or says why not. What they wait for is applied up to `result` here.
    pub(super) fn finish_barrier(&mut self, barrier: Barrier, result: Result<u64, StoreError>) {
        match barrier.to {
            BarrierTo::Worker { readers, back } => {
                // An error means that the worker has gone, and its clients with it.
                let _ = back.send(Back::Readable(readers, result.map(drop)));
            }
            BarrierTo::Ask { ask, place } => {
                let Some(asked) = self.asked_reads.get_mut(&ask) else { return };
                if asked.set(place, result.ok())
                    && let Some(asked) = self.asked_reads.remove(&ask)
                {
                    asked.answer();
                }
            }
        }
    }

    pub(super) fn finish_barriers(&mut self, barriers: Vec<Barrier>, error: &StoreError) {
        barriers.into_iter().for_each(|it| self.finish_barrier(it, Err(error.clone())));
    }
}

/// What a client is told; none: the request waits for a leader.
pub(super) fn refusal(error: RegionError) -> Option<StoreError> {
    let text = error.to_string();
    match error {
        RegionError::NotLeader { .. }
        | RegionError::StaleCommand
        | RegionError::RegionNotFound { .. }
        | RegionError::KeyNotInRegion { .. }
        | RegionError::EpochNotMatch { .. }
        | RegionError::StoreNotMatch { .. } => None,
        RegionError::ServerIsBusy { reason } => Some(StoreError::Busy(reason)),
        RegionError::RaftEntryTooLarge { .. } => Some(StoreError::Refused(text)),
        RegionError::DeadlineExceeded => Some(StoreError::NoLeader),
        RegionError::Undetermined { reason } => Some(StoreError::Undetermined(reason)),
    }
}
