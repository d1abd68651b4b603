//! Takes messages of peers. Whatever they are, nothing here panics.

use mark::mark;
use mutant::mutant;
use proto::peer::{self, Epoch, PeerBody, PeerMessage, Region, RegionId, SnapshotChunk};
use raft::{Body, EntryId, Message, NodeId, StepError};

use super::Store;
use crate::applier::Task;
use crate::format::{self, LocalState};
use crate::open;
use crate::peer::Peer;
use crate::ready::Alarm;
use crate::snapshot::{Incoming, Take};
use crate::storage::Start;

/// The most peers that a region remembers without knowing them.
const STRANGERS_MAX: usize = 64;

/// Bytes that an entry may have beyond the limit of commands: its own head.
const ENTRY_SLACK_BYTES: u64 = 4096;

/// What is behind [`StepError::Forgotten`], and what to do.
const FORGOTTEN: &str = "the store's folder is an old copy, or its disk has lost what was synced. It \
     would vote against what it promised: do not start it again, but replace it";

/// What is behind [`StepError::Violation`], and what to do.
const VIOLATION: &str = "this store and the leader have committed different things, so one of them \
     runs on an old copy of its folder, or its disk has lost what was synced. Keep this folder: it \
     may be the only one that has what clients were told. To go on without it, replace the store";

impl<R> Store<R> {
    /// Takes a message from a peer. One that is stale, misdirected or senseless changes nothing.
    pub fn step(&mut self, message: PeerMessage) {
        if self.deliver(message).is_none() {
            self.metrics.messages_refused += 1;
        }
    }

    /// Takes a message; none if it is not taken.
    fn deliver(&mut self, message: PeerMessage) -> Option<()> {
        let region = message.region;
        if message.to.store != self.config.store || region == RegionId(0) {
            return None;
        }
        if let Some(tombstone) = self.tombstones.get(&region)
            && message.to.id <= tombstone.peer.id
            && !self.peers.contains_key(&region)
        {
            mark!("a removed peer is spoken to");
            self.tell_if_gone(&message);
            return None;
        }
        let peer = match self.peers.get(&region) {
            None => self.create(&message)?,
            Some(peer) => peer,
        };
        if peer.me.id != message.to.id {
            return self.for_another(&message);
        }
        if message.from.id == peer.me.id {
            return None;
        }
        if let PeerBody::Gone = message.body {
            return self.told_gone(&message);
        }
        let is_stranger = peer.is_initialised() && peer.region.peer(message.from.id).is_none();
        if is_stranger && message.epoch.conf_ver < peer.region.epoch.conf_ver {
            // It was a member once. What it says may be of the past, and it may not know.
            self.tell_if_gone(&message);
            return None;
        }
        let peer = self.peers.get_mut(&region)?;
        if peer.region.peer(message.from.id).is_none()
            && (peer.strangers.len() < STRANGERS_MAX
                || peer.strangers.contains_key(&message.from.id))
        {
            peer.strangers.insert(message.from.id, message.from);
        }
        let from = message.from.id;
        match message.body {
            PeerBody::Raft(raft) => self.step_raft(region, from, raft),
            PeerBody::Chunk(chunk) => self.take_chunk(region, message.from, &chunk),
            PeerBody::ChunkAck { snapshot, next } => self.chunk_acked(region, from, snapshot, next),
            PeerBody::SnapshotRefused { snapshot } => {
                let is_ours = peer.outgoing.get(&from).is_some_and(|it| it.snapshot == snapshot);
                if is_ours {
                    peer.outgoing.remove(&from);
                    peer.drop_source();
                    peer.node.report_snapshot(from, false);
                    self.metrics.snapshots_given_up += 1;
                    self.dirty.insert(region);
                }
                Some(())
            }
            // It is.
            PeerBody::StillMember => Some(()),
            PeerBody::Gone => None,
        }
    }

