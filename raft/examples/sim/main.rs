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

use std::process::ExitCode;
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
    let (mut steps, mut commits) = (0, 0);
    for seed in arguments.first..arguments.first + arguments.seeds {
        match world::run(seed, arguments.trace.then_some(|line| eprintln!("{line}"))) {
            Ok(report) => {
                steps += report.steps;
                commits += report.committed;
                if arguments.trace {
                    println!("trace hash {:016x}", report.trace_hash);
                }
            }
            Err(violation) => {
                eprintln!("seed {seed}: {violation}");
                eprintln!(
                    "replay: cargo run --release -p tinykv-raft --example sim -- --seed {seed}"
                );
                return ExitCode::FAILURE;
            }
        }
    }
    println!(
        "{} seeds without a violation: {steps} steps, {commits} entries committed, {:.1} s",
        arguments.seeds,
        started.elapsed().as_secs_f64()
    );
    ExitCode::SUCCESS
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
