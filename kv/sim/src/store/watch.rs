//! What a store does, as facts for the invariants; and its messages in few words.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use engine::{Cf, Direction, Engine};
use node::{RawMachine, Response};
use proto::peer::{PeerBody, PeerMessage, Region, RegionId};
use raft::{Body, Entry, Payload, RoleKind};
use raftstore::format::{AppliedState, region_key};
use raftstore::{Done, StateMachine, Store, Task};

use super::fact;
use crate::process::{Deed, Fact, State};
use crate::random::{mix, mix_bytes};

/// What was told of each region already.
#[derive(Debug, Default)]
pub(super) struct Watch {
    regions: BTreeMap<RegionId, Told>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Told {
    led: u64,
    committed: u64,
    truncated: u64,
    applied: u64,
}

impl Watch {
    /// A region of a store that starts is applied up to here.
    pub(super) fn starts_at(&mut self, region: u64, applied: u64) {
        self.regions.entry(RegionId(region)).or_default().applied = applied;
    }

    /// Tells what changed in the regions of a store.
    pub(super) fn looks(&mut self, store: &Store<Vec<Response>>, facts: &mut Vec<Fact>) {
        self.regions.retain(|region, _| {
            let stays = store.region(*region).is_some();
            if !stays {
                facts.push(fact(*region, Deed::Gone));
            }
            stays
        });
        for region in store.regions() {
            let Some(status) = store.status(region) else { continue };
            let told = self.regions.entry(region).or_default();
            let term = status.term.0;
            if status.role == RoleKind::Leader && told.led != term {
                told.led = term;
                facts.push(fact(region, Deed::Leads { term }));
            }
            let (committed, truncated) = (status.committed.0, status.truncated.index.0);
            if committed != told.committed {
                told.committed = committed;
                facts.push(fact(region, Deed::Committed { index: committed }));
            }
            if truncated > told.truncated {
                // What a store starts with was cut off long ago.
                if told.truncated > 0 {
                    facts.push(fact(region, Deed::Compacted { index: truncated }));
                }
                told.truncated = truncated;
            }
        }
    }

    /// Tells which entries a leader says are in its log.
    pub(super) fn sends(&self, message: &PeerMessage, facts: &mut Vec<Fact>) {
        let PeerBody::Raft(raft::Message { body: Body::Append { prev, entries, .. }, .. }) =
            &message.body
        else {
            return;
        };
        let mut before = prev.term.0;
        for entry in entries {
            let (index, term) = (entry.index.0, entry.term.0);
            let digest = digest_of(entry);
            let deed = Deed::Appended { index, term, before: Some(before), digest };
            facts.push(fact(message.region, deed));
            before = term;
        }
    }

    /// The entries in tasks, by region.
    pub(super) fn committed(tasks: &[Task]) -> BTreeMap<(RegionId, u64), (u64, u64)> {
        let mut committed = BTreeMap::new();
        for task in tasks {
            let Task::Apply { region, entries } = task else { continue };
            for entry in entries.iter().flatten() {
                committed.insert((*region, entry.index.0), (entry.term.0, digest_of(entry)));
            }
        }
        committed
    }

