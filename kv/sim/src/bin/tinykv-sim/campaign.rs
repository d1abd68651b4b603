//! Many seeds, or one again.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use tinykv_sim::corpus::{self, Candidate};
use tinykv_sim::marks;
use tinykv_sim::outcome::{Failure, Report, Stats};
use tinykv_sim::run;
use tinykv_sim::scenario::Scenario;
use tinykv_sim::store::Store;

use crate::{Arguments, bundle};

/// Of how many seeds one is run twice, to see that it repeats itself.
const TWICE: u64 = 50;

/// What a campaign has found so far.
#[derive(Default)]
struct Found {
    stats: Stats,
    /// How many runs left each mark, and the first that did.
    marks: BTreeMap<&'static str, (u64, u64)>,
    /// What each seed left and cost, if a corpus is to be chosen.
    candidates: BTreeMap<u64, Candidate>,
    /// Seeds that ended beyond repair.
    beyond_repair: Vec<u64>,
    /// The failure of the lowest seed.
    failed: Option<(u64, Failure)>,
}

impl Found {
    fn count(&mut self, arguments: &Arguments, seed: u64, report: &Report) {
        if arguments.corpus.is_some() {
            let candidate = Candidate { steps: report.stats.steps, marks: report.marks.clone() };
            self.candidates.insert(seed, candidate);
        }
        for mark in &report.marks {
            let (runs, first) = self.marks.entry(mark).or_insert((0, seed));
            *runs += 1;
            *first = seed.min(*first);
        }
        if report.stats.beyond_repair > 0 {
            self.beyond_repair.push(seed);
        }
    }
}

/// Runs a scenario with the bug that was asked for.
pub(crate) fn run_with(mutant: Option<&'static str>, scenario: &Scenario, keeps: bool) -> Report {
    #[cfg(feature = "mutants")]
    if let Some(name) = mutant {
        return mutant::with(name, || run::<Store>(scenario, keeps));
    }
    let _ = mutant;
    run::<Store>(scenario, keeps)
}

