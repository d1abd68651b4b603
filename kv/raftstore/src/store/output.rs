//! Gathers what the raft groups want done into one [`Ready`].

use mark::mark;
use mutant::mutant;
use proto::peer::{PeerBody, PeerMessage, RegionError, RegionId};
use raft::{Body, Entries, Entry, HardState, Index, Message};

use super::{Portion, Store, Write};
use crate::applier::Task;
use crate::entry::LogEntry;
use crate::format;
use crate::peer::{Installing, Peer};
use crate::ready::Ready;
use crate::snapshot::Outgoing;

impl<R> Store<R> {
    /// Whether [`Store::ready`] would have anything to do.
    #[must_use]
    pub fn has_ready(&self) -> bool {
        !self.dirty.is_empty()
            || !self.out.is_empty()
            || !self.batch.is_empty()
            || !self.portions.is_empty() && self.writes.is_empty()
    }

    /// Returns the work that has gathered.
    pub fn ready(&mut self) -> Ready<R> {
        loop {
            while !self.is_batch_full() {
                let Some(region) = self.dirty.pop_first() else { break };
                self.collect(region);
            }
            // What writes nothing is durable with what was written before it.
            let writes_nothing = self.batch.is_empty() && self.out.logs.is_empty();
            let waits = !self.portions.is_empty() || !self.promises.is_empty();
            if !writes_nothing || !waits {
                break;
            }
            let portions = std::mem::take(&mut self.portions);
            let promises = std::mem::take(&mut self.promises);
            match self.writes.back_mut() {
                Some(write) => {
                    write.portions.extend(portions);
                    write.promises.extend(promises);
                }
                None => self.release(portions, promises),
            }
        }
        self.close_batch();
        if !self.out.logs.is_empty() {
            self.metrics.log_batches += self.out.logs.len() as u64;
            self.number += 1;
            self.out.number = self.number;
            let portions = std::mem::take(&mut self.portions);
            let promises = std::mem::take(&mut self.promises);
            if mutant!("promises-before-durable") {
                self.out.messages.extend(promises.iter().cloned());
            }
            let tasks = std::mem::take(&mut self.after_write);
            self.writes.push_back(Write { number: self.number, portions, promises, tasks });
        }
        std::mem::take(&mut self.out)
    }

    fn is_batch_full(&self) -> bool {
        !self.out.logs.is_empty() || self.batch.bytes() >= self.config.batch_bytes_max
    }

    /// Ends the batch that gathers.
    fn close_batch(&mut self) {
        if !self.batch.is_empty() {
            self.out.logs.push(std::mem::take(&mut self.batch));
        }
    }

    /// Begins a new batch if the one that gathers is large.
    fn roll_batch(&mut self) {
        if self.batch.bytes() >= self.config.batch_bytes_max {
            self.close_batch();
        }
    }

    /// Takes a region's output.
    fn collect(&mut self, region: RegionId) {
        let Some(mut peer) = self.peers.remove(&region) else { return };
        let mut failed = Vec::new();
        self.metrics.entries_proposed += peer.propose_gathered(&self.config, &mut failed);
        if peer.reads.has_gathered() {
            self.next_token += 1;
            peer.ask_reads(self.next_token, &mut failed);
        }
        self.fail(failed);
        if peer.installing.is_none() && peer.node.has_ready() {
            self.take_output(&mut peer);
        }
        self.deliver_reads(&mut peer);
        self.want_snapshot(&mut peer);
        self.peers.insert(region, peer);
    }

