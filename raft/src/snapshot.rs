//! Snapshots for followers that need entries which are compacted (section 7).

use crate::error::StepError;
use crate::leader::Leader;
use crate::message::{Body, Snapshot};
use crate::progress::ProgressState;
use crate::raft::Raft;
use crate::replication::acknowledgeable;
use crate::state::State;
use crate::storage::Storage;
use crate::types::{Index, NodeId};

impl Leader {
    /// Sends a snapshot to a member, if it was heard lately and there is one.
    pub(crate) fn send_snapshot<S: Storage>(&mut self, state: &mut State<S>, place: usize) -> bool {
        let progress = &mut self.progress[place];
        // To a node that is down, a snapshot would be made and sent for nothing.
        if !progress.recent_active || crate::mutant!("compacted_never_sent") {
            return false;
        }
        let Ok(snapshot) = state.log.snapshot() else { return false };
        // One that tells the member nothing new does not help: the entry that cannot be sent is damaged
        // here, and a newer snapshot must be made.
        if snapshot.last.index <= progress.matched {
            return false;
        }
        progress.become_snapshot(snapshot.last.index);
        let to = progress.id;
        state.send(to, Body::Snapshot(Box::new(snapshot)));
        true
    }

    /// Records whether a snapshot arrived. Either way the next word is the follower's: a probe is
    /// sent when it is heard again.
    pub(crate) fn snapshot_sent(&mut self, to: NodeId, arrived: bool) {
        let Some(place) = self.place(to) else { return };
        let progress = &mut self.progress[place];
        if !matches!(progress.state, ProgressState::Snapshot(_)) {
            return;
        }
        if !arrived {
            progress.state = ProgressState::Snapshot(Index(0));
        }
        progress.become_probe();
        progress.paused = true;
    }

    /// Records that messages to a member are being lost: sending ahead makes no sense.
    pub(crate) fn unreachable(&mut self, id: NodeId) {
        if let Some(place) = self.place(id)
            && self.progress[place].state == ProgressState::Replicate
        {
            self.progress[place].become_probe();
        }
    }
}

impl<S: Storage> Raft<S> {
    /// Takes a snapshot from the leader of our term.
    pub(crate) fn on_snapshot(
        &mut self,
        from: NodeId,
        snapshot: Box<Snapshot>,
    ) -> Result<(), StepError> {
        let restored = self.restore(snapshot);
        let log = &self.state.log;
        let index = if restored { log.last().index } else { log.committed() };
        let index = acknowledgeable(log.first_faulty(), index);
        self.state.send(from, Body::AppendAccepted { index });
        Ok(())
    }

    /// Records that the snapshot up to `index` is durable, and with it applied.
    ///
    /// The membership comes with the snapshot whole: what the replaced entries had said of it is gone
    /// with them. It takes effect only now, because entries handed out before the snapshot may still
    /// be applied until then, and their changes belong to the older membership.
    pub(crate) fn snapshot_stored(&mut self, index: Index) {
        let membership = self.state.log.snapshot_stored(index);
        if let Some(membership) = membership
            && !crate::mutant!("snapshot_keeps_membership")
        {
            self.state.membership = membership;
        }
    }

    /// Replaces the log by a snapshot; returns whether that was needed.
    fn restore(&mut self, snapshot: Box<Snapshot>) -> bool {
        let log = &mut self.state.log;
        // What is committed here is at least as new: going back would undo it.
        let news = match log.first_faulty() {
            None => snapshot.last.index > log.committed(),
            // The leader no longer has the damaged entry, and a snapshot is the only way past it. But
            // entries after the snapshot may be acknowledged, so it must cover all of the log.
            Some(_) => snapshot.last.index >= log.last().index,
        };
        if !news && !crate::mutant!("snapshot_rolls_back") {
            crate::mark!("a snapshot is older than what is committed");
            return false;
        }
        // The snapshot may be older than the change that added this node. To refuse it for that would
        // leave the leader waiting; the change comes with the entries that follow.
        // The log has the snapshot's last entry and so all before it; entries after it, which may be
        // acknowledged, are kept. Only the commit is news.
        let has_it = log.matches(snapshot.last) && !crate::mutant!("snapshot_cuts_newer");
        if has_it && log.first_faulty().is_none() {
            crate::mark!("a snapshot brings only a commit index");
            log.commit_to(snapshot.last.index);
            return false;
        }
        self.state.log.restore(snapshot);
        true
    }
}
