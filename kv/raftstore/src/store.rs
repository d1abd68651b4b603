//! All regions of a store: [`Store`].

mod admin;
mod compact;
mod deliver;
mod feedback;
mod gone;
mod output;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;

use bytes::Bytes;
use mark::mark;
use mutant::mutant;
use proto::peer::{Epoch, LeaderHint, PeerMessage, Region, RegionError, RegionId, StoreId};
use raft::{Index, NodeId};
use rand::rngs::SmallRng;
use wal::{LogBatch, WalReader};

pub use admin::PeerChange;

use crate::applier::Task;
use crate::config::Config;
use crate::entry::LogEntry;
use crate::format::LocalState;
use crate::peer::Peer;
use crate::proposals::{Failed, Gathered, Tag};
use crate::reads::Waiting;
use crate::ready::{Alarm, Answer, Ready};
use crate::snapshot::Ticked;
use crate::status::{Metrics, RegionStatus};

/// A command for a region.
#[derive(Clone, Debug)]
pub struct Command {
    /// The caller's name for it, not used for any other command that is not answered.
    pub tag: u64,
    /// The region.
    pub region: RegionId,
    /// The region's epoch as the caller knows it.
    pub epoch: Epoch,
    /// The keys that it touches.
    pub keys: KeySpan,
    /// What the state machine gets.
    pub command: Bytes,
    /// When it is carried out, in the state machine's unit; later commands are not earlier.
    pub time: u64,
    /// After how many ticks it is given up. At least 1.
    pub deadline_ticks: u32,
}

/// The keys that a command touches lie between these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySpan {
    /// The smallest key.
    pub first: Bytes,
    /// The largest one, or what comes after it, or no bound.
    pub last: Bound<Bytes>,
}

impl KeySpan {
    /// One key.
    #[must_use]
    pub fn of(key: Bytes) -> KeySpan {
        KeySpan { first: key.clone(), last: Bound::Included(key) }
    }

    /// No key at all, which every region has.
    #[must_use]
    pub fn none_in(region: &Region) -> KeySpan {
        KeySpan { first: region.start.clone(), last: Bound::Excluded(region.start.clone()) }
    }

    /// A key that is not in the region, if there is one.
    #[must_use]
    pub fn outside(&self, region: &Region) -> Option<Bytes> {
        if self.first < region.start {
            return Some(self.first.clone());
        }
        let last = match &self.last {
            Bound::Included(last) => (!region.contains(last)).then(|| last.clone()),
            Bound::Excluded(end) => {
                (!region.covers(&self.first, Some(end))).then(|| region.end.clone())
            }
            Bound::Unbounded => (!region.end.is_empty()).then(|| region.end.clone()),
        };
        let first = (!region.end.is_empty() && self.first > region.end).then(|| self.first.clone());
        first.or(last)
    }
}

/// All regions of a store. See the crate's page for how it is driven.
#[derive(Debug)]
pub struct Store<R> {
    pub(crate) config: Config,
    pub(crate) reader: WalReader<LogEntry>,
    pub(crate) rng: SmallRng,
    /// Ticks since it was opened.
    tick: u64,
    pub(crate) peers: BTreeMap<RegionId, Box<Peer>>,
    /// The regions that have data here, by their first key.
    pub(crate) ranges: BTreeMap<Bytes, RegionId>,
    pub(crate) tombstones: BTreeMap<RegionId, LocalState>,
    /// Removed regions whose data the applier is removing.
    pub(crate) destroying: BTreeSet<RegionId>,
    pub(crate) addresses: BTreeMap<StoreId, String>,
    /// Why writes are refused, if they are.
    refuse_writes: Option<String>,

    /// Regions that may have output.
    pub(crate) dirty: BTreeSet<RegionId>,
    /// The output that gathers.
    pub(crate) out: Ready<R>,
    /// The batch that gathers, after those in `out`.
    pub(crate) batch: LogBatch<LogEntry>,
    /// What becomes durable with the batch that gathers.
    portions: Vec<Portion>,
    /// What may be sent then.
    promises: Vec<PeerMessage>,
    /// What the applier may do then.
    pub(crate) after_write: Vec<Task>,
    /// Batches that were given out, oldest first.
    writes: VecDeque<Write>,
    /// The number of the last batch.
    number: u64,
    /// Raft's output, for reuse.
    scratch: raft::Ready,
    next_token: u64,
    /// The applier was told to flush.
    is_flushing: bool,
    metrics: Metrics,
}

