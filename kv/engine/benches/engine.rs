//! Costs of the engines' operations, in one thread, on a million keys.
//!
//! `cargo bench -p tinykv-engine`. Comparisons with other engines are in `kv/bench`.

use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use tempfile::TempDir;
use tinykv_engine::bitcask::{self, Options};
use tinykv_engine::{Batch, Cf, Direction, Durability, Engine, Memory, Range};
use wal::RealFs;

const KEYS: u64 = 1_000_000;

fn key(i: u64) -> Vec<u8> {
    format!("user{i:016}").into_bytes()
}

/// A small generator (xorshift; Marsaglia 2003).
fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// An engine with all keys, and the folder that must outlive it.
fn filled(name: &str, value_bytes: usize) -> (Arc<dyn Engine>, TempDir) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let engine: Arc<dyn Engine> = match name {
        "memory" => Arc::new(Memory::new()),
        _ => {
            let engine = bitcask::open(RealFs::shared(), folder.path(), Options::default());
            Arc::new(engine.expect("an empty folder opens"))
        }
    };
    let value = Bytes::from(vec![b'v'; value_bytes]);
    for start in (0..KEYS).step_by(1000) {
        let mut batch = Batch::new();
        for i in start..start + 1000 {
            batch.put(Cf::Default, key(i), value.clone());
        }
        engine.write(batch, Durability::Never).expect("there is space");
    }
    engine.flush().expect("the disk works");
    (engine, folder)
}

fn reads(c: &mut Criterion, name: &str, value_bytes: usize, engine: &dyn Engine) {
    let mut group = c.benchmark_group(format!("{name}/{value_bytes}"));
    let mut state = 88_172_645_463_325_252;
    group.bench_function("get hit", |b| {
        b.iter_batched(
            || key(random(&mut state) % KEYS),
            |key| engine.get(Cf::Default, black_box(&key)).expect("sound").expect("present"),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("get hot", |b| {
        b.iter_batched(
            || key(random(&mut state) % (KEYS / 100)),
            |key| engine.get(Cf::Default, black_box(&key)).expect("sound").expect("present"),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("get miss", |b| {
        b.iter_batched(
            || [key(random(&mut state) % KEYS), b"x".to_vec()].concat(),
            |key| engine.get(Cf::Default, black_box(&key)).expect("sound"),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("view", |b| b.iter(|| engine.view().expect("a view")));
    group.throughput(Throughput::Elements(100));
    let view = engine.view().expect("a view");
    let scan = |start: u64| Range { start: key(start).into(), end: None };
    group.bench_function("scan 100", |b| {
        b.iter_batched(
            || scan(random(&mut state) % (KEYS - 100)),
            |range| view.iter(Cf::Default, range, Direction::Forward).take(100).count(),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("scan 100 keys backward", |b| {
        b.iter_batched(
            || Range::new("", key(100 + random(&mut state) % (KEYS - 100))),
            |range| view.keys(Cf::Default, range, Direction::Backward).take(100).count(),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn writes(c: &mut Criterion, name: &str, value_bytes: usize, engine: &dyn Engine) {
    let mut group = c.benchmark_group(format!("{name}/{value_bytes}"));
    let mut state = 42;
    let value = Bytes::from(vec![b'w'; value_bytes]);
    let mut batch = |len: u64| {
        let mut batch = Batch::new();
        for _ in 0..len {
            batch.put(Cf::Default, key(random(&mut state) % KEYS), value.clone());
        }
        batch
    };
    for (level, durability) in [("never", Durability::Never), ("always", Durability::Always)] {
        group.throughput(Throughput::Elements(1));
        group.bench_function(format!("put, {level}"), |b| {
            let write = |batch| engine.write(batch, durability).expect("there is space");
            b.iter_batched(|| batch(1), write, BatchSize::SmallInput);
        });
        group.throughput(Throughput::Elements(100));
        group.bench_function(format!("batch of 100, {level}"), |b| {
            let write = |batch| engine.write(batch, durability).expect("there is space");
            b.iter_batched(|| batch(100), write, BatchSize::SmallInput);
        });
    }
    group.finish();
}

fn engines(c: &mut Criterion) {
    for name in ["memory", "bitcask"] {
        for value_bytes in [100, 1024] {
            let (engine, _folder) = filled(name, value_bytes);
            reads(c, name, value_bytes, &*engine);
            writes(c, name, value_bytes, &*engine);
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = engines
}
criterion_main!(benches);
