//! One region's replica on this store: [`Peer`].

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use mark::mark;
use mutant::mutant;
use proto::peer::{self, Region, RegionError};
use raft::{
    Entries, Entry, EntryId, HardState, Index, Node, NodeId, ProgressState, ProposeError, Proposed,
    ReadError,
};

use crate::config::Config;
use crate::envelope::{COMMAND_OVERHEAD_BYTES, Envelope};
use crate::format::SnapshotMeta;
use crate::proposals::{Failed, Proposals, Tag};
use crate::reads::Reads;
use crate::snapshot::{Incoming, Outgoing, Source};
use crate::storage::PeerStorage;

/// About the most bytes of commands that share an entry. Larger entries would hold up others.
const GROUP_BYTES_MAX: usize = 256 << 10;

/// One region's replica on this store.
#[derive(Debug)]
pub(crate) struct Peer {
    /// As of the applied entry. Without peers: it waits for its first snapshot, and the epoch is that
    /// of the message by which it was made.
    pub(crate) region: Region,
    pub(crate) me: peer::Peer,
    pub(crate) node: Node<PeerStorage>,
    /// The last entry that the applier reported.
    pub(crate) applied: EntryId,
    /// Term, vote and commit as they were written last.
    pub(crate) written: HardState,
    pub(crate) proposals: Proposals,
    pub(crate) reads: Reads,
    /// A membership change that was proposed here.
    pub(crate) change: Option<(EntryId, Tag)>,
    /// Peers that were heard and are not in the region as it is known here.
    pub(crate) strangers: BTreeMap<NodeId, peer::Peer>,
    /// Whether the last output said that this peer leads.
    pub(crate) led: bool,
    /// Ticks since it led or heard a leader of its term.
    pub(crate) silent_ticks: u32,

    /// About the bytes of entries in the log.
    pub(crate) log_bytes: u64,
    /// The log is to be cut off up to here once the engine is flushed.
    pub(crate) compact: Option<Index>,
    /// The wal needs the space of this region's log.
    pub(crate) is_blocking: bool,

    /// A snapshot that others can be sent, and the ticks since it was of use.
    pub(crate) source: Option<(Arc<Source>, u32)>,
    /// A view for a snapshot was asked for.
    pub(crate) is_viewing: bool,
    pub(crate) outgoing: BTreeMap<NodeId, Outgoing>,
    pub(crate) incoming: Option<Incoming>,
    /// A snapshot whose chunks are all staged and which raft was given.
    pub(crate) staged: Option<SnapshotMeta>,
    pub(crate) installing: Option<Installing>,
    /// The last snapshot whose chunks all came.
    pub(crate) received: Option<u64>,
}

/// A portion of raft's output that waits until its snapshot is installed.
#[derive(Debug)]
pub(crate) struct Installing {
    pub(crate) last: EntryId,
    /// The portion's number.
    pub(crate) number: u64,
    pub(crate) hard_state: HardState,
    pub(crate) entries: Vec<Entries>,
    pub(crate) repaired: Vec<Entry>,
    pub(crate) promises: Vec<raft::Message>,
}

impl Peer {
    pub(crate) fn new(
        region: Region,
        me: peer::Peer,
        node: Node<PeerStorage>,
        applied: EntryId,
    ) -> Peer {
        Peer {
            region,
            me,
            written: node.hard_state(),
            node,
            applied,
            proposals: Proposals::default(),
            reads: Reads::default(),
            change: None,
            strangers: BTreeMap::new(),
            led: false,
            silent_ticks: 0,
            log_bytes: 0,
            compact: None,
            is_blocking: false,
            source: None,
            is_viewing: false,
            outgoing: BTreeMap::new(),
            incoming: None,
            staged: None,
            installing: None,
            received: None,
        }
    }

    /// Whether it has its first data.
    pub(crate) fn is_initialised(&self) -> bool {
        !self.region.peers.is_empty()
    }

    /// Whether it has applied its own removal.
    pub(crate) fn was_removed(&self) -> bool {
        self.is_initialised() && self.region.peer(self.me.id).is_none()
    }

    /// Lets a tick pass without a leader, if there is none. Says whether it is time to ask others.
    pub(crate) fn is_stale(&mut self, stale_ticks: u32) -> bool {
        self.silent_ticks = match self.node.is_leader() {
            true => 0,
            false => self.silent_ticks.saturating_add(1),
        };
        self.silent_ticks > 0 && self.silent_ticks.is_multiple_of(stale_ticks)
    }

    /// Forgets the snapshot that others can be sent; those that are on their way go on.
    pub(crate) fn drop_source(&mut self) {
        self.source = None;
        self.node.storage_mut().snapshot = None;
    }

    /// Who a member is; none if it was never heard of.
    pub(crate) fn find(&self, id: NodeId) -> Option<peer::Peer> {
        self.region.peer(id).or_else(|| self.strangers.get(&id).copied())
    }

    /// Checks what a client says about the region.
    pub(crate) fn check_epoch(&self, epoch: peer::Epoch) -> Result<(), RegionError> {
        // Who reads and writes keys need not care who the members are.
        if epoch.version != self.region.epoch.version && !mutant!("epoch-unchecked") {
            mark!("an old epoch is refused");
            return Err(RegionError::EpochNotMatch { current: vec![self.region.clone()] });
        }
        Ok(())
    }

