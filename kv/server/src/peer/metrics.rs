//! What is counted about the connections between stores.

use prometheus_client::metrics::counter::Counter;

/// Counters of all connections to and from other stores.
#[derive(Debug, Default)]
pub struct PeerMetrics {
    /// Messages that left.
    pub sent_messages: Counter,
    /// Frames that left; one carries many messages.
    pub sent_frames: Counter,
    /// Bytes that left.
    pub sent_bytes: Counter,
    /// Messages that came.
    pub received_messages: Counter,
    /// Bytes that came.
    pub received_bytes: Counter,
    /// Messages dropped since there was no connection.
    pub dropped_offline: Counter,
    /// Messages dropped since too much waited.
    pub dropped_full: Counter,
    /// Connections that came about, ours and theirs.
    pub connections: Counter,
    /// Connections and attempts that failed, ours.
    pub failures: Counter,
    /// Connections of others that were refused.
    pub refused: Counter,
    /// Requests sent to other stores.
    pub asks: Counter,
    /// Requests that got no answer.
    pub asks_failed: Counter,
}
