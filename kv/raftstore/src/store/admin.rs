//! Members and leaders by command.

use proto::peer::{Epoch, Peer, RegionError, RegionId};
use raft::NodeId;
use raft::confchange::{Change, Step};
use serde::{Deserialize, Serialize};

use super::Store;
use crate::format;
use crate::proposals::Tag;
use crate::ready::Answer;

/// A change of a region's members. It travels in the entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerChange {
    /// The region's epoch as the caller knows it; another member's change in between voids this.
    pub epoch: Epoch,
    /// Whom it is about. A new peer has an id that was never used.
    pub peer: Peer,
    /// It leaves; otherwise it comes, or changes between voter and learner.
    pub remove: bool,
}

impl PeerChange {
    /// What it means for the raft group.
    pub(crate) fn step(&self) -> Step {
        match (self.remove, self.peer.learner) {
            (true, _) => Step::Remove(self.peer.id),
            (false, true) => Step::AddLearner(self.peer.id),
            (false, false) => Step::AddVoter(self.peer.id),
        }
    }
}

impl<R> Store<R> {
    /// Proposes a change of members. The answer comes in [`crate::Ready::changes`].
    ///
    /// A leader does not remove itself: in a group of two, nobody could tell the other that the
    /// change is committed. Transfer leadership first.
    pub fn change_peer(
        &mut self,
        tag: u64,
        region: RegionId,
        change: PeerChange,
        deadline_ticks: u32,
    ) {
        let deadline = self.tick + u64::from(deadline_ticks) + 1;
        if let Err(error) = self.try_change_peer(Tag { tag, deadline }, region, change) {
            self.out.changes.push(Answer { tag, result: Err(error) });
        }
    }

    fn try_change_peer(
        &mut self,
        tag: Tag,
        region: RegionId,
        change: PeerChange,
    ) -> Result<(), RegionError> {
        let not_found = RegionError::RegionNotFound { region };
        let peer = self.peers.get_mut(&region).ok_or(not_found)?;
        let busy = |reason: &str| Err(RegionError::ServerIsBusy { reason: reason.to_owned() });
        if !peer.node.is_leader() {
            return Err(peer.not_leader());
        }
        if change.epoch != peer.region.epoch {
            return Err(RegionError::EpochNotMatch { current: vec![peer.region.clone()] });
        }
        if peer.change.is_some() {
            return busy("another membership change is on its way");
        }
        if change.remove && change.peer.id == peer.me.id {
            return busy("a leader does not remove itself: transfer leadership first");
        }
        let taken = peer.region.peer_on(change.peer.store);
        if !change.remove && taken.is_some_and(|it| it.id != change.peer.id) {
            return busy("the store has a peer of the region already");
        }
        let context = format::pack(&change).into();
        let raft = Change { context, ..Change::simple(change.step()) };
        let id = peer.node.propose_change(raft).map_err(|error| peer.refusal(error))?;
        peer.change = Some((id, tag));
        self.dirty.insert(region);
        Ok(())
    }

    /// Asks the leader, here or elsewhere, to hand over to another peer.
    ///
    /// # Errors
    /// Why not. `Ok` is a beginning: whether it worked shows in who leads.
    pub fn transfer_leader(&mut self, region: RegionId, to: NodeId) -> Result<(), RegionError> {
        let not_found = RegionError::RegionNotFound { region };
        let peer = self.peers.get_mut(&region).ok_or(not_found)?;
        self.dirty.insert(region);
        peer.node
            .transfer_leader(to)
            .map_err(|error| RegionError::ServerIsBusy { reason: error.to_string() })
    }

    /// Begins an election now instead of waiting for a timeout, such as in a region of one peer.
    pub fn campaign(&mut self, region: RegionId) {
        if let Some(peer) = self.peers.get_mut(&region) {
            // One that may not campaign has its reasons.
            let _ = peer.node.campaign();
            self.dirty.insert(region);
        }
    }
}