    /// Tells which of the entries were applied.
    pub(super) fn applied(
        &mut self,
        committed: &BTreeMap<(RegionId, u64), (u64, u64)>,
        done: &[Done<Vec<Response>>],
        facts: &mut Vec<Fact>,
    ) {
        for done in done {
            match done {
                Done::Applied(applied) => {
                    let region = applied.region;
                    let told = self.regions.entry(region).or_default();
                    let new = (region, told.applied + 1)..=(region, applied.last.index.0);
                    // What a snapshot covered is passed over.
                    if applied.last.index.0 <= told.applied {
                        continue;
                    }
                    for ((_, index), (term, digest)) in committed.range(new) {
                        let deed = Deed::Applied { index: *index, term: *term, digest: *digest };
                        facts.push(fact(region, deed));
                    }
                    told.applied = applied.last.index.0;
                }
                Done::Installed(meta) => {
                    let (region, index) = (meta.state.region.id, meta.last.index.0);
                    self.regions.entry(region).or_default().applied = index;
                    facts.push(fact(region, Deed::Restored { index }));
                }
                Done::Destroyed(_) | Done::Snapshot(..) | Done::Flushed(_) => {}
            }
        }
    }
}

fn digest_of(entry: &Entry) -> u64 {
    match &entry.payload {
        Payload::Normal(command) => mix_bytes(1, command),
        Payload::Change(change) => mix_bytes(2, format!("{change:?}").as_bytes()),
    }
}

/// Up to where the engine has applied regions, and what it holds of them.
pub(super) fn states(engine: &dyn Engine, regions: &[&Region]) -> engine::Result<Vec<State>> {
    let view = engine.view()?;
    let mut states = Vec::new();
    for region in regions {
        let applied = view.get(Cf::Raft, &region_key(region.id, b'a'))?;
        let applied = applied.and_then(|bytes: Bytes| AppliedState::decode(&bytes));
        let state = view.get(Cf::Raft, &region_key(region.id, b'r'))?.unwrap_or_default();
        let mut digest = mix_bytes(0, &state);
        for (cf, range) in RawMachine::ranges(region) {
            digest = mix(digest, cf.index() as u64);
            for pair in view.iter(cf, range, Direction::Forward) {
                let (key, value) = pair?;
                if RawMachine::owns(region, cf, &key) {
                    digest = mix_bytes(mix_bytes(digest, &key), &value);
                }
            }
        }
        let (applied, time) = applied.map_or((0, 0), |it| (it.id.index.0, it.time));
        let digest = mix(digest, time);
        let members = region.peers.iter().map(|peer| peer.store.0).collect();
        states.push(State { group: region.id.0, applied, digest, members });
    }
    Ok(states)
}

/// A message in few words.
pub(super) fn describe(message: &PeerMessage) -> String {
    let raft = match &message.body {
        PeerBody::Raft(raft) => raft,
        PeerBody::Chunk(chunk) => {
            let last = if chunk.last { ", the last" } else { "" };
            return format!("chunk {}{last}", chunk.number);
        }
        PeerBody::ChunkAck { next, .. } => return format!("has chunks below {next}"),
        PeerBody::SnapshotRefused { .. } => return "refuses the snapshot".to_owned(),
        PeerBody::StillMember => return "am I still a member?".to_owned(),
        PeerBody::Gone => return "you were removed".to_owned(),
    };
    let term = raft.term.0;
    let what = match &raft.body {
        Body::RequestPreVote { last } => {
            format!("pre-vote? log ends at {}.{}", last.term.0, last.index.0)
        }
        Body::PreVoteResponse(vote) => format!("pre-vote: {}", yes(vote.granted)),
        Body::RequestVote { last, .. } => {
            format!("vote? log ends at {}.{}", last.term.0, last.index.0)
        }
        Body::VoteResponse(vote) => format!("vote: {}", yes(vote.granted)),
        Body::Append { prev, commit, entries } => {
            format!(
                "append {} after {}.{}, commit {}",
                entries.len(),
                prev.term.0,
                prev.index.0,
                commit.0
            )
        }
        Body::AppendAccepted { index } => format!("has up to {}", index.0),
        Body::AppendRejected { rejected, .. } => format!("has not {}", rejected.0),
        Body::Heartbeat { commit, .. } => format!("heartbeat, commit {}", commit.0),
        Body::HeartbeatResponse { .. } => "heartbeat heard".to_owned(),
        Body::Commit { index } => format!("commit {}", index.0),
        other => format!("{other:?}").chars().take(40).collect(),
    };
    format!("t{term} {what}")
}

fn yes(granted: bool) -> &'static str {
    if granted { "yes" } else { "no" }
}

/// A number that tells messages apart. Most are of few kinds, and there are many of them.
pub(super) fn digest(message: &PeerMessage) -> u64 {
    let PeerMessage { region, epoch, body, .. } = message;
    let hash = mix(mix(mix(1, region.0), epoch.conf_ver), epoch.version);
    let PeerBody::Raft(raft) = body else { return digest_whole(message) };
    let hash = mix(hash, raft.term.0);
    match &raft.body {
        Body::Append { prev, commit, entries } => {
            let hash = mix(mix(mix(hash, prev.index.0), prev.term.0), commit.0);
            let entries = entries.iter();
            entries.fold(hash, |hash, it| mix(mix(hash, it.term.0), digest_of(it)))
        }
        Body::AppendAccepted { index } => mix(mix(hash, 2), index.0),
        Body::Heartbeat { commit, round } => mix(mix(mix(hash, 3), commit.0), *round),
        Body::HeartbeatResponse { round } => mix(mix(hash, 4), *round),
        Body::Commit { index } => mix(mix(hash, 5), index.0),
        _ => digest_whole(message),
    }
}

fn digest_whole(message: &PeerMessage) -> u64 {
    let mut bytes = BytesMut::new();
    message.encode(&mut bytes);
    mix_bytes(0, &bytes)
}
