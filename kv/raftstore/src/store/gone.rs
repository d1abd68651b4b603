//! How a peer learns that it was removed while it was away.
//!
//! A leader sends nothing to whom it has removed, so one that was cut off or down at that time goes on
//! as if it were a member. It is told by whoever is sure:
//!
//! ```text
//!   removed peer                          any store that has, or had, the region
//!     | asks for votes, or after `stale_ticks` without a leader:
//!     |------- StillMember, its epoch ------->| the sender is not in the region as of a later epoch?
//!     |<------ Gone, that epoch --------------| then this; otherwise nothing
//!     | leaves a tombstone, removes its data
//! ```
//!
//! Why that is safe: a region as a store knows it is of a committed entry. A peer's epoch is never before
//! the one at which it was added: it takes no snapshot that does not name it, and until its first one
//! it goes by the epoch of whoever made it, who counted it as a member. Ids are never used again. So a
//! later epoch without the peer is one after its removal, whoever tells of it, be it one that was
//! removed since. Who is behind says nothing, and is not believed.

use std::collections::BTreeMap;

use mark::mark;
use mutant::mutant;
use proto::peer::{Epoch, Peer, PeerBody, PeerMessage, RegionId, StoreId};
use raft::Body;

use super::Store;

impl<R> Store<R> {
    /// Asks every store that is known whether this one is still a member of a region.
    pub(super) fn ask_whether_member(&mut self, region: RegionId) {
        let Some(peer) = self.peers.get(&region).filter(|_| !mutant!("stale-peer-silent")) else {
            return;
        };
        mark!("a peer asks whether it is still a member");
        let (from, epoch) = (peer.me, peer.region.epoch);
        let whoever = |store: &StoreId| Peer { store: *store, ..Peer::default() };
        let mut others: BTreeMap<StoreId, Peer> =
            self.addresses.keys().map(|store| (*store, whoever(store))).collect();
        let known = peer.strangers.values().chain(&peer.region.peers);
        others.extend(known.map(|other| (other.store, *other)));
        others.remove(&from.store);
        let body = PeerBody::StillMember;
        let ask = |to| PeerMessage { region, from, to, epoch, body: body.clone() };
        self.out.messages.extend(others.into_values().map(ask));
    }

    /// Tells the sender that it was removed, if it asks (for votes, or just that) and this store is
    /// sure.
    pub(super) fn tell_if_gone(&mut self, message: &PeerMessage) {
        let asks = match &message.body {
            PeerBody::StillMember => true,
            PeerBody::Raft(raft) => {
                matches!(raft.body, Body::RequestVote { .. } | Body::RequestPreVote { .. })
            }
            _ => false,
        };
        let known = match (self.peers.get(&message.region), self.tombstones.get(&message.region)) {
            (Some(peer), _) => &peer.region,
            (None, Some(tombstone)) => &tombstone.region,
            (None, None) => return,
        };
        let is_gone = asks
            && !known.peers.is_empty()
            && known.peer(message.from.id).is_none()
            && is_later(known.epoch, message.epoch);
        if is_gone {
            let (from, to) = (message.to, message.from);
            let (region, epoch) = (message.region, known.epoch);
            self.out.messages.push(PeerMessage { region, from, to, epoch, body: PeerBody::Gone });
        }
    }

    /// This peer is told that it was removed.
    pub(super) fn told_gone(&mut self, message: &PeerMessage) -> Option<()> {
        let peer = self.peers.get(&message.region)?;
        if is_later(message.epoch, peer.region.epoch) {
            mark!("a peer is told that it was removed");
            self.destroy(message.region);
        }
        Some(())
    }
}

/// Whether members of a region as of one epoch say who was removed since another one.
fn is_later(epoch: Epoch, than: Epoch) -> bool {
    let is_known = than.conf_ver > 0;
    is_known && epoch.conf_ver > than.conf_ver || mutant!("gone-by-older-epoch")
}