    /// Gives a message to the raft group.
    fn step_raft(&mut self, region: RegionId, from: NodeId, message: Message) -> Option<()> {
        // A snapshot comes in chunks, since without them it would be an empty promise.
        if message.from != from || matches!(message.body, Body::Snapshot(_)) {
            return None;
        }
        let limit = self.config.entry_bytes_max as u64 + ENTRY_SLACK_BYTES;
        if let Body::Append { entries, .. } = &message.body
            && let Some(entry) = entries.iter().find(|entry| entry.size_bytes() > limit)
        {
            let bytes = entry.size_bytes();
            self.alarm(region, format!("an entry of {bytes} bytes is over this store's limit"));
            return None;
        }
        let peer = self.peers.get_mut(&region)?;
        let (is_leaders, term) = (message.body.is_from_leader(), message.term);
        let result = peer.node.step(message);
        self.dirty.insert(region);
        if is_leaders && result.is_ok() && term == peer.node.term() {
            peer.silent_ticks = 0;
        }
        match result {
            Ok(()) => Some(()),
            Err(error @ StepError::Storage(_)) => {
                self.alarm(region, error.to_string());
                None
            }
            Err(error @ StepError::Forgotten { .. }) => self.must_stop(region, &error, FORGOTTEN),
            Err(error @ StepError::Violation { .. }) => self.must_stop(region, &error, VIOLATION),
            Err(_) => None,
        }
    }

    /// Raises an alarm after which the store must not go on.
    fn must_stop(&mut self, region: RegionId, error: &StepError, what_to_do: &str) -> Option<()> {
        let message = format!("region {region}: {error}: {what_to_do}");
        self.out.alarms.push(Alarm { region, message, must_stop: true });
        None
    }

    /// Makes a peer for a first message, where that is safe; see [`crate::Store`]'s page.
    ///
    /// It is made only by what a leader or a candidate sends, and under an id that this store never
    /// had: one who forgot what it promised under the same id would promise the opposite. It has no
    /// members, so it cannot campaign, until the leader has sent a snapshot or the first entries.
    fn create(&mut self, message: &PeerMessage) -> Option<&Peer> {
        let region = message.region;
        let begins = match &message.body {
            PeerBody::Raft(raft) => {
                raft.body.is_from_leader() || matches!(raft.body, Body::RequestVote { .. })
            }
            PeerBody::Chunk(chunk) => chunk.number == 0,
            _ => false,
        };
        // A peer that has been there from the beginning was made when the region was. If it is not
        // here, this store has lost its disk.
        let is_added = message.epoch.conf_ver > Epoch::FIRST.conf_ver;
        let may_be = is_added && message.to.id != NodeId(0) && !self.destroying.contains(&region);
        if !begins || !may_be {
            return None;
        }
        mark!("a peer is made by its first message");
        // The sender counts it as a member, so what lacks it at a later epoch has removed it.
        let unknown = Region { id: region, epoch: message.epoch, ..Region::default() };
        let local = LocalState { peer: message.to, tombstone: false, region: unknown };
        let peer = open::peer(self, local.clone(), Start::default(), EntryId::default()).ok()?;
        let group = format::group(region);
        self.batch.clean(group);
        self.batch.put(group, format::LOCAL_KEY, format::pack(&local));
        self.out.must_sync = true;
        self.tombstones.remove(&region);
        self.peers.insert(region, Box::new(peer));
        self.peers.get(&region).map(|peer| &**peer)
    }

    /// A message for another peer than the one that is here.
    fn for_another(&mut self, message: &PeerMessage) -> Option<()> {
        let peer = self.peers.get(&message.region)?;
        // A newer peer of this store was added, so this one was removed; it is told by the sender's
        // epoch, which is beyond what this one knows. One that knows nothing yet was removed before
        // its first snapshot came.
        let is_newer = message.to.id > peer.me.id;
        if is_newer && peer.region.epoch.conf_ver < message.epoch.conf_ver {
            mark!("a newer peer takes the place of a removed one");
            self.destroy(message.region);
        } else {
            self.tell_if_gone(message);
        }
        None
    }