/// Searches seeds until one fails.
pub(crate) fn search(arguments: &Arguments) -> ExitCode {
    let started = Instant::now();
    let next = AtomicUsize::new(0);
    let seeds = match seeds_of(arguments) {
        Ok(seeds) => seeds,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let stop = AtomicBool::new(false);
    let found = Mutex::new(Found::default());
    let work = || {
        while !stop.load(Ordering::Relaxed) {
            let Some(&seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) else { return };
            let report = one(arguments, seed);
            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
            found.stats.add(&report.stats);
            found.count(arguments, seed, &report);
            if let Some(failure) = report.failure {
                stop.store(true, Ordering::Relaxed);
                if found.failed.as_ref().is_none_or(|(first, _)| seed < *first) {
                    found.failed = Some((seed, failure));
                }
            }
        }
    };
    std::thread::scope(|scope| {
        (0..arguments.jobs).for_each(|_| drop(scope.spawn(work)));
    });
    let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some((seed, failure)) = found.failed {
        let scenario = Scenario::draw::<Store>(seed);
        return fails(arguments, &scenario, &failure);
    }
    tell(seeds.len() as u64, &found.stats, started.elapsed().as_secs_f64());
    if !found.beyond_repair.is_empty() {
        println!("beyond repair: seeds {:?}", found.beyond_repair);
    }
    let missing = tell_marks(arguments, &found.marks);
    let written = arguments.corpus.as_ref().map(|path| write_corpus(path, &found.candidates));
    if let Some(Err(error)) = &written {
        eprintln!("the corpus cannot be written: {error}");
    }
    let wants_all = arguments.marks || arguments.corpus.is_some();
    match wants_all && missing > 0 || matches!(written, Some(Err(_))) {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    }
}

/// The seeds that are asked for; where a corpus is chosen, those that it had before, too.
fn seeds_of(arguments: &Arguments) -> Result<Vec<u64>, String> {
    let mut seeds: BTreeSet<u64> =
        (arguments.first..arguments.first.saturating_add(arguments.seeds)).collect();
    if let Some(path) = arguments.corpus.as_ref().filter(|path| Path::new(path).exists()) {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
        seeds.extend(corpus::parse(&text)?.iter().map(|kept| kept.seed));
    }
    Ok(seeds.into_iter().collect())
}

/// Tells which marks no seed left, and with `--marks` how many left the others. Says how many none
/// left.
fn tell_marks(arguments: &Arguments, left: &BTreeMap<&'static str, (u64, u64)>) -> usize {
    let mut missing = 0;
    for mark in marks::WORLD.iter().chain(marks::PRODUCT) {
        match left.get(mark) {
            None => {
                missing += 1;
                println!("never: {mark}");
            }
            Some((runs, first)) if arguments.marks => {
                println!("{runs:>8} runs, first {first:>6}: {mark}");
            }
            Some(_) => {}
        }
    }
    missing
}

/// Chooses a corpus, and writes it.
fn write_corpus(path: &str, candidates: &BTreeMap<u64, Candidate>) -> io::Result<()> {
    let corpus = corpus::choose(candidates);
    let head = "# Seeds that together leave every mark, each with those that it is there for.\n\
                # A test runs them. When it fails after a change, choose them anew:\n\
                # make sim-corpus\n";
    std::fs::write(path, format!("{head}{}", corpus::format(&corpus)))?;
    println!("{path}: {} seeds", corpus.len());
    Ok(())
}

/// One seed; now and then twice, since a run that does not repeat itself is worth nothing.
fn one(arguments: &Arguments, seed: u64) -> Report {
    let scenario = Scenario::draw::<Store>(seed);
    let mut report = run_with(arguments.mutant, &scenario, false);
    if seed.is_multiple_of(TWICE) && report.failure.is_none() {
        let again = run_with(arguments.mutant, &scenario, true);
        if again.trace_hash != report.trace_hash {
            report.failure = Some(Failure::NotRepeatable);
        }
    }
    report
}

fn tell(seeds: u64, stats: &Stats, seconds: f64) {
    println!(
        "{seeds} seeds, {} faults, {} crashes, {} elections, {} calls ({} answered), {} entries, \
         {} messages, {} runs beyond repair, no violation",
        stats.faults,
        stats.crashes,
        stats.elections,
        stats.calls,
        stats.answered,
        stats.entries,
        stats.messages,
        stats.beyond_repair
    );
    println!(
        "{seconds:.1} s: {:.0} seeds and {:.0} faults a minute, {:.0} times as fast as real time",
        seeds as f64 * 60.0 / seconds,
        stats.faults as f64 * 60.0 / seconds,
        stats.virtual_micros as f64 / 1e6 / seconds
    );
}

/// Tells how a scenario fails, and writes a bundle.
fn fails(arguments: &Arguments, scenario: &Scenario, failure: &Failure) -> ExitCode {
    println!("seed {} fails: {failure}", scenario.seed);
    let mutant = arguments.mutant.map_or(String::new(), |name| format!(" --mutant {name}"));
    let features = if arguments.mutant.is_some() { " --features mutants" } else { "" };
    println!("replay: cargo run -p tinykv-sim{features} -- --seed {}{mutant}", scenario.seed);
    match bundle::write(arguments, scenario, failure) {
        Ok(folder) => println!("see {folder}"),
        Err(error) => eprintln!("the failure bundle cannot be written: {error}"),
    }
    ExitCode::FAILURE
}

/// Runs a seed again.
pub(crate) fn replay_seed(arguments: &Arguments, seed: u64) -> ExitCode {
    replay(arguments, &Scenario::draw::<Store>(seed))
}

/// Runs a scenario again that was written to a file.
pub(crate) fn replay_file(arguments: &Arguments, path: &str) -> ExitCode {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string());
    let scenario =
        text.and_then(|text| serde_json::from_str(&text).map_err(|error| error.to_string()));
    match scenario {
        Ok(scenario) => replay(arguments, &scenario),
        Err(error) => {
            eprintln!("{path}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn replay(arguments: &Arguments, scenario: &Scenario) -> ExitCode {
    let report = run_with(arguments.mutant, scenario, false);
    println!("trace hash {:016x}", report.trace_hash);
    println!("{:?}", report.stats);
    match report.failure {
        Some(failure) => fails(arguments, scenario, &failure),
        None => {
            println!("no violation");
            ExitCode::SUCCESS
        }
    }
}
