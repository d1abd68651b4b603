//! Whether an engine syncs what it says: a process writes under strace, and the calls that reach
//! the disk are counted.
//!
//! Only `fsync`, `fdatasync` and writes to a file that was opened with `O_SYNC` or `O_DSYNC` count:
//! `sync_file_range` neither waits for the disk's own cache nor writes the file's metadata, and
//! `msync` counts as the system treats it, like `fdatasync`.

use std::collections::BTreeMap;
use std::io::{Write, stderr, stdout};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use engine::{Batch, Cf};

use crate::backend::{self, Backend, Settings};
use crate::keys;
use crate::level::Level;

/// How many writes (or batches) are counted.
pub const WRITES: u64 = 100;

/// The calls that are looked at.
const CALLS: [&str; 4] = ["fsync", "fdatasync", "msync", "sync_file_range"];

/// What the process prints before its writes, after them, and after the time in which the level
/// `interval` must have synced.
const MARKS: [&str; 3] = ["writes begin", "writes end", "a second is over"];

/// Which backends.
#[derive(Debug, Args)]
pub struct Options {
    /// Only these backends, with commas between them.
    #[arg(long, value_delimiter = ',', value_parser = backend::parse)]
    backends: Vec<Backend>,
    /// Where the stores are made (on a disk: a file system in memory has nothing to sync).
    #[arg(long, default_value = "target/bench-data")]
    data: PathBuf,
}

/// The process under strace.
#[derive(Debug, Args)]
pub struct Traced {
    #[arg(long, value_parser = backend::parse)]
    backend: Backend,
    #[arg(long)]
    level: Level,
    #[arg(long)]
    path: PathBuf,
}

/// The calls by name: while it wrote, and in the second after that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// While the writes were made.
    pub writing: BTreeMap<String, u64>,
    /// In the time after them.
    pub waiting: BTreeMap<String, u64>,
}

impl Counted {
    /// Those that make bytes durable.
    pub fn syncs(calls: &BTreeMap<String, u64>) -> u64 {
        calls.iter().filter(|(name, _)| *name != "sync_file_range").map(|(_, count)| count).sum()
    }

    /// Whether the engine does what the level says.
    pub fn keeps(&self, level: Level) -> bool {
        match level {
            Level::PerWrite | Level::PerBatch => Counted::syncs(&self.writing) >= WRITES,
            Level::Interval => Counted::syncs(&self.writing) + Counted::syncs(&self.waiting) > 0,
            Level::None => true,
        }
    }
}

/// Whether strace can be used here.
pub fn can_trace() -> bool {
    let mut strace = Command::new("strace");
    strace.args(["-o", "/dev/null", "true"]).stdout(Stdio::null()).stderr(Stdio::null());
    strace.status().is_ok_and(|status| status.success())
}

/// Counts for all backends and levels, and prints a table.
///
/// # Errors
/// If strace cannot be used, or a backend does not sync what a level says.
pub fn run(options: &Options) -> Result<()> {
    ensure!(can_trace(), "strace is not installed (apt-get install strace), or may not trace");
    std::fs::create_dir_all(&options.data)
        .with_context(|| format!("cannot make {}", options.data.display()))?;
    let chosen =
        if options.backends.is_empty() { backend::all() } else { options.backends.clone() };
    let mut out = stdout().lock();
    writeln!(out, "{:8} {:9}  in {WRITES} writes; in the second after them", "", "")?;
    let mut broken = Vec::new();
    for backend in chosen.into_iter().filter(|backend| backend.persistent) {
        for level in Level::ALL {
            let folder = tempfile::tempdir_in(&options.data)?;
            let counted = count(&std::env::current_exe()?, backend, level, folder.path())?;
            let (writing, waiting) = (text(&counted.writing), text(&counted.waiting));
            writeln!(out, "{:8} {:9}  {writing}; {waiting}", backend.name, level.name())?;
            if !counted.keeps(level) {
                broken.push(format!("{} at {}", backend.name, level.name()));
            }
        }
    }
    ensure!(broken.is_empty(), "not synced as the level says: {}", broken.join(", "));
    Ok(())
}