/// A portion of a raft group's output that becomes durable.
#[derive(Debug)]
struct Portion {
    region: RegionId,
    number: u64,
    /// The log now begins after this entry: a snapshot was put in its place.
    restored: Option<raft::EntryId>,
}

/// Batches that are being written.
#[derive(Debug)]
struct Write {
    number: u64,
    portions: Vec<Portion>,
    promises: Vec<PeerMessage>,
    tasks: Vec<Task>,
}

impl<R> Store<R> {
    pub(crate) fn new(config: Config, reader: WalReader<LogEntry>, rng: SmallRng) -> Store<R> {
        Store {
            config,
            reader,
            rng,
            tick: 0,
            peers: BTreeMap::new(),
            ranges: BTreeMap::new(),
            tombstones: BTreeMap::new(),
            destroying: BTreeSet::new(),
            addresses: BTreeMap::new(),
            refuse_writes: None,
            dirty: BTreeSet::new(),
            out: Ready::default(),
            batch: LogBatch::new(),
            portions: Vec::new(),
            promises: Vec::new(),
            after_write: Vec::new(),
            writes: VecDeque::new(),
            number: 0,
            scratch: raft::Ready::default(),
            next_token: 0,
            is_flushing: false,
            metrics: Metrics::default(),
        }
    }

    // Inputs.

    /// Lets one unit of time pass.
    pub fn tick(&mut self) {
        self.tick += 1;
        let (now, config) = (self.tick, self.config.clone());
        let (mut failed, mut changes) = (Vec::new(), Vec::new());
        let (mut resend, mut stale) = (Vec::new(), Vec::new());
        for (id, peer) in &mut self.peers {
            peer.node.tick();
            if peer.is_stale(config.stale_ticks) {
                stale.push(*id);
            }
            peer.proposals.expire(now, &mut failed);
            peer.reads.expire(now, &mut failed);
            if let Some((_, tag)) = peer.change.take_if(|(_, tag)| tag.deadline <= now) {
                changes.push(tag.tag);
            }
            tick_snapshots(*id, peer, &config, &mut resend, &mut self.metrics, &mut self.out);
            if peer.node.has_ready() {
                self.dirty.insert(*id);
            }
        }
        self.fail(failed);
        for tag in changes {
            let reason = "it was not confirmed within its time".to_owned();
            let result = Err(RegionError::Undetermined { reason });
            self.out.changes.push(Answer { tag, result });
        }
        self.out.messages.extend(resend);
        stale.into_iter().for_each(|region| self.ask_whether_member(region));
        if now.is_multiple_of(u64::from(config.compact_ticks)) {
            self.plan_compaction();
        }
    }

    /// Takes a command. Its answer comes in [`Ready::answers`], whatever happens to it.
    pub fn propose(&mut self, command: Command) {
        let Command { tag, region, epoch, keys, command, time, deadline_ticks } = command;
        let bytes = command.len();
        let deadline = self.tick + u64::from(deadline_ticks) + 1;
        match self.check_proposal(region, epoch, &keys, bytes) {
            Err(error) => self.fail(vec![(tag, error)]),
            Ok(peer) => {
                let tag = Tag { tag, deadline };
                peer.proposals.gather(Gathered { tag, epoch, time, command });
                self.metrics.commands += 1;
                self.dirty.insert(region);
            }
        }
    }

    /// Asks for a linearizable read. Its tag comes in [`Ready::reads`] when the engine may be read,
    /// or as an answer if it may not.
    pub fn read(
        &mut self,
        tag: u64,
        region: RegionId,
        epoch: Epoch,
        keys: &KeySpan,
        deadline_ticks: u32,
    ) {
        let (now, limit) = (self.tick, self.config.reads_max);
        let checked = self.check(region, epoch, keys);
        let gathered = checked.and_then(|peer| {
            if peer.reads.len() >= limit {
                return Err(RegionError::ServerIsBusy { reason: "too many reads wait".to_owned() });
            }
            let tag = Tag { tag, deadline: now + u64::from(deadline_ticks) + 1 };
            peer.reads.gather(Waiting { tag, epoch });
            Ok(())
        });
        match gathered {
            Ok(()) => {
                self.dirty.insert(region);
            }
            Err(error) => self.fail(vec![(tag, error)]),
        }
    }

    /// Tells where a store takes clients, for the hints to leaders. Stores that are told of here are
    /// also those that a peer asks when it does not know whether it is still a member.
    pub fn set_address(&mut self, store: StoreId, address: String) {
        self.addresses.insert(store, address);
    }

