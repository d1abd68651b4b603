//! How long a store takes to open, after it was closed and after its process was killed.

use std::time::Instant;

use anyhow::Result;

use super::Bench;
use super::maker::Make;
use crate::measurement::Unit;

/// How the process that made the store ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It closes the store.
    Clean,
    /// It is killed with the store open.
    Killed,
}

pub(super) fn run(bench: &mut Bench, end: End) -> Result<()> {
    bench.have_made(if end == End::Clean { Make::Closed } else { Make::Open })?;
    let started = Instant::now();
    let engine = bench.open()?;
    bench.read(&*engine, bench.scale.keys / 2)?;
    let seconds = started.elapsed().as_secs_f64();
    let variant = if end == End::Clean { "after a clean stop" } else { "after a kill" };
    bench.figure("reopen", variant, None, seconds, Unit::Seconds);
    let step = (bench.scale.keys / 1_000).max(1) as usize;
    (0..bench.scale.keys).step_by(step).try_for_each(|number| bench.read(&*engine, number))
}
