//! Latencies of reads and writes under full overwriting, first as it comes, then while a complete
//! merge (or compaction) runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use engine::{Batch, Cf, Engine};

use super::Bench;
use crate::keys::{self, Picker, Popularity};
use crate::measurement::{Recorder, Unit};

pub(super) fn run(bench: &mut Bench) -> Result<()> {
    let engine = bench.open()?;
    bench.load(&*engine)?;
    for (variant, merge) in [("as it comes", false), ("while merging", true)] {
        let (reads, writes) = load(bench, &engine, merge)?;
        bench.found("stalls", &format!("reads, {variant}"), None, reads.finish());
        bench.found("stalls", &format!("writes, {variant}"), Some(bench.level), writes.finish());
        let tail = "tail latency (p99.9)";
        let slow = reads.finish().1.p999;
        bench.figure(tail, &format!("reads, {variant}"), None, slow, Unit::Micros);
        let slow = writes.finish().1.p999;
        bench.figure(tail, &format!("writes, {variant}"), Some(bench.level), slow, Unit::Micros);
    }
    Ok(())
}

/// One reader and one writer for the scale's time, or for as long as the merge takes if that is
/// longer.
fn load(bench: &Bench, engine: &Arc<dyn Engine>, merge: bool) -> Result<(Recorder, Recorder)> {
    let merged = AtomicBool::new(!merge);
    let go_on = |recorder: &Recorder| {
        recorder.elapsed() < bench.scale.duration || !merged.load(Ordering::Acquire)
    };
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut picker = Picker::new(bench.scale.keys, Popularity::Uniform, bench.seed + 7);
            let mut recorder = Recorder::start();
            while go_on(&recorder) {
                let number = picker.pick();
                recorder.time(1, || bench.read(&**engine, number))?;
            }
            Ok::<_, anyhow::Error>(recorder)
        });
        let merger = scope.spawn(|| {
            let done = if merge { engine.merge() } else { Ok(()) };
            merged.store(true, Ordering::Release);
            done
        });
        let mut picker = Picker::new(bench.scale.keys, Popularity::Uniform, bench.seed);
        let mut recorder = Recorder::start();
        while go_on(&recorder) {
            let number = picker.pick();
            let mut batch = Batch::new();
            batch.put(Cf::Default, keys::key(number).to_vec(), bench.value(number, 3));
            recorder.time(1, || engine.write(batch, bench.level.durability()))?;
        }
        merger.join().expect("the merging thread does not panic")?;
        let reads = reader.join().expect("the reading thread does not panic")?;
        Ok((reads, recorder))
    })
}
