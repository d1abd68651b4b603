//! How long a store takes to come back, and what its clients notice of it: after `kill -9`, after it
//! was away for so long that it needs a snapshot, and when it lost its disk and a new one takes its
//! place.
//!
//! Eight clients write through the other stores all the time. `make recovery` prints the figures
//! with a GiB of data (`MIB=1024`); as a test it has some MiB, and only looks that all is there.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]
#![expect(clippy::print_stdout, reason = "it says what it does, and how to replay it")]

#[path = "support/cluster.rs"]
mod cluster;
#[path = "support/http.rs"]
mod http;
#[path = "support/members.rs"]
mod members;
#[path = "support/program.rs"]
mod program;
#[path = "support/proxy.rs"]
mod proxy;
#[path = "support/resp.rs"]
mod resp;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use client::AdminRequest;
use cluster::Cluster;
use members::{add, admin, region_of};
use resp::{Resp, encode};

const VALUE_BYTES: usize = 1024;
const CLIENTS: usize = 8;

/// What is counted as one moment.
const BUCKET: Duration = Duration::from_millis(200);

/// Writes data through store 1 until there are so many MiB. Gives how many keys.
fn fill(cluster: &Cluster, mib: usize) -> usize {
    let mut client = cluster.client(1);
    let keys = mib * 1024 * 1024 / VALUE_BYTES;
    let value = vec![b'x'; VALUE_BYTES];
    for first in (0..keys).step_by(64) {
        let last = (first + 64).min(keys);
        let mut requests = Vec::new();
        for key in first..last {
            requests.extend(encode(&[b"SET", format!("data:{key}").as_bytes(), &value]));
        }
        client.send_raw(&requests);
        for _ in first..last {
            assert!(matches!(client.receive(), Some(proto::resp::Value::Simple(_))));
        }
    }
    keys
}

/// Clients that write all the time, and how many writes were answered in each moment.
struct Load {
    started: Instant,
    buckets: Arc<Vec<AtomicU64>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(through: &[SocketAddr]) -> Load {
        let started = Instant::now();
        // An hour.
        let buckets: Arc<Vec<AtomicU64>> =
            Arc::new((0..5 * 3600).map(|_| AtomicU64::new(0)).collect());
        let stop = Arc::new(AtomicBool::new(false));
        let client = |number: usize| {
            let (buckets, stop) = (Arc::clone(&buckets), Arc::clone(&stop));
            let mut client = Resp::connect(through[number % through.len()]);
            let value = "y".repeat(256);
            std::thread::spawn(move || {
                let mut turn = 0;
                while !stop.load(Ordering::SeqCst) {
                    turn += 1;
                    if client.run(&format!("SET load:{number}:{} {value}", turn % 1000)) == "OK" {
                        let bucket = started.elapsed().as_millis() / BUCKET.as_millis();
                        buckets[bucket as usize].fetch_add(1, Ordering::SeqCst);
                    }
                }
            })
        };
        let threads = (0..CLIENTS).map(client).collect();
        Load { started, buckets, stop, threads }
    }

    fn written(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.load(Ordering::SeqCst)).sum()
    }

    /// Waits until so many more writes are answered.
    fn wait(&self, more: u64) {
        let target = self.written() + more;
        while self.written() < target {
            std::thread::yield_now();
        }
    }

    /// Writes a second from one moment to another, on the whole and in the worst moment.
    fn rates(&self, from: Duration, to: Duration) -> (u64, u64) {
        let bucket = |at: Duration| (at.as_millis() / BUCKET.as_millis()) as usize;
        let (first, last) = (bucket(from), bucket(to).max(bucket(from) + 1));
        let counts = || self.buckets[first..last].iter().map(|it| it.load(Ordering::SeqCst));
        let per_second = 1000 / BUCKET.as_millis() as u64;
        let whole = counts().sum::<u64>() * per_second / (last - first) as u64;
        (whole, counts().min().unwrap_or(0) * per_second)
    }

    /// Prints how long something took, and what clients had meanwhile and before.
    fn print(&self, what: &str, before: Duration, begin: Duration, end: Duration) {
        let ((usual, _), (during, worst)) = (self.rates(before, begin), self.rates(begin, end));
        println!(
            "{what}: {:.1} s; {during} writes a second meanwhile, {worst} at worst; {usual} before",
            (end - begin).as_secs_f64()
        );
    }

    fn stop(self) {
        self.stop.store(true, Ordering::SeqCst);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
}

/// Waits until a store has applied what was committed when this was called.
fn wait_caught_up(cluster: &Cluster, store: u64, witness: u64) {
    let committed = region_of(cluster, witness)["committed"].as_u64().unwrap();
    while region_of(cluster, store)["applied"].as_u64().is_none_or(|applied| applied < committed) {}
}

/// Checks that a store has the data, by a sample.
fn check_data(cluster: &Cluster, store: u64, keys: usize) {
    let mut client = cluster.client(store);
    for key in (0..keys).step_by((keys / 1000).max(1)) {
        assert_eq!(client.run(&format!("STRLEN data:{key}")), VALUE_BYTES.to_string());
    }
}

#[test]
fn a_store_comes_back_with_all_its_data() {
    let mib = std::env::var("MIB").ok().map_or(4, |text| text.parse().unwrap());
    // As a test it must not take long until who is away needs a snapshot.
    let flags = ["--request-timeout=60s", "--raft-log-entries=200"];
    let mut cluster = Cluster::start(3, &flags[..if mib > 100 { 1 } else { 2 }]);
    (1..=3).for_each(|id| cluster.wait_ready(id));
    let started = Instant::now();
    let keys = fill(&cluster, mib);
    println!("{mib} MiB in {keys} keys, written in {:.1} s", started.elapsed().as_secs_f64());
    let witness = cluster.leader(&[1]);
    let (back, lost) = (witness % 3 + 1, (witness + 1) % 3 + 1);
    let load = Load::start(&[cluster.stores[&witness].resp()]);
    let usual = if mib > 100 { 20_000 } else { 200 };
    let now = || load.started.elapsed();

    let before = now();
    load.wait(usual);
    cluster.kill(back);
    let begin = now();
    cluster.start_store(back);
    println!("started again after {:.1} s", (now() - begin).as_secs_f64());
    wait_caught_up(&cluster, back, witness);
    load.print("killed, and back with its log", before, begin, now());

    let before = now();
    load.wait(usual);
    cluster.kill(back);
    let last = region_of(&cluster, witness)["last_index"].as_u64().unwrap();
    while region_of(&cluster, witness)["first_index"].as_u64().unwrap() <= last {}
    let begin = now();
    cluster.start_store(back);
    wait_caught_up(&cluster, back, witness);
    load.print("away, and back with a snapshot", before, begin, now());

    let before = now();
    load.wait(usual);
    cluster.kill(lost);
    cluster.wipe(lost);
    let begin = now();
    admin(&cluster, &AdminRequest::RemovePeer { region: 1, store: lost });
    cluster.start_joiner(4);
    add(&cluster, 4);
    wait_caught_up(&cluster, 4, witness);
    load.print("lost its disk, and replaced", before, begin, now());
    assert!(cluster.metric(4, "tinykv_snapshots_installed_total") > 0.0);
    load.stop();
    for store in [back, 4] {
        check_data(&cluster, store, keys);
    }
}
