//! Carrying out what the raft store wants: messages, writes, tasks, answers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use node::Output;
use proto::peer::{PeerBody, PeerMessage, RegionId, StoreId};
use raftstore::{Answer, LogEntry, Task};
use wal::{Durability, LogBatch};

use super::{Pending, RaftThread};
use crate::HOW_TO_REPLACE;
use crate::cluster::inbox::Event;

/// While more bytes than this wait for the log, the raft store is asked for nothing new.
const LOG_BYTES_MAX: u64 = 32 << 20;

/// While more bytes than this wait to be applied, neither. A region by itself gives out less.
const APPLY_BYTES_MAX: u64 = 256 << 20;

/// What a task keeps in memory.
fn bytes_of(task: &Task) -> u64 {
    match task {
        Task::Apply { entries, .. } => entries.iter().flatten().map(raft::Entry::size_bytes).sum(),
        Task::Stage { data, .. } => data.len() as u64,
        _ => 0,
    }
}

impl RaftThread {
    /// Carries out all that the raft store gives out.
    pub(super) fn carry_out_all(&mut self) {
        let has_room = |it: &Self| it.log_bytes < LOG_BYTES_MAX && it.apply_bytes < APPLY_BYTES_MAX;
        while self.failure.is_some() || has_room(self) {
            let ready = self.parts.node.ready();
            if ready.is_empty() {
                return;
            }
            match self.failure {
                None => self.carry_out(ready),
                // The raft store hears of no write any more, so it lets nothing out that needs one.
                Some(_) => self.send(ready.messages),
            }
        }
    }

    fn carry_out(&mut self, ready: Output) {
        self.send(ready.messages);
        self.write(ready.logs, ready.number, ready.must_sync);
        for tag in ready.reads {
            if let Some(Pending::Barriers(region, barriers)) = self.pending.remove(&tag) {
                let applied = self.parts.node.store.readable_index(region).0;
                barriers.into_iter().for_each(|barrier| self.finish_barrier(barrier, Ok(applied)));
            }
        }
        if !ready.tasks.is_empty() {
            let bytes = ready.tasks.iter().map(bytes_of).sum();
            self.apply_bytes += bytes;
            // An error means that the applier has failed, and has said so.
            let _ = self.parts.tasks.send((bytes, ready.tasks));
        }
        self.chunks.extend(ready.chunks);
        self.read_chunks();
        for Answer { tag, result } in ready.answers {
            self.answered(tag, result);
        }
        for Answer { tag, result } in ready.changes {
            self.changed(tag, result);
        }
        self.led(&ready.led);
        for alarm in ready.alarms {
            match alarm.must_stop {
                true => self.fail(format!("{}. {HOW_TO_REPLACE}", alarm.message)),
                false => log::warn!("{}", alarm.message; "region" => alarm.region.0),
            }
        }
    }

    /// Takes who leads regions now.
    fn led(&mut self, regions: &[RegionId]) {
        let mut changed = Vec::new();
        for region in regions {
            let leader = self.parts.node.store.leading_peer(*region).map(|peer| peer.store);
            let before = match leader {
                Some(store) => self.leaders.insert(*region, store),
                None => self.leaders.remove(region),
            };
            if before != leader {
                changed.push((*region, leader));
                self.unpark(*region);
            }
        }
        match changed.as_slice() {
            [] => {}
            [(region, leader)] => {
                let name = leader.map_or(0, |store| store.0);
                log::info!("the leader has changed"; "region" => region.0, "store" => name);
            }
            many => log::info!("leaders have changed"; "regions" => many.len()),
        }
    }

    /// Sends messages, those of a snapshot apart.
    fn send(&mut self, messages: Vec<PeerMessage>) {
        let mut lots: BTreeMap<(u64, bool), Vec<PeerMessage>> = BTreeMap::new();
        for message in messages {
            let is_bulk = matches!(message.body, PeerBody::Chunk(_));
            lots.entry((message.to.store.0, is_bulk)).or_default().push(message);
        }
        for ((store, is_bulk), messages) in lots {
            let dropped = match is_bulk {
                true => self.parts.peers.send_bulk(store, messages),
                false => self.parts.peers.send(store, messages),
            };
            if dropped > 0 {
                self.parts.node.store.report_unreachable(StoreId(store));
            }
        }
    }

    /// Hands batches to the log. Only the last is waited for.
    fn write(&mut self, logs: Vec<LogBatch<LogEntry>>, number: u64, must_sync: bool) {
        let last = logs.len().saturating_sub(1);
        for (place, batch) in logs.into_iter().enumerate() {
            let bytes = batch.bytes();
            self.log_bytes += bytes;
            let durability = match must_sync && place == last {
                true => self.parts.durability,
                false => Durability::Deferred,
            };
            let number = if place == last { number } else { 0 };
            let inbox = Arc::clone(&self.parts.inbox);
            let started = Instant::now();
            let metrics = Arc::clone(&self.parts.metrics);
            let done = move |result: wal::Result<wal::Lsn>| match result {
                Ok(_) => {
                    let took = started.elapsed().as_micros();
                    metrics.log_write_us.observe(u64::try_from(took).unwrap_or(u64::MAX));
                    inbox.push(Event::Persisted { number, bytes });
                }
                Err(error) => {
                    inbox.push(Event::Failed(format!("the log cannot be written: {error}")));
                }
            };
            if let Err(error) = self.parts.wal.submit(batch, durability, done) {
                self.fail(format!("the log takes no batch: {error}"));
            }
        }
    }

    /// Has parts of snapshots read, as far as the rate allows.
    pub(super) fn read_chunks(&mut self) {
        while self.chunk_credit > 0
            && let Some(task) = self.chunks.pop_front()
        {
            self.chunk_credit = self.chunk_credit.saturating_sub(self.parts.chunk_bytes);
            self.parts.metrics.snapshot_chunks.inc();
            let inbox = Arc::clone(&self.parts.inbox);
            let job = move || inbox.push(Event::ChunkRead(task.run()));
            if self.parts.pool.spawn(Box::new(job)).is_err() {
                // The raft store gives the snapshot up after a while, and begins anew.
                log::warn!("a part of a snapshot is not read: the pool is full");
            }
        }
    }
}
