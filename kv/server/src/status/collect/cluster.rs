//! The metrics of a store of a cluster: raft, log, apply, snapshots, connections.

use std::fmt;

use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;

use super::{counter, gauge, histogram};
use crate::cluster::Inspection;
use crate::context::Context;
use crate::histogram::Histogram;

/// Writes them; nothing where the store stands alone.
pub(super) fn encode(
    context: &Context,
    inspection: Option<&Inspection>,
    out: &mut DescriptorEncoder<'_>,
) -> fmt::Result {
    let Some(cluster) = context.store.cluster() else { return Ok(()) };
    if let Some(inspection) = inspection {
        raft(inspection, out)?;
    }
    let metrics = &cluster.metrics;
    counter(out, "raft_rounds", "Rounds of the raft thread", metrics.rounds.get())?;
    seconds(out, "raft_round_seconds", "A round of the raft thread", &metrics.round_us)?;
    let help = "From when a batch was handed to the log to when it was written";
    seconds(out, "wal_write_seconds", help, &metrics.log_write_us)?;
    seconds(out, "apply_seconds", "A group of tasks of the applier", &metrics.apply_us)?;
    let writes = metrics.forwarded_writes.get();
    counter(out, "forwarded_writes", "Writes sent to the leader for our clients", writes)?;
    let reads = metrics.forwarded_reads.get();
    counter(out, "forwarded_reads", "Rounds of reads confirmed by the leader", reads)?;
    let chunks = metrics.snapshot_chunks.get();
    counter(out, "snapshot_chunks_sent", "Parts of snapshots read to be sent", chunks)?;
    let checked = metrics.scrubbed_bytes.get();
    counter(out, "wal_scrubbed_bytes", "Bytes of the log checked for damage", checked)?;
    let help = "Times that the whole log was checked for damage";
    counter(out, "wal_scrub_rounds", help, metrics.scrub_rounds.get())?;
    let help = "Entries of the log found damaged or unreadable by a check";
    counter(out, "wal_scrub_damaged", help, metrics.scrub_damaged.get())?;
    peers(cluster.peers.metrics(), out)
}

/// What the raft store counts.
fn raft(inspection: &Inspection, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let raft = &inspection.raft;
    gauge(out, "raft_regions", "Regions on this store", raft.regions)?;
    gauge(out, "raft_leaders", "Regions that this store leads", raft.leaders)?;
    gauge(out, "raft_requests", "Requests that the raft store has", inspection.requests)?;
    gauge(out, "raft_requests_parked", "Requests without a leader", inspection.parked)?;
    let help = "Groups of readers that wait until enough is applied";
    gauge(out, "raft_readers_waiting", help, inspection.waiting_readers)?;
    gauge(out, "raft_log_queue_bytes", "Bytes that wait for the log", inspection.log_bytes)?;
    let (help, short) = ("Whether the disk lacks room", u64::from(inspection.shortage.is_some()));
    gauge(out, "disk_short", help, short)?;
    for (name, help, value) in [
        ("raft_elections_won", "Terms in which a peer here became leader", raft.elections_won),
        ("raft_commands", "Commands that were taken", raft.commands),
        ("raft_entries_proposed", "Entries that carried them", raft.entries_proposed),
        ("raft_entries_applied", "Entries applied", raft.entries_applied),
        ("raft_requests_failed", "Requests refused or failed", raft.failed),
        ("raft_reads", "Rounds of reads", raft.reads),
        ("raft_log_batches", "Batches given to the log", raft.log_batches),
        ("raft_messages_refused", "Messages of peers not taken", raft.messages_refused),
        ("raft_compactions", "Times that a log was cut off", raft.compactions),
        ("snapshots_sent", "Snapshots sent whole", raft.snapshots_sent),
        ("snapshots_given_up", "Snapshots given up on the way", raft.snapshots_given_up),
        ("snapshots_installed", "Snapshots installed", raft.snapshots_installed),
    ] {
        counter(out, name, help, value)?;
    }
    Ok(())
}

/// What the connections count.
fn peers(metrics: &crate::peer::PeerMetrics, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
    for (name, help, value) in [
        ("peer_sent_messages", "Messages to other stores", &metrics.sent_messages),
        ("peer_sent_writes", "Writes that carried them", &metrics.sent_frames),
        ("peer_sent_bytes", "Bytes to other stores", &metrics.sent_bytes),
        ("peer_received_messages", "Messages of other stores", &metrics.received_messages),
        ("peer_received_bytes", "Bytes of other stores", &metrics.received_bytes),
        ("peer_dropped_offline", "Messages without a connection", &metrics.dropped_offline),
        ("peer_dropped_full", "Messages dropped since too much waited", &metrics.dropped_full),
        ("peer_connections", "Connections to and from stores", &metrics.connections),
        ("peer_failures", "Connections that failed", &metrics.failures),
        ("peer_refused", "Connections of stores that were refused", &metrics.refused),
        ("peer_asks", "Requests to other stores", &metrics.asks),
        ("peer_asks_failed", "Requests to other stores without an answer", &metrics.asks_failed),
    ] {
        counter(out, name, help, value.get())?;
    }
    Ok(())
}

/// Writes a histogram of microseconds as seconds.
fn seconds(
    out: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: &Histogram,
) -> fmt::Result {
    histogram(&mut out.encode_descriptor(name, help, None, MetricType::Histogram)?, values, 1e-6)
}
