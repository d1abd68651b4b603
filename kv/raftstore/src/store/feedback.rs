//! What the driver reports back: writes that are durable, tasks that are done, chunks.

use std::collections::BTreeMap;
use std::sync::Arc;

use mark::mark;
use mutant::mutant;
use proto::peer::{PeerBody, PeerMessage, RegionId};
use raft::{Index, Snapshot};

use super::{Portion, Store};
use crate::applier::{Applied, Changed, Done, Task};
use crate::format::{self, LocalState, SnapshotMeta};
use crate::peer::Peer;
use crate::ready::Answer;
use crate::snapshot::{ChunkRead, Source};

impl<R> Store<R> {
    /// Records that the logs of the output `number`, and all before it, are written, and synced
    /// where that was asked for.
    ///
    /// # Panics
    /// If there was no such output.
    pub fn persisted(&mut self, number: u64) {
        assert!(number <= self.number, "output {number} was never given out");
        while let Some(write) = self.writes.pop_front_if(|write| write.number <= number) {
            self.out.tasks.extend(write.tasks);
            self.release(write.portions, write.promises);
        }
    }

    /// Does what waited for portions to be durable.
    pub(super) fn release(&mut self, portions: Vec<Portion>, promises: Vec<PeerMessage>) {
        for portion in portions {
            let Some(peer) = self.peers.get_mut(&portion.region) else { continue };
            if let Some(last) = portion.restored {
                peer.node.storage_mut().truncated_to(last);
            }
            peer.node.persisted(portion.number);
            self.dirty.insert(portion.region);
        }
        self.out.messages.extend(promises);
    }

    /// Takes results of the applier, in the order in which it gave them.
    pub fn applied(&mut self, done: Vec<Done<R>>) {
        for done in done {
            match done {
                Done::Applied(applied) => self.entries_applied(applied),
                Done::Installed(meta) => self.installed(&meta),
                Done::Destroyed(region) => {
                    self.destroying.remove(&region);
                }
                Done::Snapshot(region, source) => self.snapshot_viewed(region, source),
                Done::Flushed(applied) => self.flushed(&applied.into_iter().collect()),
            }
        }
    }

    fn entries_applied(&mut self, applied: Applied<R>) {
        let Applied { region, last, outcomes, changes } = applied;
        let Some(mut peer) = self.peers.remove(&region) else { return };
        let mut answers = Vec::new();
        let mut answer = |tag, result| answers.push(Answer { tag, result });
        for (id, outcomes) in outcomes {
            peer.proposals.applied(id, outcomes, &mut answer);
        }
        peer.proposals.overtaken(last.index, &mut answer);
        self.out.answers.extend(answers);
        // A snapshot that is being installed, or is, has taken the place of what it covers.
        let is_covered = last.index <= peer.applied.index;
        self.metrics.entries_applied += last.index.0.saturating_sub(peer.applied.index.0);
        self.peers.insert(region, peer);
        if is_covered {
            return;
        }
        for change in changes {
            self.membership_changed(region, change);
        }
        let Some(peer) = self.peers.get_mut(&region) else { return };
        peer.applied = last;
        peer.node.applied(last.index);
        self.dirty.insert(region);
        if peer.was_removed() {
            self.destroy(region);
        }
    }

    /// Carries a membership change over to the raft group.
    fn membership_changed(&mut self, region: RegionId, changed: Changed) {
        let Changed { id, change, refused, region: now } = changed;
        let Some(peer) = self.peers.get_mut(&region) else { return };
        if refused.is_none()
            && let Err(error) = peer.node.apply_change(&change)
        {
            // The applier found it possible on the same membership.
            self.alarm(region, format!("a membership change did not take effect: {error}"));
        }
        let Some(peer) = self.peers.get_mut(&region) else { return };
        if let Some((proposed, tag)) = peer.change.take_if(|(it, _)| it.index <= id.index) {
            let result = match (proposed == id, refused) {
                (true, None) => Ok(now.clone()),
                (true, Some(error)) => Err(error),
                (false, _) => {
                    mark!("a change of members is overtaken");
                    Err(proto::peer::RegionError::StaleCommand)
                }
            };
            self.out.changes.push(Answer { tag: tag.tag, result });
        }
        peer.strangers.retain(|id, _| now.peer(*id).is_none());
        // A new member would not take one that does not name it.
        peer.drop_source();
        self.set_region(now);
    }

