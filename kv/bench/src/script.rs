//! What one process measures on one store: each script answers a few questions of the bench.
//!
//! A script runs in a process of its own, so that memory and written bytes are its own, and so that
//! a store can be killed. Every value that a script reads is checked.

mod deletes;
mod fill;
mod kill;
mod maker;
mod memory;
mod reads;
mod reopen;
mod stall;
mod writers;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use clap::ValueEnum;
use engine::{Batch, Cf, Durability, Engine};
use serde::{Deserialize, Serialize};

pub use maker::Make;

use crate::backend::{Backend, Settings};
use crate::keys;
use crate::level::Level;
use crate::measurement::{Latency, Measurement, Unit};
use crate::scale::Scale;
use crate::wrong::behind_wrong_answers;

/// The scripts, in the order in which they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Script {
    /// Fills a store in the order of the keys.
    FillSequential,
    /// Fills a store in a random order, then overwrites all of it; space and written bytes.
    FillRandom,
    /// Fills a store with batches of a hundred keys.
    FillBatches,
    /// Overwrites from 1, 2, 4 and 8 threads.
    Writers,
    /// Point reads, scans and mixed loads on a full store.
    Reads,
    /// Point reads where the data is much larger than the engine's cache.
    SmallCache,
    /// Removes nine keys of ten.
    Deletes,
    /// Latencies under overwriting, with and without a merge.
    Stall,
    /// Makes a store and closes it cleanly; then opens it.
    ReopenClean,
    /// Makes a store and is killed; then opens it.
    ReopenKilled,
    /// Writes and is killed at once; counts the writes that are lost.
    Kill,
    /// Opens a full store with a small cache, and reads; how much memory that takes.
    Memory,
}

/// What a script runs on.
#[derive(Debug)]
pub struct Bench {
    /// The backend under test.
    pub backend: Backend,
    /// The level of durability of the writes that are measured.
    pub level: Level,
    /// Bytes of a value.
    pub value_bytes: usize,
    /// How large everything is.
    pub scale: Scale,
    /// The folder of the store.
    pub path: PathBuf,
    /// Which random numbers.
    pub seed: u64,
    found: Vec<Measurement>,
}

impl Script {
    /// Runs the script, and returns what it found.
    ///
    /// # Errors
    /// If the store fails, or returns something that was not written.
    pub fn run(self, mut bench: Bench) -> Result<Vec<Measurement>> {
        match self {
            Script::FillSequential => fill::sequential(&mut bench)?,
            Script::FillRandom => fill::random(&mut bench)?,
            Script::FillBatches => fill::batches(&mut bench)?,
            Script::Writers => writers::run(&mut bench)?,
            Script::Reads => reads::run(&mut bench)?,
            Script::SmallCache => reads::small_cache(&mut bench)?,
            Script::Deletes => deletes::run(&mut bench)?,
            Script::Stall => stall::run(&mut bench)?,
            Script::ReopenClean => reopen::run(&mut bench, reopen::End::Clean)?,
            Script::ReopenKilled => reopen::run(&mut bench, reopen::End::Killed)?,
            Script::Kill => kill::run(&mut bench)?,
            Script::Memory => memory::run(&mut bench)?,
        }
        Ok(bench.found)
    }

    /// The levels of durability at which it makes sense.
    pub fn levels(self) -> &'static [Level] {
        match self {
            Script::FillSequential | Script::FillRandom | Script::Kill => &Level::ALL,
            Script::FillBatches => &[Level::PerBatch, Level::Interval, Level::None],
            Script::Writers => &[Level::PerWrite, Level::Interval],
            // Reads do not depend on it; the mixed loads and overwrites write at `interval`.
            Script::Reads
            | Script::SmallCache
            | Script::Deletes
            | Script::Stall
            | Script::ReopenClean
            | Script::ReopenKilled
            | Script::Memory => &[Level::Interval],
        }
    }

    /// Whether it asks something that only a store on a disk can answer.
    pub fn needs_disk(self) -> bool {
        matches!(self, Script::ReopenClean | Script::ReopenKilled | Script::Kill | Script::Memory)
    }
}

impl Bench {
    /// A bench on an empty folder.
    pub fn new(
        backend: Backend,
        level: Level,
        value_bytes: usize,
        scale: Scale,
        path: &Path,
        seed: u64,
    ) -> Bench {
        Bench { backend, level, value_bytes, scale, path: path.to_owned(), seed, found: Vec::new() }
    }

    fn open(&self) -> Result<Arc<dyn Engine>> {
        self.open_with(self.scale.cache_bytes)
    }

    fn open_with(&self, cache_bytes: usize) -> Result<Arc<dyn Engine>> {
        let settings = Settings { level: self.level, cache_bytes };
        let engine = (self.backend.open)(&self.path, settings)
            .with_context(|| format!("cannot open {}", self.backend.name))?;
        Ok(behind_wrong_answers(engine))
    }

    /// Keys of a fill: fewer where each write waits for the disk.
    fn fill_keys(&self) -> u64 {
        match self.level {
            Level::PerWrite => self.scale.synced_keys,
            Level::PerBatch => self.scale.keys.min(20 * self.scale.synced_keys),
            Level::Interval | Level::None => self.scale.keys,
        }
    }

    fn value(&self, number: u64, version: u64) -> Bytes {
        keys::value(number, version, self.value_bytes)
    }

    /// Sets all keys, quickly and unmeasured, and makes them durable.
    fn load(&self, engine: &dyn Engine) -> Result<()> {
        let mut numbers = keys::shuffled(self.scale.keys, self.seed).peekable();
        while numbers.peek().is_some() {
            let mut batch = Batch::new();
            for number in numbers.by_ref().take(1_000) {
                batch.put(Cf::Default, keys::key(number).to_vec(), self.value(number, 0));
            }
            engine.write(batch, Durability::Never)?;
        }
        engine.flush()?;
        Ok(())
    }

    /// Reads a key that is there, and checks the value.
    fn read(&self, engine: &dyn Engine, number: u64) -> Result<()> {
        let value = engine.get(Cf::Default, &keys::key(number))?;
        self.check(number, value.as_deref())
    }

    fn check(&self, number: u64, value: Option<&[u8]>) -> Result<()> {
        let value =
            value.with_context(|| format!("{}: key {number} is lost", self.backend.name))?;
        ensure!(
            keys::is_value_of(number, value, self.value_bytes),
            "{}: key {number} has a value that was never written to it",
            self.backend.name
        );
        Ok(())
    }

    fn found(&mut self, question: &str, variant: &str, level: Option<Level>, of: (f64, Latency)) {
        self.push(question, variant, level, of.0, Unit::OpsPerSecond, Some(of.1));
    }

    fn figure(&mut self, question: &str, variant: &str, level: Option<Level>, of: f64, unit: Unit) {
        self.push(question, variant, level, of, unit, None);
    }

    fn push(
        &mut self,
        question: &str,
        variant: &str,
        level: Option<Level>,
        figure: f64,
        unit: Unit,
        latency: Option<Latency>,
    ) {
        self.found.push(Measurement {
            // A round's seed is its number, from 1.
            round: u32::try_from(self.seed).unwrap_or(u32::MAX).saturating_sub(1),
            question: question.to_owned(),
            variant: variant.to_owned(),
            backend: self.backend.name.to_owned(),
            level,
            value_bytes: self.value_bytes,
            figure,
            unit,
            latency,
        });
    }
}
