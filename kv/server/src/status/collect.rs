//! All metrics as Prometheus' text, collected when they are asked for.

mod cluster;

use std::fmt;
use std::sync::Arc;

use engine::Cf;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use crate::cluster::Inspection;
use crate::context::Context;
use crate::histogram::Histogram;
use crate::resp::COMMANDS;

/// All metrics as text.
pub(super) fn text(
    context: &Arc<Context>,
    inspection: Option<Inspection>,
) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("tinykv");
    registry.register_collector(Box::new(Facts { context: Arc::clone(context), inspection }));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry)?;
    Ok(text)
}

/// Reads the counters of a server.
#[derive(Debug)]
struct Facts {
    context: Arc<Context>,
    /// Of raft, where there is one.
    inspection: Option<Inspection>,
}

impl Collector for Facts {
    fn encode(&self, mut out: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        self.requests(&mut out)?;
        self.connections(&mut out)?;
        self.writes(&mut out)?;
        self.engine(&mut out)?;
        cluster::encode(&self.context, self.inspection.as_ref(), &mut out)
    }
}

/// Writes a number that only grows.
fn counter(out: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    let metric = ConstCounter::new(value);
    metric.encode(out.encode_descriptor(name, help, None, MetricType::Counter)?)
}

/// Writes a number that goes up and down.
fn gauge(out: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    let metric = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
    metric.encode(out.encode_descriptor(name, help, None, MetricType::Gauge)?)
}

/// Writes one histogram, whose values are multiplied to come to the unit.
fn histogram(out: &mut MetricEncoder<'_>, histogram: &Histogram, scale: f64) -> fmt::Result {
    let (sum, count, buckets) = histogram.snapshot();
    let scaled: Vec<(f64, u64)> = buckets
        .into_iter()
        .map(|(bound, count)| (if bound == f64::MAX { bound } else { bound * scale }, count))
        .collect();
    out.encode_histogram::<NoLabelSet>(sum as f64 * scale, count, &scaled, None)
}

impl Facts {
    fn requests(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let metrics = &self.context.metrics;
        let help = "Requests of the Redis protocol by command and result";
        let mut family = out.encode_descriptor("resp_requests", help, None, MetricType::Counter)?;
        for (spec, counts) in COMMANDS.iter().zip(&metrics.resp.commands) {
            for (result, count) in [("ok", &counts.ok), ("error", &counts.failed)] {
                let labels = [("command", spec.name), ("result", result)];
                ConstCounter::new(count.get()).encode(family.encode_family(&labels)?)?;
            }
        }
        let labels = [("command", "unknown"), ("result", "error")];
        let unknown = metrics.resp.unknown.get();
        ConstCounter::new(unknown).encode(family.encode_family(&labels)?)?;
        let help = "From a command's arrival to its answer";
        let seconds = Some(&Unit::Seconds);
        let mut family =
            out.encode_descriptor("resp_latency", help, seconds, MetricType::Histogram)?;
        for (spec, counts) in COMMANDS.iter().zip(&metrics.resp.commands) {
            if counts.ok.get() + counts.failed.get() > 0 {
                let labels = [("command", spec.name)];
                histogram(&mut family.encode_family(&labels)?, &counts.latency_us, 1e-6)?;
            }
        }
        let help = "Requests of the native protocol by result";
        let mut family =
            out.encode_descriptor("native_requests", help, None, MetricType::Counter)?;
        for (result, count) in [("ok", &metrics.native_ok), ("error", &metrics.native_failed)] {
            let labels = [("result", result)];
            ConstCounter::new(count.get()).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn connections(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let metrics = &self.context.metrics;
        let open = self.context.connections.len() as u64;
        gauge(out, "connections_open", "Connections that are open", open)?;
        let help = "Connections taken by front door";
        let mut family = out.encode_descriptor("connections", help, None, MetricType::Counter)?;
        let doors = [("native", &metrics.connections_native), ("resp", &metrics.connections_resp)];
        for (door, count) in doors {
            let labels = [("door", door)];
            ConstCounter::new(count.get()).encode(family.encode_family(&labels)?)?;
        }
        let rejected = &metrics.rejected;
        let help = "What was refused or closed because of a limit";
        let mut family = out.encode_descriptor("rejected", help, None, MetricType::Counter)?;
        for (limit, count) in [
            ("connections", &rejected.connections),
            ("inflight", &rejected.inflight),
            ("read_pool", &rejected.read_pool),
            ("protocol", &rejected.protocol),
            ("idle", &rejected.idle),
            ("slow", &rejected.slow),
            ("answers", &rejected.answers),
        ] {
            let labels = [("limit", limit)];
            ConstCounter::new(count.get()).encode(family.encode_family(&labels)?)?;
        }
        let waiting = self.context.backlog.bytes() as u64;
        gauge(out, "pending_answer_bytes", "Answers that their clients do not take", waiting)?;
        counter(out, "received_bytes", "Bytes read from clients", metrics.bytes_in.get())?;
        counter(out, "sent_bytes", "Bytes written to clients", metrics.bytes_out.get())
    }

    fn writes(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let (metrics, store) = (&self.context.metrics, &self.context.store);
        counter(out, "write_groups", "Groups of writes carried out", metrics.groups.get())?;
        let help = "Chunks of clients in one group";
        let family = out.encode_descriptor("write_group_chunks", help, None, MetricType::Histogram);
        histogram(&mut family?, &metrics.group_chunks, 1.0)?;
        counter(out, "swept_writes", "Writes that removed expired keys", metrics.swept.get())?;
        let inflight = store.admission.requests() as u64;
        gauge(out, "inflight_requests", "Requests that wait or run", inflight)?;
        let bytes = store.admission.bytes() as u64;
        gauge(out, "inflight_write_bytes", "Bytes of writes that wait or run", bytes)?;
        let queued = store.queued_chunks() as u64;
        gauge(out, "write_queue_chunks", "Chunks that wait for the write thread", queued)?;
        let jobs = store.pool.jobs() as u64;
        gauge(out, "read_pool_jobs", "Reads that wait for the disk or run", jobs)
    }

    fn engine(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let stats = self.context.store.engine.stats();
        let help = "Live keys by column family";
        let mut family = out.encode_descriptor("engine_keys", help, None, MetricType::Gauge)?;
        for cf in Cf::ALL {
            let keys = i64::try_from(stats.cfs[cf.index()].keys).unwrap_or(i64::MAX);
            ConstGauge::new(keys).encode(family.encode_family(&[("cf", cf.name())])?)?;
        }
        gauge(out, "engine_disk_bytes", "Bytes on disk", stats.disk_bytes)?;
        gauge(out, "engine_dead_bytes", "Bytes on disk that a merge frees", stats.dead_bytes)?;
        counter(out, "engine_syncs", "Syncs of data files", stats.syncs)?;
        counter(out, "engine_batches", "Batches written", stats.batches)?;
        counter(out, "engine_written_bytes", "Bytes written to disk", stats.written_bytes)?;
        let help = "Further counters of the engine";
        let mut family = out.encode_descriptor("engine_extra", help, None, MetricType::Gauge)?;
        for (name, value) in stats.extra {
            let value = i64::try_from(value).unwrap_or(i64::MAX);
            ConstGauge::new(value).encode(family.encode_family(&[("name", name)])?)?;
        }
        Ok(())
    }
}
