//! What people ask a store of a cluster, and have it do.

use proto::admin::Request;
use proto::peer::{RegionId, StoreId};
use serde_json::{Value, json};

use super::raft_thread::MemberChange;
use super::{Cluster, region_json};
use crate::store::StoreError;

/// The most entries in one answer.
const ENTRIES_MAX: u32 = 10_000;

/// The most bytes of entries that are read for one answer.
const ENTRIES_BYTES_MAX: u64 = 4 << 20;

impl Cluster {
    /// Carries an admin request out; the answer is JSON.
    pub(crate) async fn admin(&self, request: Request) -> Result<Value, StoreError> {
        match request {
            Request::Regions => Ok(self.regions().await?.into()),
            Request::Region { id } => {
                let mut regions = self.regions().await?.into_iter();
                let found = regions.find(|region| region["id"] == id);
                found
                    .ok_or_else(|| StoreError::Refused(format!("region {id} is not on this store")))
            }
            Request::Stores => Ok(self.stores()),
            Request::TransferLeader { region, store } => {
                self.transfer(region, store).await.map_err(StoreError::Refused)?;
                Ok(json!({ "region": region, "asked_to_lead": store }))
            }
            Request::AddPeer { region, store, learner } => {
                self.change(region, MemberChange::Add { store: StoreId(store), learner }).await
            }
            Request::RemovePeer { region, store } => {
                self.change(region, MemberChange::Remove { store: StoreId(store) }).await
            }
            Request::RaftLog { region, limit } => self.raft_log(RegionId(region), limit),
        }
    }

    async fn regions(&self) -> Result<Vec<Value>, StoreError> {
        let inspection = self.inspect().await.ok_or(StoreError::Stopped)?;
        Ok(inspection.regions.iter().map(region_json).collect())
    }

    /// The stores of the cluster, this one too.
    pub(crate) fn stores(&self) -> Value {
        let others = self.peers.status().into_iter().map(|peer| {
            json!({
                "id": peer.store_id,
                "peer_address": peer.address,
                "native_address": peer.native,
                "connected": peer.connected,
                "queued_bytes": peer.queued_bytes,
            })
        });
        let this = json!({
            "id": self.store_id,
            "peer_address": self.members.get(&self.store_id),
            "native_address": self.native,
            "connected": true,
            "queued_bytes": 0,
            "this": true,
        });
        let mut stores: Vec<Value> = others.chain([this]).collect();
        stores.sort_by_key(|store| store["id"].as_u64());
        stores.into()
    }

    /// The newest entries of a region's log.
    fn raft_log(&self, region: RegionId, limit: u32) -> Result<Value, StoreError> {
        let group = raftstore::format::group(region);
        let Some(last) = self.log.last_index(group) else {
            return Err(StoreError::Refused(format!("region {region} has no log on this store")));
        };
        let first = self.log.first_index(group).unwrap_or(last);
        let end = last + 1;
        let mut from = first.max(end.saturating_sub(limit.clamp(1, ENTRIES_MAX).into()));
        let entries = loop {
            let entries = self
                .log
                .fetch(group, from..end, ENTRIES_BYTES_MAX)
                .map_err(|error| StoreError::Refused(format!("the log cannot be read: {error}")))?;
            let asked = end - from;
            if asked <= 1 || entries.len() as u64 == asked {
                break entries;
            }
            // Fewer of the newest, rather than as many of older ones.
            from = end - asked / 2;
        };
        let entry = |entry: &raftstore::LogEntry| {
            let entry = &entry.0;
            let kind = match &entry.payload {
                raft::Payload::Normal(command) if command.is_empty() => "new leader",
                raft::Payload::Normal(_) => "commands",
                raft::Payload::Change(_) => "membership change",
            };
            json!({
                "index": entry.index.0,
                "term": entry.term.0,
                "kind": kind,
                "bytes": entry.payload.len_bytes(),
            })
        };
        Ok(entries.iter().map(entry).collect())
    }
}
