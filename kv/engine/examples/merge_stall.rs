//! The longest waits of readers and writers, with merges and without, under full load.
//!
//! `cargo run --release -p tinykv-engine --example merge_stall -- [WRITES] [always|interval|never]`
//!
//! Two threads overwrite random keys of 200,000 as fast as they can, two others read. The load
//! runs twice without merges and twice with them, in turn. Both ways write the same batches.

#![expect(clippy::print_stdout, reason = "it prints what it measured")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use tinykv_engine::bitcask::{self, Bitcask, Options};
use tinykv_engine::{Batch, Cf, Durability, Engine};
use wal::RealFs;

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const KEYS: u64 = 200_000;
const VALUE_BYTES: usize = 1024;

fn key(i: u64) -> Vec<u8> {
    format!("key{i:012}").into_bytes()
}

/// A small generator (xorshift; Marsaglia 2003).
fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

fn write(engine: &Bitcask, i: u64, durability: Durability) -> Outcome<()> {
    let mut batch = Batch::new();
    batch.put(Cf::Default, key(i), vec![i as u8; VALUE_BYTES]);
    Ok(engine.write(batch, durability)?)
}

/// Prints percentiles of times in nanoseconds.
fn print(what: &str, mut times: Vec<u64>) {
    times.sort_unstable();
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize] as f64 / 1e3;
    println!(
        "  {what:6} {:9} times  p50 {:8.1} us  p99 {:8.1} us  p99.9 {:8.1} us  longest {:9.1} us",
        times.len(),
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0)
    );
}

fn run(writes: u64, durability: Durability, merges: bool) -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let options = Options { segment_bytes: 32 << 20, background: merges, ..Options::default() };
    let engine = bitcask::open(RealFs::shared(), folder.path(), options)?;
    for i in 0..KEYS {
        write(&engine, i, Durability::Never)?;
    }
    engine.flush()?;
    let done = AtomicBool::new(false);
    let start = Instant::now();
    let (mut written, mut read) = (Vec::new(), Vec::new());
    std::thread::scope(|scope| -> Outcome<()> {
        let writers: Vec<_> = (1..=2)
            .map(|seed| {
                let engine = &engine;
                scope.spawn(move || -> Outcome<Vec<u64>> {
                    let mut state = seed;
                    let mut times = Vec::new();
                    for _ in 0..writes / 2 {
                        let i = random(&mut state) % KEYS;
                        let start = Instant::now();
                        write(engine, i, durability)?;
                        times.push(start.elapsed().as_nanos() as u64);
                    }
                    Ok(times)
                })
            })
            .collect();
        let readers: Vec<_> = (3..=4)
            .map(|seed| {
                let (engine, done) = (&engine, &done);
                scope.spawn(move || -> Outcome<Vec<u64>> {
                    let mut state = seed;
                    let mut times = Vec::new();
                    while !done.load(Ordering::Relaxed) {
                        let i = random(&mut state) % KEYS;
                        let start = Instant::now();
                        let found = engine.get(Cf::Default, &key(i))?;
                        times.push(start.elapsed().as_nanos() as u64);
                        assert!(found.is_some_and(|value| value[0] == i as u8));
                    }
                    Ok(times)
                })
            })
            .collect();
        let joined: Outcome<Vec<Vec<u64>>> =
            writers.into_iter().map(|thread| thread.join().expect("no panic")).collect();
        done.store(true, Ordering::Relaxed);
        for thread in readers {
            read.extend(thread.join().expect("no panic")?);
        }
        written = joined?.concat();
        Ok(())
    })?;
    let stats = engine.stats();
    println!(
        "{} in {:.1} s; {} MiB on disk, {} MiB dead, {:?}",
        if merges { "with merges" } else { "without merges" },
        start.elapsed().as_secs_f64(),
        stats.disk_bytes >> 20,
        stats.dead_bytes >> 20,
        stats.extra
    );
    print("writes", written);
    print("reads", read);
    Ok(())
}

fn main() -> Outcome<()> {
    let mut args = std::env::args().skip(1);
    let writes: u64 = args.next().map_or(Ok(1_000_000), |arg| arg.parse())?;
    let durability = match args.next().as_deref() {
        Some("always") => Durability::Always,
        Some("never") => Durability::Never,
        None | Some("interval") => Durability::Interval,
        Some(other) => return Err(format!("no such level of durability: {other}").into()),
    };
    for merges in [false, true, false, true] {
        run(writes, durability, merges)?;
    }
    Ok(())
}
