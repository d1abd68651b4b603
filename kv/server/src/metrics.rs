//! What is counted. Each counter is found once, not by name in each request.

use prometheus_client::metrics::counter::Counter;

use std::time::Duration;

use crate::histogram::Histogram;

/// All counters of a server.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    /// Connections taken, by front door.
    pub(crate) connections_native: Counter,
    pub(crate) connections_resp: Counter,
    /// Commands of the Redis protocol.
    pub(crate) resp: RespMetrics,
    /// Requests of the native protocol that were answered, and refused.
    pub(crate) native_ok: Counter,
    pub(crate) native_failed: Counter,
    /// Bytes read from and written to clients.
    pub(crate) bytes_in: Counter,
    pub(crate) bytes_out: Counter,
    /// Groups of chunks carried out, and chunks in each.
    pub(crate) groups: Counter,
    pub(crate) group_chunks: Histogram,
    /// Writes that removed expired keys.
    pub(crate) swept: Counter,
    /// What was refused because of a limit.
    pub(crate) rejected: Rejected,
}

/// What was refused or closed because of a limit.
#[derive(Debug, Default)]
pub(crate) struct Rejected {
    /// Connections beyond the number allowed.
    pub(crate) connections: Counter,
    /// Requests beyond those in flight.
    pub(crate) inflight: Counter,
    /// Reads beyond those that wait for the disk.
    pub(crate) read_pool: Counter,
    /// Frames and requests that are too large or no protocol.
    pub(crate) protocol: Counter,
    /// Connections that were idle for too long.
    pub(crate) idle: Counter,
    /// Connections that did not take their answers.
    pub(crate) slow: Counter,
    /// Connections that did not take their answers while too many waited.
    pub(crate) answers: Counter,
}

/// Commands of the Redis protocol.
#[derive(Debug)]
pub(crate) struct RespMetrics {
    /// By their place in the table.
    pub(crate) commands: Vec<CommandMetrics>,
    /// Commands that there are not, or with a wrong number of words.
    pub(crate) unknown: Counter,
}

/// One command.
#[derive(Debug, Default)]
pub(crate) struct CommandMetrics {
    /// Answered.
    pub(crate) ok: Counter,
    /// Answered with an error.
    pub(crate) failed: Counter,
    /// From when it was read to when its answer was there, in microseconds.
    pub(crate) latency_us: Histogram,
}

impl Default for RespMetrics {
    fn default() -> RespMetrics {
        let commands = crate::resp::COMMANDS.iter().map(|_| CommandMetrics::default()).collect();
        RespMetrics { commands, unknown: Counter::default() }
    }
}

impl RespMetrics {
    /// Counts a command.
    pub(crate) fn count(&self, index: usize, is_ok: bool, took: Duration) {
        let metrics = &self.commands[index];
        if is_ok {
            metrics.ok.inc();
        } else {
            metrics.failed.inc();
        }
        metrics.latency_us.observe(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    /// All commands.
    pub(crate) fn total(&self) -> u64 {
        self.commands.iter().map(|it| it.ok.get() + it.failed.get()).sum::<u64>()
            + self.unknown.get()
    }
}
