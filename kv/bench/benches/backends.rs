//! Single calls on every backend, as criterion measures them: one thread, a store that fits in the
//! cache, writes that nobody waits for.
//!
//! `cargo bench --package tinykv-bench -- 'get hit'` compares one call; the keys and values are
//! those of the bench.

use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use engine::{Batch, Cf, Direction, Durability, Engine, Range};
use tempfile::TempDir;
use tinykv_bench::backend::{self, Backend, Settings};
use tinykv_bench::keys::{self, Picker, Popularity};
use tinykv_bench::level::Level;

const KEYS: u64 = 100_000;
const VALUE_BYTES: usize = 100;
const SCAN_KEYS: u64 = 100;

fn put(batch: &mut Batch, number: u64, version: u64) {
    let value: Bytes = keys::value(number, version, VALUE_BYTES);
    batch.put(Cf::Default, keys::key(number).to_vec(), value);
}

/// A backend with all keys, and the folder that must outlive it.
fn filled(backend: &Backend) -> (Arc<dyn Engine>, TempDir) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let settings = Settings { level: Level::None, cache_bytes: 256 << 20 };
    let engine = (backend.open)(&folder.path().join("store"), settings).expect("it opens");
    for start in (0..KEYS).step_by(1_000) {
        let mut batch = Batch::new();
        (start..start + 1_000).for_each(|number| put(&mut batch, number, 0));
        engine.write(batch, Durability::Never).expect("there is space");
    }
    engine.flush().expect("the disk works");
    (engine, folder)
}

fn picker() -> Picker {
    Picker::new(KEYS - SCAN_KEYS, Popularity::Uniform, 7)
}

fn reads(c: &mut Criterion, name: &str, engine: &dyn Engine) {
    let get = |key: [u8; keys::KEY_BYTES]| {
        engine.get(Cf::Default, black_box(&key)).expect("the store is sound")
    };
    let mut hits = picker();
    c.benchmark_group("get hit").bench_function(name, |b| {
        b.iter_batched(|| keys::key(hits.pick()), get, BatchSize::SmallInput);
    });
    let mut misses = picker();
    c.benchmark_group("get miss").bench_function(name, |b| {
        b.iter_batched(|| keys::absent_key(misses.pick()), get, BatchSize::SmallInput);
    });
    for (group, direction) in
        [("scan 100 forward", Direction::Forward), ("scan 100 backward", Direction::Backward)]
    {
        let mut starts = picker();
        c.benchmark_group(group).bench_function(name, |b| {
            let range = |start: u64| {
                let end = keys::key(start + SCAN_KEYS).to_vec();
                Range::new(keys::key(start).to_vec(), end)
            };
            let scan = |range: Range| {
                let view = engine.view().expect("a view");
                view.iter(Cf::Default, range, direction).count()
            };
            b.iter_batched(|| range(starts.pick()), scan, BatchSize::SmallInput);
        });
    }
    c.benchmark_group("view").bench_function(name, |b| b.iter(|| engine.view().expect("a view")));
}

fn writes(c: &mut Criterion, name: &str, engine: &dyn Engine) {
    for (group, batch_keys) in [("put", 1), ("batch of 100", 100)] {
        let mut numbers = picker();
        c.benchmark_group(group).bench_function(name, |b| {
            let batch = || {
                let mut batch = Batch::new();
                (0..batch_keys).for_each(|_| put(&mut batch, numbers.pick(), 1));
                batch
            };
            let write = |batch| engine.write(batch, Durability::Never).expect("there is space");
            b.iter_batched(batch, write, BatchSize::SmallInput);
        });
    }
}

fn backends(c: &mut Criterion) {
    for backend in backend::all() {
        let (engine, _folder) = filled(&backend);
        reads(c, backend.name, &*engine);
        writes(c, backend.name, &*engine);
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = backends
}
criterion_main!(benches);
