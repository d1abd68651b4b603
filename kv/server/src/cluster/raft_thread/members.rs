//! Members of a region that come and go by command.
//!
//! A store that is added learns first: were it to vote at once, the region would need it for a
//! majority while it has nothing yet. Whoever asks repeats the request until it votes, so that no
//! state is kept here.

use mutant::mutant;
use proto::peer::{Peer, Region, RegionError, RegionId, StoreId};
use raft::NodeId;
use raftstore::PeerChange;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::route::refusal;
use super::{Pending, RaftThread};
use crate::store::StoreError;

/// A learner that lacks no more entries than this may vote.
const BEHIND_MAX: u64 = 1000;

/// How long a change may take, in ticks.
const DEADLINE_TICKS: u32 = 100;

/// Where the outcome of a change goes, as JSON.
pub(in crate::cluster) type ChangeAnswer = oneshot::Sender<Result<Value, StoreError>>;

/// Who comes or goes.
#[derive(Clone, Copy, Debug)]
pub(in crate::cluster) enum MemberChange {
    Add { store: StoreId, learner: bool },
    Remove { store: StoreId },
}

/// What is to be done for a change.
enum Plan {
    /// It is as it shall be, or has to wait.
    Answer(Value),
    Propose(Peer, bool),
}

impl RaftThread {
    /// Does the next step of a change.
    pub(super) fn change(&mut self, region: RegionId, change: MemberChange, answer: ChangeAnswer) {
        match self.plan(region, change) {
            // An error means that nobody waits any more.
            Err(error) => drop(answer.send(Err(error))),
            Ok(Plan::Answer(json)) => drop(answer.send(Ok(json))),
            Ok(Plan::Propose(peer, remove)) => {
                let Some(known) = self.parts.node.store.region(region) else { return };
                let change = PeerChange { epoch: known.epoch, peer, remove };
                let tag = self.next_number();
                self.pending.insert(tag, Pending::Change { store: peer.store, answer });
                self.parts.node.store.change_peer(tag, region, change, DEADLINE_TICKS);
            }
        }
    }

    fn plan(&self, id: RegionId, change: MemberChange) -> Result<Plan, StoreError> {
        let store = &self.parts.node.store;
        let refused = |text: String| Err(StoreError::Refused(text));
        let Some(region) = store.region(id) else {
            return refused(format!("region {id} is not on this store"));
        };
        if !store.is_leader(id) {
            let leader = store.leader(id).map(|hint| hint.peer.store);
            let address = leader.and_then(|leader| self.parts.peers.native_of(leader.0));
            return Err(
                address.map_or(StoreError::NoLeader, |address| StoreError::NotLeader { address })
            );
        }
        match change {
            MemberChange::Remove { store: from } => match region.peer_on(from) {
                None => Ok(Plan::Answer(described(region, from, 0))),
                Some(_) if from == store.id() => refused(format!(
                    "store {from} leads region {id}: transfer its leadership first"
                )),
                Some(peer) => {
                    self.check_majority_without(region, peer)?;
                    Ok(Plan::Propose(peer, true))
                }
            },
            MemberChange::Add { store: to, learner } => match region.peer_on(to) {
                None if to == StoreId(0) || !self.parts.peers.connected().contains(&to.0) => {
                    refused(format!(
                        "store {to} has not connected to the leader, store {}: start it first",
                        store.id()
                    ))
                }
                None => Ok(Plan::Propose(new_peer(region, to)?, false)),
                Some(peer) if learner || !peer.learner => {
                    Ok(Plan::Answer(described(region, to, self.behind(id, peer.id))))
                }
                Some(peer) if !self.may_vote(id, peer.id) => {
                    Ok(Plan::Answer(described(region, to, self.behind(id, peer.id))))
                }
                Some(peer) => Ok(Plan::Propose(Peer { learner: false, ..peer }, false)),
            },
        }
    }

    /// Refuses to take a voter away if those that stay and are connected are no majority of those that
    /// stay: the region would stand still, and nobody could undo it.
    fn check_majority_without(&self, region: &Region, leaves: Peer) -> Result<(), StoreError> {
        let connected = self.parts.peers.connected();
        let is_up =
            |store: StoreId| store == self.parts.node.store.id() || connected.contains(&store.0);
        let stay = region.peers.iter().filter(|it| !it.learner && it.id != leaves.id);
        let (up, away): (Vec<&Peer>, Vec<&Peer>) = stay.partition(|it| is_up(it.store));
        if leaves.learner || up.len() > away.len() || mutant!("members-leave-unchecked") {
            return Ok(());
        }
        let names: Vec<String> = away.iter().map(|it| it.store.to_string()).collect();
        Err(StoreError::Refused(format!(
            "without store {} region {} would have no majority, since of the others these are not \
             connected: {}; start them, or remove them first",
            leaves.store,
            region.id,
            names.join(", ")
        )))
    }

    /// How many entries a peer lacks, as far as this leader knows.
    fn behind(&self, region: RegionId, peer: NodeId) -> u64 {
        let last = self.parts.node.store.status(region).map_or(0, |status| status.last.index.0);
        last.saturating_sub(self.matched(region, peer))
    }

    fn matched(&self, region: RegionId, peer: NodeId) -> u64 {
        let matched = self.parts.node.store.matched(region).into_iter().find(|(id, _)| *id == peer);
        matched.map_or(0, |(_, index)| index.0)
    }

    /// Whether a learner has the snapshot, and lacks few entries.
    fn may_vote(&self, region: RegionId, peer: NodeId) -> bool {
        let Some(status) = self.parts.node.store.status(region) else { return false };
        self.matched(region, peer) >= status.truncated.index.0.max(1)
            && self.behind(region, peer) <= BEHIND_MAX
    }

    /// Takes what a change came to.
    pub(super) fn changed(&mut self, tag: u64, result: Result<Region, RegionError>) {
        let Some(Pending::Change { store, answer }) = self.pending.remove(&tag) else { return };
        let outcome = result.map_err(|error| {
            let text = error.to_string();
            // What is overtaken by another change is tried again.
            refusal(error).unwrap_or(StoreError::Busy(text))
        });
        let json = outcome.map(|region| {
            let peer = region.peer_on(store).map(|peer| peer.id);
            described(&region, store, peer.map_or(0, |peer| self.behind(region.id, peer)))
        });
        // An error means that nobody waits any more.
        let _ = answer.send(json);
    }
}

/// What a store is to a region.
fn described(region: &Region, store: StoreId, behind: u64) -> Value {
    let is = match region.peer_on(store) {
        None => "none",
        Some(peer) if peer.learner => "learner",
        Some(_) => "voter",
    };
    json!({ "region": region.id.0, "store": store.0, "is": is, "behind": behind })
}

/// A peer that learns, under an id that the region never had: each change of members has another
/// number, and ids of the first members are those of their stores.
fn new_peer(region: &Region, store: StoreId) -> Result<Peer, StoreError> {
    match u32::try_from(store.0) {
        Ok(low) => {
            let id = NodeId(region.epoch.conf_ver << 32 | u64::from(low));
            Ok(Peer { id, store, learner: true })
        }
        Err(_) => {
            Err(StoreError::Refused(format!("store {store}: only ids below 2^32 can be added")))
        }
    }
}
