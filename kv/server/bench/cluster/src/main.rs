//! The same load on a tinykv cluster and on etcd, from one program: clients that each send their
//! next request when they have the answer to the last one. It prints one line: what, clients,
//! requests a second, the median and the 99th percentile in microseconds, errors.
//!
//! `etcd.sh` beside this crate runs both, in turns.

mod etcd;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bytes::Bytes;
use clap::{Parser, ValueEnum};
use client::{Client, Options, Raw};
use hdrhistogram::Histogram;

use etcd::Etcd;

/// Measures a cluster.
#[derive(Clone, Debug, Parser)]
struct Args {
    /// What listens at the addresses
    #[arg(long, value_enum)]
    target: Kind,
    /// HOST:PORT,HOST:PORT
    #[arg(long)]
    addr: String,
    /// What is asked
    #[arg(long, value_enum, default_value = "put")]
    op: Op,
    /// Clients, each with one request in flight
    #[arg(long, default_value_t = 64)]
    clients: usize,
    /// Connections that they share
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Bytes of a value
    #[arg(long, default_value_t = 256)]
    value_size: usize,
    /// Keys
    #[arg(long, default_value_t = 100_000)]
    keys: u64,
    /// Seconds that are measured
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Seconds before
    #[arg(long, default_value_t = 1)]
    warm_up: u64,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// tinykv, by its native protocol
    Tinykv,
    /// etcd 3, by gRPC
    Etcd,
}

/// A kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Op {
    /// A write
    Put,
    /// A linearizable read
    Get,
}

/// A connection.
#[derive(Clone)]
enum Target {
    Tinykv(Raw),
    Etcd(Etcd),
}

impl Target {
    async fn connect(args: &Args) -> Result<Target> {
        match args.target {
            Kind::Tinykv => {
                let options = Options { timeout: Duration::from_secs(10), ..Options::default() };
                Ok(Target::Tinykv(Client::connect(args.addr.as_str(), options).await?.raw()))
            }
            Kind::Etcd => {
                let first = args.addr.split(',').next().context("no address")?;
                Ok(Target::Etcd(Etcd::connect(first).await?))
            }
        }
    }

    async fn put(&mut self, key: Bytes, value: Bytes) -> Result<()> {
        match self {
            Target::Tinykv(raw) => Ok(raw.put(key, value).await?),
            Target::Etcd(etcd) => etcd.put(key, value).await,
        }
    }

    async fn get(&mut self, key: Bytes) -> Result<Option<Bytes>> {
        match self {
            Target::Tinykv(raw) => Ok(raw.get(key).await?),
            Target::Etcd(etcd) => etcd.get(key).await,
        }
    }
}

/// What the clients share.
struct Shared {
    args: Args,
    measuring: AtomicBool,
    stopping: AtomicBool,
    errors: AtomicU64,
}

fn main() -> Result<()> {
    let args = Args::parse();
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?
        .block_on(run(args))
}

async fn run(args: Args) -> Result<()> {
    let mut connections = Vec::new();
    for _ in 0..args.connections.min(args.clients).max(1) {
        connections.push(Target::connect(&args).await?);
    }
    if args.op == Op::Get {
        fill(&args, &connections).await?;
    }
    let shared = Arc::new(Shared {
        args,
        measuring: AtomicBool::new(false),
        stopping: AtomicBool::new(false),
        errors: AtomicU64::new(0),
    });
    let clients: Vec<_> = (0..shared.args.clients)
        .map(|number| {
            let target = connections[number % connections.len()].clone();
            tokio::spawn(client(number as u64, target, Arc::clone(&shared)))
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(shared.args.warm_up)).await;
    shared.measuring.store(true, Ordering::SeqCst);
    let started = Instant::now();
    tokio::time::sleep(Duration::from_secs(shared.args.seconds)).await;
    shared.measuring.store(false, Ordering::SeqCst);
    let took = started.elapsed();
    shared.stopping.store(true, Ordering::SeqCst);
    let mut all = times();
    for client in clients {
        all.add(client.await?)?;
    }
    let (args, errors) = (&shared.args, shared.errors.load(Ordering::SeqCst));
    println!(
        "{:?} {:?} {} {:.0} {} {} {errors}",
        args.target,
        args.op,
        args.clients,
        all.len() as f64 / took.as_secs_f64(),
        all.value_at_quantile(0.5),
        all.value_at_quantile(0.99),
    );
    Ok(())
}

/// Writes all keys.
async fn fill(args: &Args, connections: &[Target]) -> Result<()> {
    let value = Bytes::from(vec![b'x'; args.value_size]);
    let tasks: Vec<_> = (0..256_u64)
        .map(|task| {
            let mut target = connections[task as usize % connections.len()].clone();
            let (value, keys) = (value.clone(), args.keys);
            tokio::spawn(async move {
                for number in (task..keys).step_by(256) {
                    target.put(key(number), value.clone()).await?;
                }
                Ok::<_, anyhow::Error>(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    Ok(())
}

fn key(number: u64) -> Bytes {
    format!("key:{number:012}").into()
}

/// Room for times up to a minute, in microseconds.
fn times() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000, 3).expect("the bounds are in order")
}

/// Sends requests one after the other, and gives how long each took that was measured, in
/// microseconds.
async fn client(number: u64, mut target: Target, shared: Arc<Shared>) -> Histogram<u64> {
    let mut times = times();
    let value = Bytes::from(vec![b'x'; shared.args.value_size]);
    // A generator of its own for each, so that no two send the same keys.
    let mut random = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    while !shared.stopping.load(Ordering::Relaxed) {
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let key = key((random >> 33) % shared.args.keys);
        let started = Instant::now();
        let result = match shared.args.op {
            Op::Put => target.put(key, value.clone()).await,
            Op::Get => target.get(key).await.map(drop),
        };
        if !shared.measuring.load(Ordering::Relaxed) {
            continue;
        }
        match result {
            Ok(()) => times.saturating_record(started.elapsed().as_micros() as u64),
            Err(error) => {
                if shared.errors.fetch_add(1, Ordering::SeqCst) == 0 {
                    eprintln!("the first error: {error:#}");
                }
            }
        }
    }
    times
}
