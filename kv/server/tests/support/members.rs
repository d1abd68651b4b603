//! Members of a cluster under test that come and go, and what stores say of the region.

use client::{AdminRequest, Client, Options};
use serde_json::Value;

use super::cluster::Cluster;
use super::http;

/// Asks the stores, until one answers.
#[allow(dead_code, reason = "not every suite needs every helper")]
pub(crate) fn admin(cluster: &Cluster, request: &AdminRequest) -> Value {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // Not the one that it is about, which may have no region.
    let about = match request {
        AdminRequest::AddPeer { store, .. } | AdminRequest::RemovePeer { store, .. } => *store,
        _ => 0,
    };
    let others = cluster.stores.iter().filter(|(id, _)| **id != about);
    let natives: Vec<&str> = others.map(|(_, store)| store.field("native")).collect();
    runtime.block_on(async {
        let options = Options { retries: 1000, ..Options::default() };
        let client = Client::connect(natives.join(","), options).await.unwrap();
        loop {
            match client.admin(request.clone()).await {
                Ok(json) => return serde_json::from_str(&json).unwrap(),
                // A store that has just started is not known to all yet.
                Err(_) => tokio::task::yield_now().await,
            }
        }
    })
}

/// Asks one store once, and gives why it refuses; empty if it does not.
#[allow(dead_code, reason = "not every suite needs every helper")]
pub(crate) fn refusal(cluster: &Cluster, store: u64, request: &AdminRequest) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let native = cluster.stores[&store].field("native").to_owned();
        let client = Client::connect(native, Options::default()).await.unwrap();
        client.admin(request.clone()).await.err().map_or(String::new(), |error| error.to_string())
    })
}

/// Has a store become a voter.
#[allow(dead_code, reason = "not every suite needs every helper")]
pub(crate) fn add(cluster: &Cluster, store: u64) {
    let request = AdminRequest::AddPeer { region: 1, store, learner: false };
    while admin(cluster, &request)["is"] != "voter" {}
}

/// The first region as a store sees it; null if it has none.
#[allow(dead_code, reason = "not every suite needs every helper")]
pub(crate) fn region_of(cluster: &Cluster, store: u64) -> Value {
    let (_, text) = http::get(cluster.stores[&store].field("status").parse().unwrap(), "/status");
    let status: Value = serde_json::from_str(&text).unwrap();
    status["cluster"]["regions"][0].clone()
}