    /// A snapshot is in the engine; now the log follows.
    fn installed(&mut self, meta: &SnapshotMeta) {
        let region = meta.state.region.id;
        let Some(mut peer) = self.peers.remove(&region) else { return };
        let Some(installing) = peer.installing.take() else {
            self.peers.insert(region, peer);
            return;
        };
        mark!("a snapshot is in the engine and not in the log");
        self.metrics.snapshots_installed += 1;
        let last = installing.last;
        let local =
            LocalState { peer: peer.me, tombstone: false, region: meta.state.region.clone() };
        let group = format::group(region);
        self.batch.clean(group);
        self.batch.put(group, format::LOCAL_KEY, format::pack(&local));
        self.batch.put(group, format::TRUNCATED_KEY, format::encode_id(last));
        self.out.must_sync = true;
        peer.log_bytes = 0;
        peer.compact = None;
        self.write(&mut peer, installing.hard_state, &installing.entries, &installing.repaired);
        self.portions.push(Portion { region, number: installing.number, restored: Some(last) });
        self.promise(&peer, installing.promises);
        let mut failed = Vec::new();
        peer.proposals.covered(last.index, &mut failed);
        peer.applied = last;
        let me = meta.state.region.peer(peer.me.id);
        peer.me = me.unwrap_or(peer.me);
        peer.strangers.retain(|id, _| meta.state.region.peer(*id).is_none());
        self.peers.insert(region, peer);
        self.fail(failed);
        self.set_region(meta.state.region.clone());
        self.dirty.insert(region);
    }

    /// A view for snapshots is there.
    fn snapshot_viewed(&mut self, region: RegionId, source: Option<Arc<Source>>) {
        let Some(peer) = self.peers.get_mut(&region) else { return };
        peer.is_viewing = false;
        let Some(source) = source else { return };
        peer.node.storage_mut().snapshot = Some(Snapshot {
            last: source.meta.last,
            membership: source.meta.state.membership.clone(),
            data: format::pack(&source.meta).into(),
        });
        peer.source = Some((source, 0));
    }

    /// What was applied is durable in the engine: logs may be cut off.
    fn flushed(&mut self, applied: &BTreeMap<RegionId, Index>) {
        self.is_flushing = false;
        let regions: Vec<RegionId> = self.peers.keys().copied().collect();
        for region in regions {
            let Some(peer) = self.peers.get_mut(&region) else { continue };
            let Some(wanted) = peer.compact.take() else { continue };
            let durable = applied.get(&region).copied().unwrap_or(Index(0));
            let to = match mutant!("compact-past-applied") {
                true => peer.node.last().index,
                false => wanted.min(durable).min(peer.applied.index),
            };
            if peer.installing.is_none() && to > peer.node.storage().truncated.index {
                self.cut_log(region, to);
            }
        }
    }

    /// Takes a chunk of a snapshot that was read.
    pub fn chunk_read(&mut self, read: ChunkRead) {
        let ChunkRead { region, to, attempt, cursor, chunk } = read;
        let Some(peer) = self.peers.get_mut(&region) else { return };
        let receiver = peer.find(to);
        let outgoing = peer.outgoing.get_mut(&to).filter(|it| it.attempt == attempt);
        let Some(outgoing) = outgoing else { return };
        let (chunk, receiver) = match (chunk, receiver) {
            (Ok(chunk), Some(receiver)) => (chunk, receiver),
            (chunk, _) => {
                peer.outgoing.remove(&to);
                peer.drop_source();
                peer.node.report_snapshot(to, false);
                self.metrics.snapshots_given_up += 1;
                if let Err(error) = chunk {
                    self.alarm(region, format!("a snapshot cannot be read: {error}"));
                }
                return;
            }
        };
        let chunk = outgoing.read(cursor, chunk);
        self.out.chunks.extend(outgoing.next_task());
        let (from, epoch) = (peer.me, peer.region.epoch);
        let body = PeerBody::Chunk(chunk);
        self.out.messages.push(PeerMessage { region, from, to: receiver, epoch, body });
    }

    /// Removes a peer from this store, for good.
    pub(crate) fn destroy(&mut self, region: RegionId) {
        let Some(mut peer) = self.peers.remove(&region) else { return };
        self.metrics.peers_destroyed += 1;
        self.give_up_all(&mut peer);
        self.forget(&peer);
        let local = LocalState { peer: peer.me, tombstone: true, region: peer.region.clone() };
        let group = format::group(region);
        // The tombstone is durable before the data goes; a crash in between removes it at the start.
        self.batch.clean(group);
        self.batch.put(group, format::LOCAL_KEY, format::pack(&local));
        self.out.must_sync = true;
        self.tombstones.insert(region, local);
        self.destroying.insert(region);
        self.after_write.push(Task::Destroy { region });
    }

    fn forget(&mut self, peer: &Peer) {
        if peer.is_initialised() {
            self.ranges.remove(&peer.region.start);
        }
        self.dirty.remove(&peer.region.id);
    }
}
