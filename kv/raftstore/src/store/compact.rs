//! Cuts logs off: when they are long, and when the wal needs the space.
//!
//! What is cut off must be durable in the engine, whose batches are not synced one by one. So the
//! applier flushes first, once for all regions:
//!
//! ```text
//!   due? -> Task::Flush -> Done::Flushed(applied) -> compact_to(min(wanted, applied)) in the wal
//! ```

use mark::mark;
use proto::peer::RegionId;
use raft::{EntryId, Index};
use wal::GroupId;

use super::Store;
use crate::applier::Task;
use crate::format;

impl<R> Store<R> {
    /// Looks which logs are due.
    pub(super) fn plan_compaction(&mut self) {
        let mut is_any = false;
        for peer in self.peers.values_mut() {
            if peer.is_initialised() && peer.installing.is_none() {
                peer.compact = peer.compaction_due(&self.config).max(peer.compact);
                is_any |= peer.compact.is_some();
            }
        }
        if is_any && !self.is_flushing {
            self.is_flushing = true;
            self.out.tasks.push(Task::Flush);
        }
    }

    /// Takes what a purge of the wal reports as blocking it: these regions' logs are cut off as far
    /// as they are applied. What no region holds, `purge` moves by itself.
    pub fn free_log(&mut self, blocking: &[(GroupId, u32)]) {
        for (group, _) in blocking {
            if let Some(peer) = self.peers.get_mut(&RegionId(group.0)) {
                mark!("a region's log holds up the wal");
                peer.is_blocking = true;
            }
        }
        self.plan_compaction();
    }

    /// Cuts a region's log off after `to`.
    pub(super) fn cut_log(&mut self, region: RegionId, to: Index) {
        let Some(peer) = self.peers.get_mut(&region) else { return };
        // The entry is applied, so it is in the log or the last that was cut off.
        let Some(term) = peer.node.entry_term(to) else { return };
        let truncated = EntryId { term, index: to };
        let before = peer.node.storage().truncated.index;
        let (entries, cut) = (peer.node.last().index.0 - before.0, to.0 - before.0);
        peer.log_bytes -= peer.log_bytes.saturating_mul(cut) / entries.max(1);
        peer.is_blocking = false;
        peer.node.storage_mut().truncated_to(truncated);
        let group = format::group(region);
        self.batch.compact_to(group, to.0 + 1);
        self.batch.put(group, format::TRUNCATED_KEY, format::encode_id(truncated));
        self.metrics.compactions += 1;
    }
}