    /// Proposes what has gathered, as many commands an entry as fit. Returns how many entries.
    pub(crate) fn propose_gathered(&mut self, config: &Config, failed: &mut Vec<Failed>) -> u64 {
        let mut entries = 0;
        while let Some(first) = self.proposals.gathered.front() {
            let version = first.epoch.version;
            let mut envelope = Envelope { epoch: first.epoch, time: 0, commands: Vec::new() };
            let mut tags: Vec<Tag> = Vec::new();
            let mut bytes = 0;
            let limit = GROUP_BYTES_MAX.min(config.entry_bytes_max);
            while let Some(next) = self.proposals.gathered.pop_front_if(|next| {
                let size = COMMAND_OVERHEAD_BYTES + next.command.len();
                let fits = bytes == 0 || bytes + size <= limit;
                next.epoch.version == version && fits
            }) {
                bytes += COMMAND_OVERHEAD_BYTES + next.command.len();
                envelope.time = envelope.time.max(next.time);
                envelope.commands.push(next.command);
                tags.push(next.tag);
            }
            match self.propose(envelope.encode()) {
                Ok(id) => {
                    entries += 1;
                    self.proposals.proposed(id, tags);
                }
                Err(error) => {
                    self.proposals.failed(tags.len());
                    failed.extend(tags.iter().map(|tag| (tag.tag, error.clone())));
                }
            }
        }
        entries
    }

    fn propose(&mut self, entry: Bytes) -> Result<EntryId, RegionError> {
        match self.node.propose(entry) {
            Ok(Proposed::Appended { last }) => Ok(last),
            Ok(Proposed::Forwarded { .. }) => unreachable!("forwarding is off"),
            Err(error) => Err(self.refusal(error)),
        }
    }

    /// What a client is told when raft refuses a proposal. The leader's address is added later.
    pub(crate) fn refusal(&self, error: ProposeError) -> RegionError {
        let busy = |reason: String| RegionError::ServerIsBusy { reason };
        let not_leader = |leader: Option<NodeId>| {
            let leader = leader.and_then(|id| self.find(id));
            let leader = leader.map(|peer| peer::LeaderHint { peer, address: None });
            RegionError::NotLeader { region: self.region.id, leader }
        };
        match error {
            ProposeError::NotLeader { leader } => not_leader(Some(leader)),
            ProposeError::Transferring { target } => not_leader(Some(target)),
            ProposeError::NoLeader | ProposeError::NotMember => not_leader(None),
            ProposeError::QuotaExceeded { .. }
            | ProposeError::BatchSize { .. }
            | ProposeError::Change(_) => busy(error.to_string()),
        }
    }

    /// Asks for the reads that have gathered.
    pub(crate) fn ask_reads(&mut self, token: u64, failed: &mut Vec<Failed>) {
        if mutant!("stale-leader-reads") {
            self.reads.asked(token);
            return self.reads.confirmed(token, self.applied.index);
        }
        // Only a leader is asked: a follower's question could be answered after a restart that
        // has begun to count its questions anew.
        let asked = match self.node.is_leader() {
            true => self.node.read_index(token),
            false => Err(ReadError::NoLeader),
        };
        match asked {
            Ok(()) => self.reads.asked(token),
            Err(error) => {
                let error = self.read_refusal(error);
                self.reads.refuse_gathered(&error, failed);
            }
        }
    }

    /// What a client is told when raft refuses a read.
    pub(crate) fn read_refusal(&self, error: ReadError) -> RegionError {
        match error {
            ReadError::TooMany { .. } => RegionError::ServerIsBusy { reason: error.to_string() },
            ReadError::NoLeader | ReadError::LeaderChanged => self.not_leader(),
        }
    }

    /// That another peer leads.
    pub(crate) fn not_leader(&self) -> RegionError {
        match self.node.leader() {
            Some(leader) if leader != self.me.id => {
                self.refusal(ProposeError::NotLeader { leader })
            }
            _ => self.refusal(ProposeError::NoLeader),
        }
    }

    /// How far the log may be cut off now, if it should be.
    pub(crate) fn compaction_due(&self, config: &Config) -> Option<Index> {
        let (applied, truncated) = (self.applied.index, self.node.storage().truncated.index);
        let entries = applied.0.saturating_sub(truncated.0);
        let is_long = entries > config.log_entries_max || self.log_bytes > config.log_bytes_max;
        if entries == 0 || !(is_long || self.is_blocking) {
            return None;
        }
        if self.is_blocking {
            return Some(applied);
        }
        // Twice the wanted length is what no follower can hold up.
        let is_forced = entries > config.log_entries_max.saturating_mul(2)
            || self.log_bytes > config.log_bytes_max.saturating_mul(2);
        let needed = self.needed_by_followers().unwrap_or(applied);
        if is_forced && needed < applied {
            mark!("a log is cut off though a follower needs it");
        }
        let keep = entries.min(config.log_entries_max) / 2;
        let target = match is_forced || needed >= applied {
            true => Index(applied.0 - keep),
            false => needed.min(Index(applied.0 - keep)),
        };
        (target > truncated).then_some(target)
    }

    /// The lowest index that an active follower lacks, or will lack after its snapshot.
    fn needed_by_followers(&self) -> Option<Index> {
        let status = self.node.is_leader().then(|| self.node.status())?;
        let others = status.progress.iter().filter(|it| it.id != self.me.id && it.recent_active);
        let has = others.map(|it| match it.state {
            ProgressState::Snapshot(index) => it.matched.max(index),
            _ => it.matched,
        });
        has.min()
    }
}