fn text(calls: &BTreeMap<String, u64>) -> String {
    let parts: Vec<String> = calls.iter().map(|(name, count)| format!("{count} {name}")).collect();
    if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
}

/// Counts the calls of one backend at one level, with this program under strace.
///
/// # Errors
/// If the program fails, or strace does.
pub fn count(program: &Path, backend: Backend, level: Level, folder: &Path) -> Result<Counted> {
    let output = folder.join("calls");
    let status = Command::new("strace")
        .args(["-f", "-e", &format!("trace=write,?{}", CALLS.join(",?")), "-o"])
        .arg(&output)
        .arg(program)
        .args(["traced", "--backend", backend.name, "--level", level.name(), "--path"])
        .arg(folder.join("store"))
        .stderr(Stdio::null())
        .status()
        .context("cannot start strace")?;
    ensure!(status.success(), "{} failed under strace", backend.name);
    Ok(parse(&std::fs::read_to_string(&output)?))
}

/// Counts the calls between the marks in the output of strace.
fn parse(text: &str) -> Counted {
    let mut counted = Counted::default();
    let mut passed = 0;
    for line in text.lines() {
        let call = line.split_once(' ').map_or("", |(_, call)| call.trim_start());
        if MARKS.get(passed).is_some_and(|mark| call.starts_with("write(2") && call.contains(mark))
        {
            passed += 1;
        }
        let name = call.split('(').next().unwrap_or("");
        let calls = match passed {
            1 => &mut counted.writing,
            2 => &mut counted.waiting,
            _ => continue,
        };
        // A call that another thread's interrupts has a second line, which begins otherwise.
        if CALLS.contains(&name) {
            *calls.entry(name.to_owned()).or_insert(0) += 1;
        }
    }
    counted
}

impl Traced {
    /// Writes, and says when (what the process under strace does).
    ///
    /// # Errors
    /// If the store fails.
    pub fn run(&self) -> Result<()> {
        let settings = Settings { level: self.level, cache_bytes: 8 << 20 };
        let engine = (self.backend.open)(&self.path, settings)?;
        mark(0)?;
        for number in 0..WRITES {
            let mut batch = Batch::new();
            for key in 0..self.level.batch_keys() as u64 {
                let number = number * 100 + key;
                batch.put(Cf::Default, keys::key(number).to_vec(), keys::value(number, 0, 100));
            }
            engine.write(batch, self.level.durability())?;
        }
        mark(1)?;
        let started = Instant::now();
        while started.elapsed() < Duration::from_millis(1_500) {
            std::thread::park_timeout(Duration::from_millis(100));
        }
        mark(2)
    }
}

/// One system call, that strace sees.
fn mark(which: usize) -> Result<()> {
    stderr().write_all(format!("{}\n", MARKS[which]).as_bytes())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_between_the_marks() {
        let text = "7 fsync(3) = 0\n7 write(2, \"writes begin\\n\", 13) = 13\n8 fdatasync(4) = 0\n\
                    7 fsync(3 <unfinished ...>\n8 msync(0x1, 2, MS_SYNC) = 0\n\
                    7 <... fsync resumed>) = 0\n7 write(2, \"writes end\\n\", 11) = 11\n\
                    7 sync_file_range(3, 0, 0, 0) = 0\n7 write(2, \"a second is over\\n\", 17) = 17\n\
                    7 fsync(3) = 0\n";
        let counted = parse(text);
        assert_eq!(super::text(&counted.writing), "1 fdatasync, 1 fsync, 1 msync");
        assert_eq!(super::text(&counted.waiting), "1 sync_file_range");
        assert_eq!(Counted::syncs(&counted.waiting), 0);
        assert!(!counted.keeps(Level::PerWrite) && counted.keeps(Level::Interval));
    }
}
