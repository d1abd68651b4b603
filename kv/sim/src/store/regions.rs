//! The regions that a run begins with, and how clients find them.

use bytes::Bytes;
use node::format::encode_key;
use proto::peer::{Epoch, Peer, Region, RegionId};

use super::Store;
use crate::history::Op;
use crate::random::mix;

/// Where the second region begins, and the third.
const BOUNDS: [&str; 2] = ["k1", "k2"];

/// So many regions for all keys, each with a voter on each store.
pub(super) fn first(stores: u64, count: u64) -> Vec<Region> {
    let bound = |place: u64| -> Bytes {
        let inner = place > 0 && place < count;
        let bound = inner.then(|| BOUNDS.get(usize::try_from(place - 1).ok()?)).flatten();
        bound.map(|bound| encode_key(bound.as_bytes())).unwrap_or_default()
    };
    (0..count)
        .map(|place| Region {
            id: RegionId(place + 1),
            start: bound(place),
            end: bound(place + 1),
            epoch: Epoch::FIRST,
            peers: (1..=stores).map(|store| Peer::voter(store, store)).collect(),
        })
        .collect()
}

/// The region that a key belongs to, of so many.
pub(super) fn of(key: &str, count: u64) -> u64 {
    let before = BOUNDS.iter().filter(|bound| **bound <= key).count() as u64;
    (before + 1).min(count)
}

impl Store {
    /// The region that a client names; none: it leaves that to the store. A wrong one is noted.
    pub(super) fn route(&mut self, call: u64, op: &Op) -> Option<(RegionId, Epoch)> {
        let key = encode_key(op.keys().next()?.as_bytes());
        let region = self.node.store.region_of(&key).filter(|_| self.has_routes)?;
        let (id, epoch) = (region.id, region.epoch);
        match mix(call, 0) % 12 {
            0..6 => Some((id, epoch)),
            // As of before a split that has not been seen.
            6 => {
                self.misled.insert(call, "an old epoch");
                Some((id, Epoch { version: epoch.version - 1, ..epoch }))
            }
            // A region to which the key belonged once.
            7 => {
                let store = &self.node.store;
                let others = store.regions().filter_map(|other| store.region(other));
                let mut others = others.filter(|it| it.id != id && !it.peers.is_empty());
                let other = others.next()?;
                let named = (other.id, other.epoch);
                self.misled.insert(call, "a key of another region");
                Some(named)
            }
            // Who the members are is nothing to one who writes.
            8 => Some((id, Epoch { conf_ver: epoch.conf_ver - 1, ..epoch })),
            _ => None,
        }
    }

    /// Notes that a call was carried out, and complains if it must not.
    pub(super) fn was_carried_out(&mut self, call: u64) {
        if let Some(wrong) = self.misled.remove(&call) {
            self.output.alarms.push(format!("call {call} with {wrong} is carried out"));
        }
    }
}
