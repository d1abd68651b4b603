//! How long a start takes with and without hint files.
//!
//! `cargo run --release -p tinykv-engine --example restart -- [GIB] [VALUE_BYTES]`
//!
//! Fills a new folder under the system's temporary one (1 GiB of 1 KiB values unless told), closes
//! it, and opens it three times each way: with the files in the system's cache, and, where it may
//! drop that cache (on Linux as root), from the disk.

#![expect(clippy::print_stdout, reason = "it prints what it measured")]

use std::path::Path;
use std::time::{Duration, Instant};

use tinykv_engine::bitcask::{self, Bitcask, Options};
use tinykv_engine::{Batch, Cf, Durability, Engine};
use wal::RealFs;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn open(path: &Path) -> Outcome<Bitcask> {
    let options = Options { background: false, ..Options::default() };
    Ok(bitcask::open(RealFs::shared(), path, options)?)
}

fn fill(path: &Path, bytes: u64, value_bytes: usize) -> Outcome<u64> {
    let engine = open(path)?;
    let keys = bytes / value_bytes as u64;
    let value = vec![b'v'; value_bytes];
    let mut batch = Batch::new();
    for i in 0..keys {
        // Spread, so that keys do not arrive in order.
        let spread = i.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        batch.put(Cf::Default, format!("key{spread:016x}"), value.clone());
        if batch.len() == 256 {
            engine.write(std::mem::take(&mut batch), Durability::Never)?;
        }
    }
    engine.write(batch, Durability::Never)?;
    engine.flush()?;
    while engine.merge_step()? {}
    Ok(keys)
}

/// Has the system forget what it cached of files. Gives whether it did.
fn drop_cache() -> bool {
    std::fs::write("/proc/sys/vm/drop_caches", "1").is_ok()
}

/// The shortest of three starts.
fn time_open(path: &Path, keys: u64, is_cold: bool) -> Outcome<Duration> {
    let mut best = Duration::MAX;
    for _ in 0..3 {
        if is_cold && !drop_cache() {
            return Err("the cache cannot be dropped".into());
        }
        let start = Instant::now();
        let engine = open(path)?;
        best = best.min(start.elapsed());
        assert_eq!(engine.stats().cfs[Cf::Default.index()].keys, keys);
    }
    Ok(best)
}

fn main() -> Outcome<()> {
    let mut args = std::env::args().skip(1);
    let gib: f64 = args.next().map_or(Ok(1.0), |arg| arg.parse())?;
    let value_bytes: usize = args.next().map_or(Ok(1024), |arg| arg.parse())?;
    let folder = tempfile::tempdir()?;
    let keys = fill(folder.path(), (gib * f64::from(1 << 30)) as u64, value_bytes)?;
    println!("{gib} GiB in {keys} values of {value_bytes} bytes");
    let caches = if drop_cache() { &[false, true][..] } else { &[false] };
    let mut starts = Vec::new();
    for &is_cold in caches {
        starts.push((is_cold, "with hints", time_open(folder.path(), keys, is_cold)?));
    }
    for entry in std::fs::read_dir(folder.path())? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "hint") {
            std::fs::remove_file(path)?;
        }
    }
    for &is_cold in caches {
        starts.push((is_cold, "without hints", time_open(folder.path(), keys, is_cold)?));
    }
    starts.sort_by_key(|(is_cold, ..)| *is_cold);
    for (is_cold, how, took) in starts {
        let from = if is_cold { "disk" } else { "cache" };
        println!("start from the {from:<6} {how:<14} {:8.1} ms", took.as_secs_f64() * 1e3);
    }
    Ok(())
}
