//! Searches for failures of a simulated cluster, and replays them.
//!
//! ```text
//! tinykv-sim --seeds 10000              a campaign: seeds 0 to 9999
//! tinykv-sim --seed 42                  one seed again
//! tinykv-sim --scenario FILE            a scenario from a failure bundle again
//! tinykv-sim --choose-corpus FILE       few of many seeds that leave all marks
//! tinykv-sim check HISTORY              judges a history in JSON lines
//! ```
//!
//! With the feature `mutants`, `--mutant NAME` switches a known bug on, and `--mutants` counts for
//! each how many seeds it takes to find it.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program")]

mod bundle;
mod campaign;
mod check;
#[cfg(feature = "mutants")]
mod mutants;

use std::process::ExitCode;

/// What the command line asked for.
#[derive(Clone, Debug)]
struct Arguments {
    /// How many seeds, from which one on.
    seeds: u64,
    first: u64,
    /// One seed, to be looked at.
    seed: Option<u64>,
    scenario: Option<String>,
    mutant: Option<&'static str>,
    mutants: bool,
    /// How many seeds run at the same time.
    jobs: usize,
    /// Where a failure bundle goes.
    out: String,
    /// Demand that all marks were left.
    marks: bool,
    /// Where a corpus is to be written that is chosen of the seeds.
    corpus: Option<String>,
}

const USAGE: &str = "usage: tinykv-sim [--seeds N] [--first SEED] [--jobs N] [--marks]
       tinykv-sim --seed SEED | --scenario FILE
       tinykv-sim check HISTORY
       tinykv-sim --choose-corpus FILE [--seeds N]
options: --out FOLDER   where failure bundles go (target/sim)
         --mutant NAME  with the feature `mutants`: switch a known bug on
         --mutants      with the feature `mutants`: find each known bug, and count the seeds; with
                        `--mutant raftstore` those of one crate";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [command, path] = &words[..]
        && command == "check"
    {
        return check::check(path);
    }
    let Some(arguments) = parse(words.into_iter()) else {
        eprintln!("{USAGE}");
        return ExitCode::FAILURE;
    };
    if arguments.mutants {
        #[cfg(feature = "mutants")]
        return mutants::find_all(&arguments);
    }
    if (arguments.mutant.is_some() || arguments.mutants) && !cfg!(feature = "mutants") {
        eprintln!("build with --features mutants for that");
        return ExitCode::FAILURE;
    }
    let search = || match (&arguments.scenario, arguments.seed) {
        (Some(path), _) => campaign::replay_file(&arguments, path),
        (None, Some(seed)) => campaign::replay_seed(&arguments, seed),
        (None, None) => campaign::search(&arguments),
    };
    search()
}

fn parse(mut words: impl Iterator<Item = String>) -> Option<Arguments> {
    let mut arguments = Arguments {
        seeds: 1000,
        first: 0,
        seed: None,
        scenario: None,
        mutant: None,
        mutants: false,
        jobs: std::thread::available_parallelism().map_or(1, usize::from),
        out: "target/sim".to_owned(),
        marks: false,
        corpus: None,
    };
    while let Some(word) = words.next() {
        match word.as_str() {
            "--marks" => arguments.marks = true,
            "--choose-corpus" => arguments.corpus = Some(words.next()?),
            "--mutants" => arguments.mutants = true,
            "--seeds" => arguments.seeds = words.next()?.parse().ok()?,
            "--first" => arguments.first = words.next()?.parse().ok()?,
            "--seed" => arguments.seed = Some(words.next()?.parse().ok()?),
            "--jobs" => arguments.jobs = words.next()?.parse().ok().filter(|jobs| *jobs > 0)?,
            "--scenario" => arguments.scenario = Some(words.next()?),
            "--mutant" => arguments.mutant = Some(words.next()?.leak()),
            "--out" => arguments.out = words.next()?,
            _ => return None,
        }
    }
    Some(arguments)
}
