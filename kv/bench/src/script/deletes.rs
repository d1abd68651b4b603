//! A store that loses nine keys of ten: how fast, what a reader then pays, and what space remains.

use anyhow::{Result, ensure};
use engine::{Batch, Cf, Direction, Range};

use super::Bench;
use crate::backend::SPACE;
use crate::keys::{self, KEY_BYTES};
use crate::measurement::{Recorder, Unit};
use crate::process;

/// One key of this many stays.
const KEEP_EACH: u64 = 10;

pub(super) fn run(bench: &mut Bench) -> Result<()> {
    let level = Some(bench.level);
    let engine = bench.open()?;
    bench.load(&*engine)?;

    let mut recorder = Recorder::start();
    for number in keys::shuffled(bench.scale.keys, bench.seed).filter(|n| n % KEEP_EACH != 0) {
        let mut batch = Batch::new();
        batch.delete(Cf::Default, keys::key(number).to_vec());
        recorder.time(1, || engine.write(batch, bench.level.durability()))?;
    }
    bench.found("delete-heavy", "deletes", level, recorder.finish());

    let mut recorder = Recorder::start();
    let view = engine.view()?;
    let mut left = 0;
    let mut items = view.iter(Cf::Default, Range::all(), Direction::Forward);
    while let Some(item) = recorder.time(1, || items.next()) {
        let (key, value) = item?;
        ensure!(key[..] == keys::key(left * KEEP_EACH), "{}: a wrong key", bench.backend.name);
        bench.check(left * KEEP_EACH, Some(&value))?;
        left += 1;
    }
    bench.found("delete-heavy", "scan of what is left", None, recorder.finish());
    ensure!(left == bench.scale.keys.div_ceil(KEEP_EACH), "{} keys are left", left);
    drop(items);
    drop(view);

    if bench.backend.persistent {
        engine.flush()?;
        engine.merge()?;
        drop(engine);
        let live = (left * (KEY_BYTES + bench.value_bytes) as u64) as f64;
        let space = process::disk_bytes(&bench.path)? as f64 / live;
        bench.figure(SPACE, "after deletes and a merge", level, space, Unit::Times);
    }
    Ok(())
}
