//! Looking at a store of a cluster, and steering it.

use serde::{Deserialize, Serialize};

/// A request of the admin API. Each is answered for the store that gets it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Its regions. The answer is a list.
    #[serde(rename = "regions")]
    Regions,
    /// One of them. The answer is an object.
    #[serde(rename = "region")]
    Region {
        /// Its id.
        id: u64,
    },
    /// The stores of the cluster, as far as it knows. The answer is a list.
    #[serde(rename = "stores")]
    Stores,
    /// Hands leadership of a region over. The answer is an object; whether it worked shows in who
    /// leads.
    #[serde(rename = "transfer")]
    TransferLeader {
        /// The region.
        region: u64,
        /// The store that shall lead.
        store: u64,
    },
    /// One step towards a peer of a region on a store: it becomes a learner, and once it has about
    /// all entries, and it shall vote, a voter. The answer is an object: what it is now, and how many
    /// entries it lacks. Repeated until `is` says what is wanted.
    #[serde(rename = "add")]
    AddPeer {
        /// The region.
        region: u64,
        /// The store.
        store: u64,
        /// It shall not vote.
        learner: bool,
    },
    /// Removes a region's peer from a store, with its data there. The answer is an object.
    #[serde(rename = "remove")]
    RemovePeer {
        /// The region.
        region: u64,
        /// The store.
        store: u64,
    },
    /// The newest entries of a region's raft log. The answer is a list.
    #[serde(rename = "log")]
    RaftLog {
        /// The region.
        region: u64,
        /// How many entries at most.
        limit: u32,
    },
}

/// The answer to a [`Request`]: JSON, whose fields are for people and may become more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Response {
    /// A JSON text.
    #[serde(rename = "j")]
    pub json: String,
}