    /// Refuses commands from now on, such as while the disk is full; none: takes them again.
    pub fn refuse_writes(&mut self, reason: Option<String>) {
        self.refuse_writes = reason;
    }

    /// Reports that messages to a store are being lost.
    pub fn report_unreachable(&mut self, store: StoreId) {
        for peer in self.peers.values_mut() {
            if let Some(other) = peer.region.peer_on(store) {
                peer.node.report_unreachable(other.id);
            }
        }
    }

    // Views.

    /// This store.
    #[must_use]
    pub fn id(&self) -> StoreId {
        self.config.store
    }

    /// The largest command that is replicated, in bytes.
    #[must_use]
    pub fn entry_bytes_max(&self) -> usize {
        self.config.entry_bytes_max
    }

    /// The region that a key belongs to, if it is on this store.
    #[must_use]
    pub fn region_of(&self, key: &[u8]) -> Option<&Region> {
        let (_, id) =
            self.ranges.range::<[u8], _>((Bound::Unbounded, Bound::Included(key))).next_back()?;
        self.region(*id).filter(|region| region.contains(key))
    }

    /// A region on this store.
    #[must_use]
    pub fn region(&self, id: RegionId) -> Option<&Region> {
        self.peers.get(&id).map(|peer| &peer.region)
    }

    /// Whether this store leads a region, as far as it knows.
    #[must_use]
    pub fn is_leader(&self, region: RegionId) -> bool {
        self.peers.get(&region).is_some_and(|peer| peer.node.is_leader())
    }

    /// The peer that leads a region, as far as this store knows.
    #[must_use]
    pub fn leading_peer(&self, region: RegionId) -> Option<proto::peer::Peer> {
        let peer = self.peers.get(&region)?;
        peer.find(peer.node.leader()?)
    }

    /// Who leads a region, and where its clients reach it, as far as this store knows.
    #[must_use]
    pub fn leader(&self, region: RegionId) -> Option<LeaderHint> {
        let leader = self.leading_peer(region)?;
        Some(LeaderHint { peer: leader, address: self.addresses.get(&leader.store).cloned() })
    }

    /// Up to where a region can be read here; 0 if it is not here, or if a snapshot is being put in
    /// the place of its data.
    #[must_use]
    pub fn readable_index(&self, region: RegionId) -> raft::Index {
        let peer = self.peers.get(&region).filter(|peer| peer.installing.is_none());
        peer.map_or(raft::Index(0), |peer| peer.applied.index)
    }

    /// What is known of a region.
    #[must_use]
    pub fn status(&self, region: RegionId) -> Option<RegionStatus> {
        let peer = self.peers.get(&region)?;
        Some(RegionStatus {
            region: peer.region.clone(),
            peer: peer.me,
            role: peer.node.role(),
            leader: peer.node.leader().and_then(|id| peer.find(id)),
            term: peer.node.term(),
            committed: peer.node.committed(),
            applied: peer.applied,
            truncated: peer.node.storage().truncated,
            last: peer.node.last(),
            damaged: peer.node.storage().damaged().to_vec(),
            proposals: peer.proposals.len(),
            reads: peer.reads.len(),
        })
    }

    /// Up to where the log of each peer of a region is known to be the leader's; empty where this
    /// store does not lead it.
    #[must_use]
    pub fn matched(&self, region: RegionId) -> Vec<(NodeId, Index)> {
        let progress = self.peers.get(&region).map(|peer| peer.node.status().progress);
        progress.unwrap_or_default().iter().map(|it| (it.id, it.matched)).collect()
    }

