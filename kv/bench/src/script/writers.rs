//! Overwriting from several threads.

use std::sync::Arc;

use anyhow::Result;
use engine::{Batch, Cf, Engine};

use super::Bench;
use crate::keys::{self, Picker, Popularity};
use crate::measurement::Recorder;

/// Numbers of threads that are tried.
pub(super) const THREADS: [usize; 4] = [1, 2, 4, 8];

pub(super) fn run(bench: &mut Bench) -> Result<()> {
    let engine = bench.open()?;
    bench.load(&*engine)?;
    for threads in THREADS {
        let done = on_threads(bench, &engine, threads, |bench, engine, picker, recorder| {
            let number = picker.pick();
            let mut batch = Batch::new();
            batch.put(Cf::Default, keys::key(number).to_vec(), bench.value(number, 2));
            Ok(recorder.time(1, || engine.write(batch, bench.level.durability()))?)
        })?;
        bench.found("concurrent writes", &threads_text(threads), Some(bench.level), done.finish());
    }
    Ok(())
}

/// A number of threads in words.
pub(super) fn threads_text(threads: usize) -> String {
    if threads == 1 { "1 thread".to_owned() } else { format!("{threads} threads") }
}

/// Repeats a step on each of some threads for the scale's time, and adds up what they recorded.
pub(super) fn on_threads(
    bench: &Bench,
    engine: &Arc<dyn Engine>,
    threads: usize,
    step: impl Fn(&Bench, &dyn Engine, &mut Picker, &mut Recorder) -> Result<()> + Sync,
) -> Result<Recorder> {
    let mut sum = Recorder::start();
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|thread| {
                let (step, engine) = (&step, Arc::clone(engine));
                scope.spawn(move || {
                    let seed = bench.seed.wrapping_mul(1_000) + thread as u64;
                    let mut picker = Picker::new(bench.scale.keys, Popularity::Uniform, seed);
                    let mut recorder = Recorder::start();
                    while recorder.elapsed() < bench.scale.duration {
                        step(bench, &*engine, &mut picker, &mut recorder)?;
                    }
                    Ok::<_, anyhow::Error>(recorder)
                })
            })
            .collect();
        for thread in running {
            let recorder = thread.join().expect("a bench thread does not panic")?;
            sum.add(&recorder);
        }
        Ok(sum)
    })
}
