//! The write-ahead log beside raft-engine 0.4.2: the same load on the same disk, in turns.
//!
//! Ratios count, not seconds: other programs use the machine too, and both logs feel them. Each
//! cell of the table is the median of several rounds, in which the two take turns.

mod disk;
mod heap;
mod load;
mod ours;
mod rival;

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;

use load::{Cell, Kind};

/// Compares the write-ahead log with raft-engine.
#[derive(Debug, Parser)]
struct Args {
    /// The folder to write in; it decides which disk is measured.
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    /// Rounds per cell.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Milliseconds per round and log.
    #[arg(long, default_value_t = 1000)]
    millis: u64,
    /// Runs only the parts whose name contains this: appends, recovery, amplification.
    #[arg(long, default_value = "")]
    only: String,
    /// Of the appends only the cells with so many writers.
    #[arg(long)]
    writers: Option<usize>,
    /// Of the appends only the cells with entries of so many bytes.
    #[arg(long)]
    entry: Option<usize>,
    /// Of the appends only this log, for a profiler.
    #[arg(long, value_enum)]
    log: Option<Kind>,
    /// The alignment of our blocks.
    #[arg(long, default_value_t = 512)]
    align: u64,
    /// Bytes of entries for the recovery.
    #[arg(long, default_value_t = 1 << 30)]
    recovery_bytes: u64,
}

fn main() -> Result<()> {
    let args = Args::parse();
    println!("| measure | writers | entry | groups | ours | raft-engine | ratio |");
    println!("|---|---|---|---|---|---|---|");
    if "appends".contains(&args.only) {
        for (writers, bytes, groups) in cells() {
            let wanted = args.writers.is_none_or(|only| only == writers)
                && args.entry.is_none_or(|only| only == bytes);
            if wanted {
                appends(&args, Cell { writers, bytes, groups })?;
            }
        }
    }
    if "recovery".contains(&args.only) {
        recovery(&args)?;
    }
    if "amplification".contains(&args.only) {
        amplification(&args)?;
    }
    Ok(())
}

fn cells() -> impl Iterator<Item = (usize, usize, u64)> {
    [128, 16 << 10].into_iter().flat_map(|bytes| {
        [1, 1000]
            .into_iter()
            .flat_map(move |groups| [1, 4, 16].map(|writers| (writers, bytes, groups)))
    })
}

/// Durable appends per second, and the 99th percentile of their latency.
fn appends(args: &Args, cell: Cell) -> Result<()> {
    let mut results = [Vec::new(), Vec::new()];
    for _ in 0..args.rounds {
        for (at, kind) in [Kind::Ours, Kind::Rival].into_iter().enumerate() {
            if args.log.is_some_and(|only| only != kind) {
                results[at].push(load::Outcome::default());
                continue;
            }
            let dir = tempfile::tempdir_in(&args.dir)?;
            let log = kind.open(dir.path(), load::Sizes::usual(args.align))?;
            results[at].push(load::run(&*log, cell, args.millis)?);
        }
    }
    let [mut ours, mut theirs] = results;
    let per_second =
        |runs: &mut Vec<load::Outcome>| median(runs.iter().map(|run| run.per_second).collect());
    let p99 = |runs: &mut Vec<load::Outcome>| median(runs.iter().map(|run| run.p99_us).collect());
    let place = format!("{} | {} | {}", cell.writers, size(cell.bytes), cell.groups_text());
    row("appends/s", &place, per_second(&mut ours), per_second(&mut theirs), true);
    row("p99, us", &place, p99(&mut ours), p99(&mut theirs), false);
    let cpu = |runs: &[load::Outcome]| median(runs.iter().map(|run| run.cpu_us).collect());
    row("CPU an append, us", &place, cpu(&ours), cpu(&theirs), false);
    Ok(())
}

/// Time to open a log, and the memory that an entry takes then.
fn recovery(args: &Args) -> Result<()> {
    let mut dirs = Vec::new();
    for kind in [Kind::Ours, Kind::Rival] {
        let dir = tempfile::tempdir_in(&args.dir)?;
        load::fill(
            &*kind.open(dir.path(), load::Sizes::unpurged(args.align))?,
            args.recovery_bytes,
        )?;
        dirs.push((kind, dir));
    }
    let mut seconds = [Vec::new(), Vec::new()];
    let mut per_entry = [Vec::new(), Vec::new()];
    for _ in 0..args.rounds {
        for (at, (kind, dir)) in dirs.iter().enumerate() {
            let before = heap::bytes();
            let start = std::time::Instant::now();
            let log = kind.open(dir.path(), load::Sizes::unpurged(args.align))?;
            seconds[at].push(start.elapsed().as_secs_f64());
            let entries = args.recovery_bytes / load::RECOVERY_ENTRY;
            per_entry[at].push((heap::bytes() - before) as f64 / entries as f64);
            drop(log);
        }
    }
    let place = format!("- | 1 KiB | 1000 of {} MiB", args.recovery_bytes >> 20);
    let [ours, theirs] = seconds.map(median);
    row("recovery, s", &place, ours, theirs, false);
    let mut checked = Vec::new();
    for _ in 0..args.rounds {
        let sizes = load::Sizes { verify_all: true, ..load::Sizes::unpurged(args.align) };
        let start = std::time::Instant::now();
        drop(Kind::Ours.open(dirs[0].1.path(), sizes)?);
        checked.push(start.elapsed().as_secs_f64());
    }
    row("recovery, s; ours with every entry checked", &place, median(checked), theirs, false);
    let [ours, theirs] = per_entry.map(median);
    row("memory per entry, bytes", &place, ours, theirs, false);
    Ok(())
}

/// Bytes that are written for each byte of entries: 1000 idle groups, 10 that write.
fn amplification(args: &Args) -> Result<()> {
    let mut written = Vec::new();
    for kind in [Kind::Ours, Kind::Rival] {
        let dir = tempfile::tempdir_in(&args.dir)?;
        let fs = disk::CountingFs::default();
        let log = kind.open_on(&fs, dir.path(), load::Sizes::small(args.align))?;
        written.push(load::amplification(&*log, &fs.counts)?);
    }
    let place = "10 | 128 B | 1000 idle, 10 hot";
    row("pages that reach the disk, bytes per byte", place, written[0].0, written[1].0, false);
    row("bytes passed to write, per byte", place, written[0].1, written[1].1, false);
    Ok(())
}

/// Prints a row; a ratio over 1 means that ours is better.
fn row(measure: &str, place: &str, ours: f64, theirs: f64, more_is_better: bool) {
    let ratio = if more_is_better { ours / theirs } else { theirs / ours };
    println!("| {measure} | {place} | {ours:.2} | {theirs:.2} | {ratio:.2} |");
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn size(bytes: usize) -> String {
    if bytes < 1024 { format!("{bytes} B") } else { format!("{} KiB", bytes >> 10) }
}
