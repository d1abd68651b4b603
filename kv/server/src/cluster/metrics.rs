//! What is counted about raft, beside what the raft store counts itself.

use prometheus_client::metrics::counter::Counter;

use crate::histogram::Histogram;

/// Counters of the raft thread and those around it.
#[derive(Debug, Default)]
pub(crate) struct ClusterMetrics {
    /// Rounds of the raft thread, and how long each took.
    pub(crate) rounds: Counter,
    pub(crate) round_us: Histogram,
    /// From when a batch was handed to the log to when it was durable.
    pub(crate) log_write_us: Histogram,
    /// Tasks of the applier, and how long a group of them took.
    pub(crate) apply_us: Histogram,
    /// What this store sent to the leader for its clients.
    pub(crate) forwarded_writes: Counter,
    pub(crate) forwarded_reads: Counter,
    /// Bytes of the log that the scrubber has checked, how often it was through, and the entries
    /// that it found damaged or could not read.
    pub(crate) scrubbed_bytes: Counter,
    pub(crate) scrub_rounds: Counter,
    pub(crate) scrub_damaged: Counter,
    /// Parts of snapshots that were read to be sent.
    pub(crate) snapshot_chunks: Counter,
}
