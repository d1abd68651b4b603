//! Point reads, scans and mixed loads on a store that holds all keys.

use anyhow::{Context, Result, ensure};
use engine::{Batch, Cf, Direction, Engine, Range};

use super::Bench;
use super::writers::{THREADS, on_threads, threads_text};
use crate::keys::{self, KEY_BYTES, Picker, Popularity};
use crate::measurement::{Latency, Recorder};

/// In the question about a small cache, the data is so many times larger.
const TIMES_CACHE: u64 = 8;

/// The least that every engine takes as a cache.
const CACHE_BYTES_MIN: u64 = 1 << 20;

pub(super) fn run(bench: &mut Bench) -> Result<()> {
    let engine = bench.open()?;
    bench.load(&*engine)?;
    warm_up(bench, &*engine)?;
    points(bench, &*engine, "point reads")?;
    for threads in THREADS {
        let done = on_threads(bench, &engine, threads, |bench, engine, picker, recorder| {
            let number = picker.pick();
            recorder.time(1, || bench.read(engine, number))
        })?;
        bench.found("concurrent reads", &threads_text(threads), None, done.finish());
    }
    scans(bench, &*engine)?;
    for (name, popularity) in [("uniform", Popularity::Uniform), ("zipfian", Popularity::Zipfian)] {
        for reads in [95, 50] {
            let done = mixed(bench, &*engine, popularity, reads)?;
            let variant = format!("{reads}% reads, {name}");
            bench.found("mixed load", &variant, Some(bench.level), done);
        }
    }
    Ok(())
}

pub(super) fn small_cache(bench: &mut Bench) -> Result<()> {
    let data = bench.scale.keys * (KEY_BYTES + bench.value_bytes) as u64;
    let cache = (data / TIMES_CACHE).max(CACHE_BYTES_MIN);
    let engine = bench.open_with(usize::try_from(cache).unwrap_or(usize::MAX))?;
    bench.load(&*engine)?;
    warm_up(bench, &*engine)?;
    points(bench, &*engine, "point reads, cache an eighth of the data")
}

/// Reads every key once: what an engine caches when it reads is as warm then as what others cache
/// when they write.
fn warm_up(bench: &Bench, engine: &dyn Engine) -> Result<()> {
    keys::shuffled(bench.scale.keys, bench.seed).try_for_each(|number| bench.read(engine, number))
}

fn points(bench: &mut Bench, engine: &dyn Engine, question: &str) -> Result<()> {
    for (variant, popularity) in
        [("hit, uniform", Popularity::Uniform), ("hit, zipfian", Popularity::Zipfian)]
    {
        let mut picker = Picker::new(bench.scale.keys, popularity, bench.seed);
        let done = repeat(bench, |recorder| {
            let number = picker.pick();
            recorder.time(1, || bench.read(engine, number))
        })?;
        bench.found(question, variant, None, done);
    }
    let mut picker = Picker::new(bench.scale.keys, Popularity::Uniform, bench.seed);
    let done = repeat(bench, |recorder| {
        let key = keys::absent_key(picker.pick());
        let value = recorder.time(1, || engine.get(Cf::Default, &key))?;
        ensure!(value.is_none(), "{}: an absent key has a value", bench.backend.name);
        Ok(())
    })?;
    bench.found(question, "miss", None, done);
    Ok(())
}

fn scans(bench: &mut Bench, engine: &dyn Engine) -> Result<()> {
    for (length_name, length) in [("10 keys", 10), ("1,000 keys", 1_000)] {
        for (direction_name, direction) in
            [("forward", Direction::Forward), ("backward", Direction::Backward)]
        {
            let mut picker =
                Picker::new(bench.scale.keys - length, Popularity::Uniform, bench.seed);
            let done = repeat(bench, |recorder| {
                let from = picker.pick();
                recorder.time(length, || scan(bench, engine, from, length, direction))
            })?;
            // An operation is one key.
            bench.found("scans", &format!("{length_name}, {direction_name}"), None, done);
        }
    }
    Ok(())
}

/// Reads `length` keys from number `from` on, and checks their order and values.
fn scan(
    bench: &Bench,
    engine: &dyn Engine,
    from: u64,
    length: u64,
    direction: Direction,
) -> Result<()> {
    let range = Range::new(keys::key(from).to_vec(), keys::key(from + length).to_vec());
    let view = engine.view()?;
    let mut items = view.iter(Cf::Default, range, direction);
    for place in 0..length {
        let number = match direction {
            Direction::Forward => from + place,
            Direction::Backward => from + length - 1 - place,
        };
        let (key, value) = items.next().context("a scan ended early")??;
        ensure!(key[..] == keys::key(number), "{}: a scan lost its order", bench.backend.name);
        bench.check(number, Some(&value))?;
    }
    ensure!(items.next().is_none(), "{}: a scan left its range", bench.backend.name);
    Ok(())
}

fn mixed(
    bench: &Bench,
    engine: &dyn Engine,
    popularity: Popularity,
    reads: u32,
) -> Result<(f64, Latency)> {
    let mut picker = Picker::new(bench.scale.keys, popularity, bench.seed);
    repeat(bench, |recorder| {
        let number = picker.pick();
        if picker.chance(reads) {
            return recorder.time(1, || bench.read(engine, number));
        }
        let mut batch = Batch::new();
        batch.put(Cf::Default, keys::key(number).to_vec(), bench.value(number, 1));
        Ok(recorder.time(1, || engine.write(batch, bench.level.durability()))?)
    })
}

/// Repeats a step for the scale's time.
fn repeat(
    bench: &Bench,
    mut step: impl FnMut(&mut Recorder) -> Result<()>,
) -> Result<(f64, Latency)> {
    let mut recorder = Recorder::start();
    while recorder.elapsed() < bench.scale.duration {
        step(&mut recorder)?;
    }
    Ok(recorder.finish())
}
