//! The facts of `/status`.

use engine::Cf;
use serde_json::{Value, json};

use crate::cluster::{Inspection, region_json};
use crate::context::Context;

/// What a person wants to know first.
pub(super) fn status(context: &Context, inspection: Option<&Inspection>) -> Value {
    let config = &context.config;
    let addresses = context.addresses.get().copied().unwrap_or_default();
    let text = |address: Option<std::net::SocketAddr>| address.map(|it| it.to_string());
    let engine = context.store.engine.stats();
    let cfs: serde_json::Map<String, Value> = Cf::ALL
        .into_iter()
        .map(|cf| {
            let stats = engine.cfs[cf.index()];
            (cf.name().to_owned(), json!({ "keys": stats.keys, "bytes": stats.bytes }))
        })
        .collect();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "mode": if config.is_clustered() { "cluster" } else { "solo" },
        "cluster": cluster(context, inspection),
        "uptime_seconds": context.started.elapsed().as_secs(),
        "engine": config.engine.name(),
        "path": config.path.display().to_string(),
        "durability": config.sync.name(),
        "failure": context.store.failure(),
        "addresses": {
            "native": text(addresses.native),
            "resp": text(addresses.resp),
            "status": text(addresses.status),
        },
        "connections": context.connections.len(),
        "requests_in_flight": context.store.admission.requests(),
        "keys": context.store.keys(),
        "column_families": cfs,
        "disk_bytes": engine.disk_bytes,
        "dead_bytes": engine.dead_bytes,
        "engine_counters": engine.extra.into_iter().map(|(name, value)| (name.to_owned(), value.into()))
            .collect::<serde_json::Map<String, Value>>(),
    })
}

/// What a person wants to know about the cluster; null where the store stands alone.
fn cluster(context: &Context, inspection: Option<&Inspection>) -> Value {
    let Some(cluster) = context.store.cluster() else { return Value::Null };
    let regions = inspection.map(|it| it.regions.iter().map(region_json).collect::<Vec<_>>());
    json!({
        "cluster_id": context.config.cluster_id,
        "store_id": context.config.store_id,
        "stores": cluster.stores(),
        "regions": regions,
        "requests": inspection.map(|it| it.requests),
        "requests_without_leader": inspection.map(|it| it.parked),
        "disk_is": inspection.and_then(|it| it.shortage.clone()),
        "failure": inspection.and_then(|it| it.failure.clone()),
    })
}