    /// Takes a chunk of a snapshot.
    fn take_chunk(
        &mut self,
        region: RegionId,
        from: peer::Peer,
        chunk: &SnapshotChunk,
    ) -> Option<()> {
        let snapshot = chunk.snapshot;
        let is_known = |incoming: &Incoming| {
            let news = chunk.number == 0 && chunk.message.is_some();
            incoming.from == from.id
                && incoming.snapshot == snapshot
                && !(news
                    && Incoming::begin(from.id, region, chunk)
                        .is_some_and(|it| it.meta != incoming.meta))
        };
        let peer = self.peers.get(&region)?;
        if !peer.incoming.as_ref().is_some_and(is_known) {
            if peer.received == Some(snapshot) {
                mark!("a chunk comes again after the last one");
                // The sender does not know yet that all has come.
                self.reply(region, from, PeerBody::ChunkAck { snapshot, next: u32::MAX });
                return Some(());
            }
            if chunk.number > 0 {
                mark!("a chunk comes whose beginning is not known");
                // What came before was lost here, in a restart.
                self.reply(region, from, PeerBody::SnapshotRefused { snapshot });
                return None;
            }
            if !self.begin_receiving(region, from, chunk)? {
                self.reply(region, from, PeerBody::SnapshotRefused { snapshot });
                return Some(());
            }
        }
        let peer = self.peers.get_mut(&region)?;
        let incoming = peer.incoming.as_mut()?;
        let taken = incoming.take(chunk);
        let (number, next) = (chunk.number, incoming.next);
        match taken {
            Take::Ignore => {}
            Take::Refuse => {
                mark!("a damaged chunk is refused");
                peer.incoming = None;
                self.out.tasks.push(Task::Unstage { region, snapshot });
                self.reply(region, from, PeerBody::SnapshotRefused { snapshot });
                return None;
            }
            Take::Keep | Take::Complete(_) => {
                let data = chunk.data.clone();
                self.out.tasks.push(Task::Stage { region, snapshot, number, data });
            }
        }
        self.reply(region, from, PeerBody::ChunkAck { snapshot, next });
        if let Take::Complete(message) = taken {
            self.snapshot_arrived(region, *message);
        }
        Some(())
    }

    /// Begins to receive a snapshot; none if the chunk is no beginning, false if it is refused.
    fn begin_receiving(
        &mut self,
        region: RegionId,
        from: peer::Peer,
        chunk: &SnapshotChunk,
    ) -> Option<bool> {
        let incoming = Incoming::begin(from.id, region, chunk)?;
        let receiving = self.peers.values().filter(|peer| peer.incoming.is_some()).count();
        let new = &incoming.meta.state.region;
        let overlaps = self
            .peers
            .values()
            .any(|it| it.region.id != region && it.is_initialised() && it.region.overlaps(new));
        let peer = self.peers.get_mut(&region)?;
        let is_news = incoming.meta.last.index > peer.applied.index
            && peer.installing.is_none()
            && new.peer(peer.me.id).is_some();
        let is_full = peer.incoming.is_none() && receiving >= self.config.snapshots_max;
        if !is_news || is_full || overlaps || peer.staged.is_some() {
            return Some(false);
        }
        if let Some(old) = peer.incoming.replace(incoming) {
            mark!("a snapshot takes the place of one on its way");
            self.out.tasks.push(Task::Unstage { region, snapshot: old.snapshot });
        }
        Some(true)
    }

    /// All chunks of a snapshot are there: raft decides.
    fn snapshot_arrived(&mut self, region: RegionId, message: Message) {
        let Some(peer) = self.peers.get_mut(&region) else { return };
        let Some(incoming) = peer.incoming.take() else { return };
        let (snapshot, last) = (incoming.snapshot, incoming.meta.last);
        peer.received = Some(snapshot);
        peer.staged = Some(incoming.meta);
        let _ = peer.node.step(message);
        self.dirty.insert(region);
        let takes = peer.node.pending_snapshot() == Some(last);
        if !takes {
            mark!("a snapshot came that is no news");
            // It knew all that already, or has a newer leader.
            peer.staged = None;
            self.out.tasks.push(Task::Unstage { region, snapshot });
        }
    }

    fn chunk_acked(
        &mut self,
        region: RegionId,
        from: NodeId,
        snapshot: u64,
        next: u32,
    ) -> Option<()> {
        let peer = self.peers.get_mut(&region)?;
        let outgoing = peer.outgoing.get_mut(&from).filter(|it| it.snapshot == snapshot)?;
        if outgoing.acked(next) {
            peer.outgoing.remove(&from);
            peer.node.report_snapshot(from, true);
            self.metrics.snapshots_sent += 1;
            self.dirty.insert(region);
        } else {
            self.out.chunks.extend(outgoing.next_task());
        }
        Some(())
    }

    /// Sends an answer to a peer.
    fn reply(&mut self, region: RegionId, to: peer::Peer, body: PeerBody) {
        let Some(peer) = self.peers.get(&region) else { return };
        if mutant!("chunks-unacknowledged") {
            return;
        }
        let (from, epoch) = (peer.me, peer.region.epoch);
        self.out.messages.push(PeerMessage { region, from, to, epoch, body });
    }
}
