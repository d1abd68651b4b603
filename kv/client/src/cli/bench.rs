//! `tinykv bench`.
//!
//! `workload` makes requests (whose keys `keys` chooses), `pace` says when they are sent, `target`
//! sends them (`resp` over the protocol of Redis), `record` takes the measurements, `report`
//! prints them, and `run` drives all that in phases.

mod keys;
mod pace;
mod record;
mod report;
mod resp;
mod run;
mod target;
mod workload;

use std::ops::RangeInclusive;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use clap::{Args, ValueEnum};

use crate::cli::output::Output;
use crate::cli::{Global, duration};
use keys::Distribution;
use run::Workers;
use workload::{Kind, Mix, Shape, Workload};

/// Measures throughput and latency of a server
///
/// Each of --connections has --pipeline lanes, and a lane has one request in flight. Without
/// --rate a lane sends its next request when it has its answer (closed loop). With --rate
/// requests are due at even distances, and latencies count from when a request was due, even if
/// all lanes were busy then (open loop): a server that stalls is not spared the requests that came
/// meanwhile.
///
/// The keys are KEY_PREFIX and a number. They are written before the measurement with --fill;
/// otherwise a get of an absent key counts as missing. Request number n is the same for the same
/// --seed, so two servers can be given the same work. The exit code is 1 if a request failed or a
/// value was wrong.
#[derive(Args)]
#[command(after_help = "\
Examples:
  tinykv bench --fill --duration 10s
  tinykv bench --mix get:50,set:50 --connections 64 --pipeline 16 --threads 2
  tinykv bench --rate 20000 --distribution zipfian --verify --fill
  tinykv bench --requests 100000 --mix set --value-size 100-2000 --json

  The same work for another server that speaks the protocol of Redis:
  tinykv bench --protocol resp --addr 127.0.0.1:6380 --fill
  tinykv bench --protocol resp --addr 127.0.0.1:6379 --fill")]
pub(crate) struct Bench {
    /// What the server at --addr speaks
    #[arg(long, value_enum, default_value = "native")]
    protocol: Protocol,
    /// Connections, which are shared out among the threads
    #[arg(long, default_value_t = 50, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    connections: u32,
    /// Requests in flight on each connection
    #[arg(long, default_value_t = 1, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pipeline: u32,
    /// Threads of this program
    #[arg(long, default_value_t = 1, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=256))]
    threads: u32,
    /// Kinds of requests and their weights: get, set, del, scan
    #[arg(long, default_value = "get:95,set:5", value_parser = Mix::parse)]
    mix: Mix,
    /// How long to measure [default: 10s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    duration: Option<Duration>,
    /// How many requests to measure; with --duration whatever comes first
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    requests: Option<u64>,
    /// How long to send requests before measuring [default: 1s, none with --requests]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    warm_up: Option<Duration>,
    /// Requests a second (open loop); without it as fast as answers come (closed loop)
    #[arg(long, value_name = "COUNT", value_parser = rate)]
    rate: Option<f64>,
    /// Write every key before measuring
    #[arg(long)]
    fill: bool,
    /// Check that each value read is one that this workload sets: same seed, same sizes
    #[arg(long)]
    verify: bool,
    /// Number of keys
    #[arg(long, default_value_t = 100_000, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..=1 << 40))]
    keys: u64,
    /// How keys are chosen
    #[arg(long, value_enum, default_value = "uniform")]
    distribution: Distribution,
    /// What keys begin with
    #[arg(long, default_value = "key:", value_name = "TEXT")]
    key_prefix: String,
    /// Bytes of a key with its prefix; more if its number needs them
    #[arg(long, default_value_t = 16, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    key_size: u32,
    /// Bytes of a value, as in 256 or 100-2000
    #[arg(long, default_value = "256", value_name = "BYTES", value_parser = sizes)]
    value_size: RangeInclusive<usize>,
    /// Pairs that a scan asks for
    #[arg(long, default_value_t = 100, value_name = "COUNT")]
    scan_limit: u32,
    /// Decides all requests
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    seed: u64,
}

/// A protocol to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Protocol {
    /// That of tinykv
    Native,
    /// That of Redis, which many servers speak
    Resp,
}

impl Protocol {
    fn name(self) -> &'static str {
        match self {
            Protocol::Native => "native",
            Protocol::Resp => "resp",
        }
    }
}

impl Bench {
    pub(crate) fn run(self, global: &Global, mut out: Output) -> anyhow::Result<ExitCode> {
        if self.protocol == Protocol::Resp && self.mix.has(Kind::Scan) {
            bail!("scan is a request of the native protocol only");
        }
        let workload = Arc::new(Workload::new(self.shape()));
        let workers = Workers::connect(&self, global)?;
        if self.fill {
            workers.fill(&self, &workload)?;
        }
        if workers.warm_up(&self, &workload).is_some_and(|warm_up| warm_up.interrupted) {
            bail!("interrupted before the measurement");
        }
        let phase = workers.measure(&self, &workload);
        let (kinds, all) = phase.figures();
        if out.json {
            out.json(&report::json(&self, &global.addr, &phase, &kinds, &all))?;
        } else {
            report::text(&mut out, &self, &global.addr, &phase, &kinds, &all)?;
        }
        out.flush()?;
        Ok(match (phase.interrupted, all.failed() + all.wrong) {
            (true, _) => ExitCode::from(130),
            (false, 0) => ExitCode::SUCCESS,
            (false, _) => ExitCode::FAILURE,
        })
    }

    /// The shape of the workload.
    fn shape(&self) -> Shape {
        Shape {
            mix: self.mix.clone(),
            distribution: self.distribution,
            keys: self.keys,
            key_prefix: self.key_prefix.clone(),
            key_bytes: self.key_size as usize,
            value_bytes: self.value_size.clone(),
            scan_limit: self.scan_limit,
            seed: self.seed,
        }
    }

    /// How long to measure; none if the number of requests alone decides.
    fn measured_time(&self) -> Option<Duration> {
        match (self.duration, self.requests) {
            (Some(duration), _) => Some(duration),
            (None, None) => Some(Duration::from_secs(10)),
            (None, Some(_)) => None,
        }
    }

    /// How long to send requests before measuring.
    fn warm_up_time(&self) -> Duration {
        let default = if self.requests.is_some() { 0 } else { 1 };
        self.warm_up.unwrap_or(Duration::from_secs(default))
    }
}

/// Reads a rate.
fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if (0.001..=1e8).contains(&rate) => Ok(rate),
        _ => Err("a rate is a number from 0.001 to 100000000".to_owned()),
    }
}

/// Reads a size or a range of sizes, up to a megabyte.
fn sizes(text: &str) -> Result<RangeInclusive<usize>, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (first.parse(), last.parse()) {
        (Ok(first), Ok(last)) if first <= last && last <= 1 << 20 => Ok(first..=last),
        _ => Err("a size is like 256 or 100-2000, at most 1048576".to_owned()),
    }
}