    /// All regions on this store, by id.
    pub fn regions(&self) -> impl Iterator<Item = RegionId> + '_ {
        self.peers.keys().copied()
    }

    /// Counters and sizes.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        let leaders = self.peers.values().filter(|peer| peer.node.is_leader()).count();
        Metrics { regions: self.peers.len() as u64, leaders: leaders as u64, ..self.metrics }
    }

    /// Checks the invariants that hold after every input.
    ///
    /// # Panics
    /// If one does not hold, which is a bug of this crate.
    pub fn assert_invariants(&self) {
        for (id, peer) in &self.peers {
            peer.node.assert_invariants();
            let truncated = peer.node.storage().truncated.index;
            assert!(truncated <= peer.applied.index, "region {id}: cut off beyond what is applied");
            assert!(peer.applied.index <= peer.node.committed(), "region {id}: applied too much");
        }
    }

    // Checks.

    /// Checks a request, and finds the peer that it is for.
    fn check(
        &mut self,
        region: RegionId,
        epoch: Epoch,
        keys: &KeySpan,
    ) -> Result<&mut Peer, RegionError> {
        let not_found = RegionError::RegionNotFound { region };
        let peer = self.peers.get_mut(&region).ok_or(not_found)?;
        if !peer.node.is_leader() && !mutant!("stale-leader-reads") {
            return Err(peer.not_leader());
        }
        peer.check_epoch(epoch)?;
        match keys.outside(&peer.region) {
            Some(key) if !mutant!("key-range-unchecked") => {
                mark!("a key of another region is refused");
                Err(RegionError::KeyNotInRegion { key, region: Box::new(peer.region.clone()) })
            }
            _ => Ok(peer),
        }
    }

    fn check_proposal(
        &mut self,
        region: RegionId,
        epoch: Epoch,
        keys: &KeySpan,
        bytes: usize,
    ) -> Result<&mut Peer, RegionError> {
        let limit = self.config.entry_bytes_max;
        if bytes > limit {
            let (bytes, limit) = (bytes as u64, limit as u64);
            return Err(RegionError::RaftEntryTooLarge { bytes, limit });
        }
        let refused = self.refuse_writes.clone();
        let proposals_max = self.config.proposals_max;
        let peer = self.check(region, epoch, keys)?;
        if let Some(reason) = refused {
            return Err(RegionError::ServerIsBusy { reason });
        }
        if peer.proposals.len() >= proposals_max {
            return Err(RegionError::ServerIsBusy { reason: "too many commands wait".to_owned() });
        }
        Ok(peer)
    }

    /// Answers that failed.
    fn fail(&mut self, failed: Vec<Failed>) {
        for (tag, mut error) in failed {
            self.metrics.failed += 1;
            if let RegionError::NotLeader { leader: Some(hint), .. } = &mut error {
                hint.address = self.addresses.get(&hint.peer.store).cloned();
            }
            self.out.answers.push(Answer { tag, result: Err(error) });
        }
    }

    /// Notes what a region is now.
    pub(crate) fn set_region(&mut self, region: Region) {
        let id = region.id;
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if peer.is_initialised() {
            self.ranges.remove(&peer.region.start);
        }
        peer.region = region;
        if peer.is_initialised() {
            self.ranges.insert(peer.region.start.clone(), id);
        }
    }

    fn alarm(&mut self, region: RegionId, message: impl Into<String>) {
        self.out.alarms.push(Alarm { region, message: message.into(), must_stop: false });
    }
}

/// Lets time pass for the snapshots of a region.
fn tick_snapshots<R>(
    region: RegionId,
    peer: &mut Peer,
    config: &Config,
    resend: &mut Vec<PeerMessage>,
    metrics: &mut Metrics,
    out: &mut Ready<R>,
) {
    let give_up = config.snapshot_ticks;
    if let Some((_, idle)) = &mut peer.source {
        *idle = if peer.outgoing.is_empty() { *idle + 1 } else { 0 };
        if *idle > give_up {
            // It holds old data in the engine.
            mark!("a view that nobody wants is dropped");
            peer.drop_source();
        }
    }
    let mut given_up = Vec::new();
    let (me, epoch) = (peer.me, peer.region.epoch);
    for (to, outgoing) in &mut peer.outgoing {
        match outgoing.tick(config.resend_ticks, give_up) {
            Ticked::Wait => {}
            Ticked::GiveUp => given_up.push(*to),
            Ticked::Resend(chunks) => {
                mark!("chunks are sent again");
                let to = peer.region.peer(*to).or_else(|| peer.strangers.get(to).copied());
                resend.extend(to.into_iter().flat_map(|to| {
                    chunks.iter().cloned().map(move |chunk| PeerMessage {
                        region,
                        from: me,
                        to,
                        epoch,
                        body: proto::peer::PeerBody::Chunk(chunk),
                    })
                }));
            }
        }
    }
    for to in given_up {
        mark!("a snapshot is given up by its sender");
        metrics.snapshots_given_up += 1;
        peer.outgoing.remove(&to);
        peer.node.report_snapshot(to, false);
    }
    if let Some(incoming) = &mut peer.incoming {
        incoming.silent_ticks += 1;
        if incoming.silent_ticks > give_up {
            mark!("a snapshot is given up by its receiver");
            let snapshot = incoming.snapshot;
            peer.incoming = None;
            out.tasks.push(Task::Unstage { region, snapshot });
        }
    }
}
