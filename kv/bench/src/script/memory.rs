//! The memory that a full store takes: opened again, with a small cache, and read.
//!
//! The cache is small so that what is left is the engine's own: an index of all keys or none.

use anyhow::Result;

use super::Bench;
use super::maker::Make;
use crate::keys::{Picker, Popularity};
use crate::measurement::Unit;
use crate::process;

/// Bytes of the cache.
const CACHE_BYTES: usize = 8 << 20;

/// How many keys are read.
const READS: u64 = 20_000;

pub(super) fn run(bench: &mut Bench) -> Result<()> {
    bench.have_made(Make::Closed)?;
    let engine = bench.open_with(CACHE_BYTES)?;
    let mut picker = Picker::new(bench.scale.keys, Popularity::Uniform, bench.seed);
    (0..READS).try_for_each(|_| bench.read(&*engine, picker.pick()))?;
    let variant = format!("{} keys opened and read, 8 MiB cache", bench.scale.keys);
    let bytes = process::peak_memory_bytes() as f64;
    bench.figure("peak memory", &variant, None, bytes, Unit::Bytes);
    Ok(())
}
