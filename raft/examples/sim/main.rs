//! Searches for violations of Raft's guarantees with the core alone.
//!
//! ```text
//! cargo run --release -p tinykv-raft --example sim -- --seeds 1000        seeds 0 to 999
//! cargo run --release -p tinykv-raft --example sim -- --seed 42           one seed, with its trace
//! ```
//!
//! One seed decides everything: options, delays, losses, crashes, commands. With the feature
//! `mutants` a bug can be switched on (`TINYKV_MUTANT=name`), and `--bugs` tries all of them, with the
//! test that notices and with the simulator:
//!
//! ```text
//! cargo run --release -p tinykv-raft --features mutants --example sim -- --bugs --seeds 1000
//! ```
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program")]

mod bugs;
mod disk;
mod faults;
mod invariants;
mod liveness;
mod member;
mod options;
mod world;

use std::num::NonZero;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// What the command line asked for.
#[derive(Default)]
struct Arguments {
    seeds: u64,
    first: u64,
    trace: bool,
    bugs: bool,
}

fn main() -> ExitCode {
    let Some(arguments) = parse(std::env::args().skip(1)) else {
        eprintln!("usage: sim [--bugs] [--seeds N] [--first SEED] | sim --seed SEED");
        return ExitCode::FAILURE;
    };
    if arguments.bugs {
        return bugs::table(arguments.seeds);
    }
    let started = Instant::now();
    match search(&arguments) {
        Ok((steps, commits)) => {
            println!(
                "{} seeds without a violation: {steps} steps, {commits} entries committed, {:.1} s",
                arguments.seeds,
                started.elapsed().as_secs_f64()
            );
            ExitCode::SUCCESS
        }
        Err((seed, violation)) => {
            eprintln!("seed {seed}: {violation}");
            eprintln!("replay: cargo run --release -p tinykv-raft --example sim -- --seed {seed}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the seeds on all cores; returns the steps and commits of all, or the first violation.
fn search(arguments: &Arguments) -> Result<(u64, u64), (u64, String)> {
    let next = AtomicU64::new(arguments.first);
    let end = arguments.first + arguments.seeds;
    let failed_from = AtomicU64::new(u64::MAX);
    let work = || {
        let (mut steps, mut commits) = (0, 0);
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            // Smaller seeds are run to their end, so that the violation is the first one.
            if seed >= end || seed > failed_from.load(Ordering::Relaxed) {
                return Ok((steps, commits));
            }
            let report = world::run(seed, arguments.trace.then_some(|line| eprintln!("{line}")));
            let report = report.map_err(|violation| {
                failed_from.fetch_min(seed, Ordering::Relaxed);
                (seed, violation)
            })?;
            steps += report.steps;
            commits += report.committed;
            if arguments.trace {
                println!("trace hash {:016x}", report.trace_hash);
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    let results: Vec<Result<(u64, u64), (u64, String)>> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        running.into_iter().map(|it| it.join().expect("a run does not panic")).collect()
    });
    let (mut steps, mut commits, mut first) = (0, 0, None);
    for result in results {
        match result {
            Ok((more_steps, more_commits)) => {
                steps += more_steps;
                commits += more_commits;
            }
            Err(found) => first = first.into_iter().chain([found]).min(),
        }
    }
    first.map_or(Ok((steps, commits)), Err)
}

fn parse(mut words: impl Iterator<Item = String>) -> Option<Arguments> {
    let mut arguments = Arguments { seeds: 1000, ..Arguments::default() };
    while let Some(word) = words.next() {
        let mut value = || words.next()?.parse().ok();
        match word.as_str() {
            "--seeds" => arguments.seeds = value()?,
            "--bugs" => {
                arguments.bugs = true;
                continue;
            }
            "--first" => arguments.first = value()?,
            "--seed" => {
                (arguments.first, arguments.seeds, arguments.trace) = (value()?, 1, true);
            }
            _ => return None,
        }
    }
    Some(arguments)
}
