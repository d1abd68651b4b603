//! What happens when the keys no longer fit in memory.
//!
//! For each backend a process with a limit of memory sets keys, batch after batch, each synced, and
//! says after each how many there are. Then it is looked at whether the store opens under the same
//! limit, and, without it, whether every key that was acknowledged is there.
//!
//! The limit is the system's `RLIMIT_DATA`: bytes that a process has for itself, whether it touched
//! them or not. It needs no rights, and counts neither files nor the system's cache of them.

use std::io::{BufRead, BufReader, Write, stdout};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use clap::Args;
use engine::{Batch, Cf, Durability, Engine};

use crate::backend::{self, Backend, Settings};
use crate::keys;
use crate::level::Level;

/// Keys of one batch.
const BATCH_KEYS: u64 = 10_000;

/// Bytes of the engines' caches.
const CACHE_BYTES: usize = 8 << 20;

/// How much of what.
#[derive(Debug, Args)]
pub struct Options {
    /// Only these backends, with commas between them.
    #[arg(long, value_delimiter = ',', value_parser = backend::parse)]
    backends: Vec<Backend>,
    /// The limit of memory in MiB.
    #[arg(long, default_value_t = 256)]
    memory_mib: u64,
    /// How many keys are set at most.
    #[arg(long, default_value_t = 5_000_000)]
    keys: u64,
    /// Bytes of a value.
    #[arg(long, default_value_t = 100)]
    value_bytes: usize,
    /// Where the stores are made (on the disk under test).
    #[arg(long, default_value = "target/bench-data")]
    data: PathBuf,
}

/// One store under the limit.
#[derive(Clone, Debug, Args)]
pub struct Limited {
    #[arg(long, value_parser = backend::parse)]
    backend: Backend,
    #[arg(long)]
    keys: u64,
    #[arg(long)]
    value_bytes: usize,
    #[arg(long)]
    path: PathBuf,
}

/// Tries all backends, and prints a table.
///
/// # Errors
/// If a backend lost an acknowledged key, or processes cannot be started.
pub fn run(options: &Options) -> Result<()> {
    std::fs::create_dir_all(&options.data)
        .with_context(|| format!("cannot make {}", options.data.display()))?;
    let mut out = stdout().lock();
    writeln!(
        out,
        "{} MiB of memory, at most {} keys of 16 bytes with {} B values",
        options.memory_mib, options.keys, options.value_bytes
    )?;
    writeln!(out, "{:8} {:>9}  {:38} opens again", "", "keys set", "end")?;
    let chosen =
        if options.backends.is_empty() { backend::all() } else { options.backends.clone() };
    for backend in chosen.into_iter().filter(|backend| backend.persistent) {
        let folder = tempfile::tempdir_in(&options.data)?;
        let limited = Limited {
            backend,
            keys: options.keys,
            value_bytes: options.value_bytes,
            path: folder.path().join("store"),
        };
        let (set, status) = limited.under_limit(options.memory_mib, "set")?;
        let end = end(status);
        let (_, status) = limited.under_limit(options.memory_mib, "open")?;
        let opens = if status.success() { "under the limit" } else { "only with more memory" };
        limited.check(set)?;
        writeln!(out, "{:8} {set:>9}  {end:38} {opens}", backend.name)?;
    }
    Ok(())
}

/// How a process ended, in words.
fn end(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.success(), status.signal()) {
        (true, _) => "all keys are set".to_owned(),
        (_, Some(6)) => "the process aborts: no memory".to_owned(),
        (_, Some(signal)) => format!("the process dies of signal {signal}"),
        (..) => "the engine returns an error".to_owned(),
    }
}

impl Limited {
    fn open(&self) -> Result<Arc<dyn Engine>> {
        (self.backend.open)(
            &self.path,
            Settings { level: Level::PerBatch, cache_bytes: CACHE_BYTES },
        )
    }

    /// Sets all keys, and prints how many are there after each batch (what the process under the
    /// limit does).
    ///
    /// # Errors
    /// If the store fails.
    pub fn set(&self) -> Result<()> {
        let engine = self.open()?;
        let mut out = stdout().lock();
        for start in (0..self.keys).step_by(BATCH_KEYS as usize) {
            let end = (start + BATCH_KEYS).min(self.keys);
            let mut batch = Batch::new();
            for number in start..end {
                let value = keys::value(number, 0, self.value_bytes);
                batch.put(Cf::Default, keys::key(number).to_vec(), value);
            }
            engine.write(batch, Durability::Always)?;
            writeln!(out, "{end}")?;
        }
        Ok(())
    }

    /// Opens the store and reads a key (what the second process under the limit does).
    ///
    /// # Errors
    /// If the store fails.
    pub fn open_and_read(&self) -> Result<()> {
        self.open()?.get(Cf::Default, &keys::key(0))?;
        Ok(())
    }

    /// Reads what was acknowledged, without a limit.
    fn check(&self, acknowledged: u64) -> Result<()> {
        let engine = self.open()?;
        for number in (0..acknowledged).step_by((acknowledged / 10_000).max(1) as usize) {
            let value = engine.get(Cf::Default, &keys::key(number))?;
            let whole = value.is_some_and(|it| keys::is_value_of(number, &it, self.value_bytes));
            ensure!(whole, "{}: the synced key {number} is lost", self.backend.name);
        }
        Ok(())
    }

    /// Runs this program under the limit. Gives the last number that it printed, and how it ended.
    fn under_limit(&self, memory_mib: u64, action: &str) -> Result<(u64, ExitStatus)> {
        let program = std::env::current_exe()?;
        let mut process = Command::new("sh")
            .args(["-c", "ulimit -d $1; shift; exec \"$@\"", "sh"])
            .arg((memory_mib << 10).to_string())
            .arg(&program)
            .args(["limited", "--action", action, "--backend", self.backend.name])
            .args(["--keys", &self.keys.to_string()])
            .args(["--value-bytes", &self.value_bytes.to_string()])
            .arg("--path")
            .arg(&self.path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start sh")?;
        let mut last = 0;
        for line in BufReader::new(process.stdout.take().expect("its output is piped")).lines() {
            last = line?.parse().context("the process printed no number")?;
        }
        Ok((last, process.wait()?))
    }
}