    /// Takes a portion of the raft group's output.
    fn take_output(&mut self, peer: &mut Peer) {
        let region = peer.region.id;
        let mut ready = std::mem::take(&mut self.scratch);
        peer.node.ready_into(&mut ready);
        self.note_role(peer, &ready);
        for message in ready.messages.drain(..) {
            self.send(peer, message);
        }
        let mut failed = Vec::new();
        for read in ready.reads.drain(..) {
            match read.result {
                Ok(index) => peer.reads.confirmed(read.token, index),
                Err(error) => {
                    let error = peer.read_refusal(error);
                    peer.reads.refused(read.token, &error, &mut failed);
                }
            }
        }
        self.fail(failed);
        if !ready.committed.is_empty() {
            let entries = std::mem::take(&mut ready.committed);
            self.out.tasks.push(Task::Apply { region, entries });
        }
        if let Some(error) = ready.storage_error {
            self.alarm(region, format!("committed entries cannot be read: {error}"));
        }
        // A promise of this node to itself is delivered by the report that the portion is durable.
        let own = peer.me.id;
        let is_awaited = ready.report.is_some() || !ready.promises.is_empty() || ready.has_writes();
        let promises = ready.promises.drain(..).filter(|it| it.to != own).collect();
        match ready.snapshot.take() {
            Some(snapshot) => {
                let installing = Installing {
                    last: snapshot.last,
                    number: ready.number,
                    hard_state: peer.node.hard_state(),
                    entries: std::mem::take(&mut ready.entries),
                    repaired: std::mem::take(&mut ready.repaired),
                    promises,
                };
                self.begin_install(peer, installing);
            }
            None => {
                let changed = ready.hard_state.filter(|new| {
                    // A commit index alone is not worth a write: a leader tells it again.
                    let old = peer.written;
                    (new.term, new.vote) != (old.term, old.vote)
                });
                if changed.is_some() || !ready.entries.is_empty() || !ready.repaired.is_empty() {
                    let state = peer.node.hard_state();
                    self.write(peer, state, &ready.entries, &ready.repaired);
                }
                self.out.must_sync |= ready.must_sync;
                if is_awaited {
                    self.portions.push(Portion { region, number: ready.number, restored: None });
                }
                self.promise(peer, promises);
            }
        }
        if peer.node.has_ready() && ready.storage_error.is_none() && peer.installing.is_none() {
            self.dirty.insert(region);
        }
        self.scratch = ready;
    }

    /// Notes who leads.
    fn note_role(&mut self, peer: &mut Peer, ready: &raft::Ready) {
        if ready.soft_state.is_none() {
            return;
        }
        self.out.led.push(peer.region.id);
        let leads = peer.node.is_leader();
        if leads && !peer.led {
            self.metrics.elections_won += 1;
        }
        if leads != peer.led {
            let mut failed = Vec::new();
            peer.proposals.retain(|index| peer.node.entry_term(index), &mut failed);
            self.fail(failed);
        }
        if !leads {
            peer.outgoing.clear();
        }
        peer.led = leads;
    }

    /// Adds writes of a region to the batch.
    pub(super) fn write(
        &mut self,
        peer: &mut Peer,
        state: HardState,
        entries: &[Entries],
        repaired: &[Entry],
    ) {
        let group = format::group(peer.region.id);
        let first = entries.iter().find_map(|run| run.first().map(|entry| entry.index));
        // Were the commit index durable before the entries that it covers, a crash could make
        // entries that are being replaced the committed ones.
        let commit = first.map_or(state.commit, |first| state.commit.min(first.prev()));
        let commit = commit.max(peer.written.commit.min(state.commit));
        if commit < state.commit {
            mark!("a commit index is held back");
        }
        let is_apart = mutant!("commit-before-entries");
        let state = if is_apart { state } else { HardState { commit, ..state } };
        if !mutant!("hard-state-not-written") {
            self.batch.put(group, format::HARD_STATE_KEY, format::encode_hard_state(state));
        }
        peer.written = state;
        if is_apart {
            self.close_batch();
        }
        if !repaired.is_empty() {
            let end = first.map_or(peer.node.last().index, Index::prev);
            for entry in repaired {
                let own = [LogEntry(entry.clone())];
                // The last entry may be of another term than the damaged one, which the wal knows
                // by name: it takes its place as what a leader overwrites does.
                let put = match entry.index == end {
                    true => {
                        mark!("the last entry is repaired");
                        self.batch.append(group, &own)
                    }
                    false => {
                        mark!("an entry is repaired in its place");
                        self.batch.repair(group, &own)
                    }
                };
                put.expect("one entry has no gap");
            }
            self.out.must_sync = true;
        }
        for run in entries {
            let own: Vec<LogEntry> = run.iter().cloned().map(LogEntry).collect();
            for part in parts(&own, self.config.batch_bytes_max) {
                self.roll_batch();
                self.batch.append(group, part).expect("raft's entries follow each other");
            }
            peer.log_bytes += run.iter().map(Entry::size_bytes).sum::<u64>();
        }
        if let Some(first) = first {
            peer.node.storage_mut().replaced_from(first);
        }
        let repaired: Vec<Index> = repaired.iter().map(|entry| entry.index).collect();
        peer.node.storage_mut().repaired(&repaired);
    }

