//! The other stores: those that the configuration names, and those that have called since.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use super::lane::Lane;
use super::outgoing::{self, Way};
use super::{Deliver, Kind, Payload, PeerMetrics, PeersOptions};

/// The most stores that are known; more are refused.
const STORES_MAX: usize = 128;

/// All other stores.
pub(super) struct Others<M: Payload> {
    pub(super) options: Arc<PeersOptions>,
    deliver: Deliver,
    metrics: Arc<PeerMetrics>,
    known: RwLock<BTreeMap<u64, Lanes<M>>>,
}

/// The ways to one store.
pub(super) struct Lanes<M: Payload> {
    pub(super) messages: Arc<Lane<M>>,
    /// For what is large and can wait.
    pub(super) bulk: Arc<Lane<M>>,
    address: Arc<Mutex<String>>,
}

impl<M: Payload> std::fmt::Debug for Others<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Others").finish_non_exhaustive()
    }
}

impl<M: Payload> Clone for Lanes<M> {
    fn clone(&self) -> Lanes<M> {
        Lanes {
            messages: Arc::clone(&self.messages),
            bulk: Arc::clone(&self.bulk),
            address: Arc::clone(&self.address),
        }
    }
}

impl<M: Payload> Lanes<M> {
    /// Where the store is reached.
    pub(super) fn address(&self) -> String {
        self.address.lock().clone()
    }
}

impl<M: Payload> Others<M> {
    pub(super) fn new(
        options: Arc<PeersOptions>,
        deliver: Deliver,
        metrics: Arc<PeerMetrics>,
    ) -> Others<M> {
        Others { options, deliver, metrics, known: RwLock::default() }
    }

    /// Keeps connections to a store from now on. What the configuration says of its address counts;
    /// of other stores, what they said last. Gives whether it is known. Called on the thread of the
    /// connections.
    pub(super) fn meet(&self, id: u64, address: &str) -> bool {
        if id == self.options.store_id {
            return false;
        }
        let mut known = self.known.write();
        if let Some(lanes) = known.get(&id) {
            if !self.options.members.contains_key(&id) {
                *lanes.address.lock() = address.to_owned();
            }
            return true;
        }
        if known.len() >= STORES_MAX {
            return false;
        }
        let lane = || Arc::new(Lane::new(&self.options, Arc::clone(&self.metrics)));
        let address = Arc::new(Mutex::new(address.to_owned()));
        let lanes = Lanes { messages: lane(), bulk: lane(), address };
        let way = |kind| Way { kind, id, address: Arc::clone(&lanes.address) };
        let run = |way, lane, deliver| outgoing::run(way, lane, Arc::clone(&self.options), deliver);
        let (messages, bulk) = (Arc::clone(&lanes.messages), Arc::clone(&lanes.bulk));
        tokio::spawn(run(way(Kind::Messages), messages, Arc::clone(&self.deliver)));
        tokio::spawn(run(way(Kind::Bulk), bulk, Arc::new(drop)));
        known.insert(id, lanes);
        true
    }

    pub(super) fn get(&self, id: u64) -> Option<Lanes<M>> {
        self.known.read().get(&id).cloned()
    }

    /// All, by id.
    pub(super) fn all(&self) -> Vec<(u64, Lanes<M>)> {
        self.known.read().iter().map(|(id, lanes)| (*id, lanes.clone())).collect()
    }

    /// Answers all that waits.
    pub(super) fn close(&self) {
        for lanes in self.known.read().values() {
            lanes.messages.close();
            lanes.bulk.close();
        }
    }
}
