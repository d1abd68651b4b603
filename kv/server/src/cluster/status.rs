//! What the raft thread tells about itself.

use raftstore::{Metrics, RegionStatus};
use serde_json::{Value, json};

/// How things were at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Inspection {
    /// Why it cannot go on, if it cannot.
    pub(crate) failure: Option<String>,
    /// Its regions.
    pub(crate) regions: Vec<RegionStatus>,
    /// What the raft store counts.
    pub(crate) raft: Metrics,
    /// Requests that the raft store has.
    pub(crate) requests: u64,
    /// Requests that wait for a leader.
    pub(crate) parked: u64,
    /// Groups of readers that wait until enough is applied.
    pub(crate) waiting_readers: u64,
    /// Bytes that wait for the log.
    pub(crate) log_bytes: u64,
    /// What the disk lacks, if it lacks room.
    pub(crate) shortage: Option<String>,
}

/// A region as JSON.
pub(crate) fn region_json(status: &RegionStatus) -> Value {
    let region = &status.region;
    let peers: Vec<Value> = region
        .peers
        .iter()
        .map(|it| json!({ "id": it.id.0, "store": it.store.0, "learner": it.learner }))
        .collect();
    json!({
        "id": region.id.0,
        "start": region.start.escape_ascii().to_string(),
        "end": region.end.escape_ascii().to_string(),
        "epoch": { "version": region.epoch.version, "conf_ver": region.epoch.conf_ver },
        "peers": peers,
        "role": format!("{:?}", status.role).to_lowercase(),
        "leader_store": status.leader.map(|it| it.store.0),
        "term": status.term.0,
        "committed": status.committed.0,
        "applied": status.applied.index.0,
        "first_index": status.truncated.index.0 + 1,
        "last_index": status.last.index.0,
        "proposals": status.proposals,
        "reads": status.reads,
    })
}