    /// Keeps messages until what gathers is durable.
    pub(super) fn promise(&mut self, peer: &Peer, promises: Vec<Message>) {
        for message in promises {
            if let Some(message) = addressed(peer, message) {
                self.promises.push(message);
            }
        }
    }

    /// Sends a message of a raft group.
    fn send(&mut self, peer: &mut Peer, message: Message) {
        if matches!(message.body, Body::Snapshot(_)) {
            return self.begin_sending(peer, message);
        }
        if let Some(message) = addressed(peer, message) {
            self.out.messages.push(message);
        }
    }

    /// Begins to send a snapshot, in the place of raft's message.
    fn begin_sending(&mut self, peer: &mut Peer, message: Message) {
        let to = message.to;
        let sending: usize = self.peers.values().map(|peer| peer.outgoing.len()).sum();
        let is_free = sending + peer.outgoing.len() < self.config.snapshots_max;
        let Some((source, _)) = peer.source.as_ref().filter(|_| is_free) else {
            return peer.node.report_snapshot(to, false);
        };
        let sizes = (self.config.chunk_bytes, self.config.chunk_window);
        self.next_token += 1;
        let name = (peer.region.id, to, self.next_token);
        let mut outgoing = Outgoing::new(name, message, source, sizes);
        self.out.chunks.extend(outgoing.next_task());
        peer.outgoing.insert(to, outgoing);
    }

    /// Asks for a view if raft wants a snapshot.
    fn want_snapshot(&mut self, peer: &mut Peer) {
        if peer.node.storage_mut().take_wanted() && !peer.is_viewing {
            peer.is_viewing = true;
            let snapshot = rand::Rng::next_u64(&mut self.rng);
            self.out.tasks.push(Task::Snapshot { region: peer.region.id, snapshot });
        }
    }

    /// Begins to install a snapshot whose chunks are all there.
    fn begin_install(&mut self, peer: &mut Peer, installing: Installing) {
        match peer.staged.take().filter(|staged| staged.last == installing.last) {
            Some(meta) => {
                self.out.tasks.push(Task::Install { meta });
                peer.installing = Some(installing);
            }
            // Raft is given a snapshot only together with its chunks.
            None => unreachable!("a snapshot without chunks"),
        }
    }

    /// Gives out the reads that may be carried out.
    pub(super) fn deliver_reads(&mut self, peer: &mut Peer) {
        // While a snapshot is installed the engine holds half of it.
        if peer.installing.is_some() {
            return;
        }
        let applied = match mutant!("read-before-applied") {
            true => Index(u64::MAX),
            false => peer.applied.index,
        };
        let mut failed = Vec::new();
        for read in peer.reads.due(applied) {
            match peer.check_epoch(read.epoch) {
                Ok(()) => {
                    self.metrics.reads += 1;
                    self.out.reads.push(read.tag.tag);
                }
                Err(error) => failed.push((read.tag.tag, error)),
            }
        }
        self.fail(failed);
    }

    /// Forgets a peer that was removed, and what waits for it.
    pub(super) fn give_up_all(&mut self, peer: &mut Peer) {
        let mut failed = Vec::new();
        let gone = RegionError::RegionNotFound { region: peer.region.id };
        peer.proposals.give_up(&gone, "the peer was removed", &mut failed);
        peer.reads.give_up(&gone, &mut failed);
        self.fail(failed);
        if let Some((_, tag)) = peer.change.take() {
            let reason = "the peer was removed".to_owned();
            let result = Err(RegionError::Undetermined { reason });
            self.out.changes.push(crate::Answer { tag: tag.tag, result });
        }
    }
}

/// The message as it travels; none if nobody knows where the receiver is.
fn addressed(peer: &Peer, message: Message) -> Option<PeerMessage> {
    let to = peer.find(message.to)?;
    Some(PeerMessage {
        region: peer.region.id,
        from: peer.me,
        to,
        epoch: peer.region.epoch,
        body: PeerBody::Raft(message),
    })
}

/// Cuts entries into parts of about `bytes_max`.
fn parts(entries: &[LogEntry], bytes_max: u64) -> Vec<&[LogEntry]> {
    let mut parts = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (at, entry) in entries.iter().enumerate() {
        bytes += entry.0.size_bytes();
        if bytes >= bytes_max {
            parts.push(&entries[start..=at]);
            (start, bytes) = (at + 1, 0);
        }
    }
    if start < entries.len() {
        parts.push(&entries[start..]);
    }
    parts
}
