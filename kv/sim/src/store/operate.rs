//! What operators do to a store, what they can see of its logs, and what befalls chunks on the way.

use proto::peer::{Peer, PeerBody, PeerMessage, Region, RegionId, StoreId};
use raft::NodeId;
use raftstore::{Answer, PeerChange, format};
use rand::RngExt;
use rand::rngs::SmallRng;

use super::Store;
use crate::process::{Admin, Held, Log};

/// Voters that a region keeps.
const VOTERS_MIN: usize = 2;

impl Store {
    /// Does what an operator wants, if this store leads.
    pub(super) fn operate(&mut self, admin: &Admin) {
        let (Admin::Transfer { group, .. } | Admin::Member { group, .. }) = *admin;
        let region = RegionId(group);
        if !self.node.store.is_leader(region) {
            return;
        }
        match *admin {
            Admin::Transfer { to, .. } => {
                let peer = self.node.store.region(region).and_then(|it| it.peer_on(StoreId(to)));
                if let Some(peer) = peer.filter(|peer| !peer.learner) {
                    // A refusal is an answer.
                    let _ = self.node.store.transfer_leader(region, peer.id);
                }
            }
            Admin::Member { store, peer, .. } => self.change_member(region, store, peer),
        }
    }

    fn change_member(&mut self, region: RegionId, store: u64, number: u64) {
        let Some(now) = self.node.store.region(region) else { return };
        let voters = now.peers.iter().filter(|peer| !peer.learner).count();
        let new =
            Peer { id: NodeId(number), store: StoreId(store), learner: !number.is_multiple_of(3) };
        let (peer, remove) = match now.peer_on(StoreId(store)) {
            None => (new, false),
            Some(old) if old.learner && number.is_multiple_of(2) => {
                (Peer { learner: false, ..old }, false)
            }
            Some(old) if old.learner || voters > VOTERS_MIN => (old, true),
            Some(_) => return,
        };
        let change = PeerChange { epoch: now.epoch, peer, remove };
        self.changes.insert(number);
        self.node.store.change_peer(number, region, change, self.change_ticks);
    }

    /// Takes the answer to a change of members.
    pub(super) fn changed(&mut self, answer: &Answer<Region>) {
        if !self.changes.remove(&answer.tag) {
            self.output.alarms.push(format!("a change of members is answered twice: {answer:?}"));
        }
    }

    /// What it holds of the log of a region.
    pub(super) fn log(&self, region: RegionId) -> Option<Log> {
        let status = self.node.store.status(region)?;
        let (reader, group) = (self.wal.reader(), format::group(region));
        let mut entries = vec![Held {
            index: status.truncated.index.0,
            term: status.truncated.term.0,
            sound: true,
        }];
        for index in status.truncated.index.0 + 1..=reader.last_index(group).unwrap_or(0) {
            let sound = !status.damaged.iter().any(|damaged| damaged.0 == index);
            entries.push(Held { index, term: reader.term(group, index)?, sound });
        }
        let voters = status.region.peers.iter().filter(|peer| !peer.learner);
        Some(Log {
            group: region.0,
            voters: voters.map(|peer| peer.store.0).collect(),
            applied: status.applied.index.0,
            entries,
        })
    }
}

/// Flips a bit of a chunk of a snapshot: the only message that its receiver checks by itself, since
/// it was read from a disk.
pub(super) fn damage(message: &mut PeerMessage, rng: &mut SmallRng) -> bool {
    let PeerBody::Chunk(chunk) = &mut message.body else { return false };
    let mut data = chunk.data.to_vec();
    if data.is_empty() {
        return false;
    }
    let at = rng.random_range(0..data.len());
    data[at] ^= 1 << rng.random_range(0..8);
    chunk.data = data.into();
    true
}
