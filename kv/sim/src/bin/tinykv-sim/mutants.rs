//! Finds each known bug, and counts the seeds that it takes.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};

use tinykv_sim::outcome::Failure;
use tinykv_sim::scenario::Scenario;
use tinykv_sim::store::Store;

use crate::Arguments;
use crate::campaign::run_with;

/// The lists of bugs, and of which crates they are.
const LISTS: [(&str, &str); 2] = [
    ("raftstore", include_str!("../../../../raftstore/mutants.toml")),
    ("raft", include_str!("../../../../../raft/mutants.toml")),
];

/// Searches for each bug until a seed fails, in at most as many seeds as were asked for.
pub(crate) fn find_all(arguments: &Arguments) -> ExitCode {
    let mut all = Vec::new();
    for (crate_name, list) in LISTS {
        all.extend(bugs(list).into_iter().map(|(name, what)| (crate_name, &*name.leak(), what)));
    }
    all.retain(|(_, name, _)| arguments.mutant.is_none_or(|only| only == *name));
    let (next, missed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || {
        while let Some((crate_name, name, what)) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
            match find(arguments, name) {
                Some((seeds, failure)) => {
                    println!("{crate_name} {name}: {seeds} seeds ({})", failure.kind());
                }
                None => {
                    missed.fetch_add(1, Ordering::Relaxed);
                    println!("{crate_name} {name}: not in {} seeds: {what}", arguments.seeds);
                }
            }
        }
    };
    std::thread::scope(|scope| {
        (0..arguments.jobs).for_each(|_| drop(scope.spawn(work)));
    });
    let missed = missed.into_inner();
    println!("{} found, {missed} not found", all.len() - missed);
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// How many seeds a bug takes, and what it looks like.
fn find(arguments: &Arguments, name: &'static str) -> Option<(u64, Failure)> {
    (0..arguments.seeds).find_map(|number| {
        let scenario = Scenario::draw::<Store>(arguments.first + number);
        let failure = run_with(Some(name), &scenario, false).failure?;
        Some((number + 1, failure))
    })
}

/// The names and sentences of a list.
fn bugs(list: &str) -> BTreeMap<String, String> {
    let (_, bugs) = list.split_once("[bugs]").unwrap_or(("", ""));
    let lines = bugs.lines().filter_map(|line| line.split_once(" = "));
    lines.map(|(name, what)| (name.trim().to_owned(), what.trim().to_owned())).collect()
}
