//! Fills: in order, in random order, in batches; overwriting; space and written bytes.

use anyhow::Result;
use engine::{Batch, Cf, Engine};

use super::Bench;
use crate::backend::SPACE;
use crate::keys::{self, KEY_BYTES};
use crate::level::Level;
use crate::measurement::{Recorder, Unit};
use crate::process;

/// Keys of one batch in the question about batches.
const BATCH_KEYS: usize = 100;

pub(super) fn sequential(bench: &mut Bench) -> Result<()> {
    let engine = bench.open()?;
    let keys = bench.fill_keys();
    let done = write_all(bench, &*engine, 0..keys, 0, bench.level.batch_keys())?;
    bench.found("fill", "sequential", Some(bench.level), done.finish());
    bench.figure(
        "peak memory",
        &format!("after filling {keys} keys"),
        Some(bench.level),
        process::peak_memory_bytes() as f64,
        Unit::Bytes,
    );
    verify(bench, &*engine, keys)
}

pub(super) fn random(bench: &mut Bench) -> Result<()> {
    let level = Some(bench.level);
    let (keys, seed) = (bench.fill_keys(), bench.seed);
    let batch = bench.level.batch_keys();
    let engine = bench.open()?;
    let before = process::written_bytes();

    let done = write_all(bench, &*engine, keys::shuffled(keys, seed), 0, batch)?;
    bench.found("fill", "random", level, done.finish());

    let done = write_all(bench, &*engine, keys::shuffled(keys, seed + 1), 1, batch)?;
    bench.found("fill", "overwrite", level, done.finish());
    verify(bench, &*engine, keys)?;

    engine.flush()?;
    let user_bytes = (keys * (KEY_BYTES + bench.value_bytes) as u64) as f64;
    drop(engine);
    if bench.backend.persistent && matches!(bench.level, Level::Interval | Level::None) {
        // Two versions of each key were written, one is live.
        let written = (process::written_bytes() - before) as f64 / (2.0 * user_bytes);
        bench.figure("write amplification", "fill and overwrite", level, written, Unit::Times);
        let space = process::disk_bytes(&bench.path)? as f64 / user_bytes;
        bench.figure(SPACE, "after overwriting", level, space, Unit::Times);
        let engine = bench.open()?;
        engine.merge()?;
        drop(engine);
        let space = process::disk_bytes(&bench.path)? as f64 / user_bytes;
        bench.figure(SPACE, "after a merge", level, space, Unit::Times);
    }
    Ok(())
}

pub(super) fn batches(bench: &mut Bench) -> Result<()> {
    let engine = bench.open()?;
    let keys = bench.fill_keys();
    let numbers = keys::shuffled(keys, bench.seed);
    let done = write_all(bench, &*engine, numbers, 0, BATCH_KEYS)?;
    bench.found("fill", "batches of 100", Some(bench.level), done.finish());
    verify(bench, &*engine, keys)
}

/// Sets keys one after the other, `batch_keys` a batch; an operation is one key.
fn write_all(
    bench: &Bench,
    engine: &dyn Engine,
    numbers: impl Iterator<Item = u64>,
    version: u64,
    batch_keys: usize,
) -> Result<Recorder> {
    let mut numbers = numbers.peekable();
    let mut recorder = Recorder::start();
    while numbers.peek().is_some() {
        let mut batch = Batch::new();
        for number in numbers.by_ref().take(batch_keys) {
            batch.put(Cf::Default, keys::key(number).to_vec(), bench.value(number, version));
        }
        let keys = batch.len() as u64;
        recorder.time(keys, || engine.write(batch, bench.level.durability()))?;
    }
    Ok(recorder)
}

/// Reads a sample of the keys: a fill that loses some is none.
fn verify(bench: &Bench, engine: &dyn Engine, keys: u64) -> Result<()> {
    (0..keys).step_by((keys / 1_000).max(1) as usize).try_for_each(|n| bench.read(engine, n))
}
