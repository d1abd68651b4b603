//! Finds each known bug, and counts the seeds that it takes.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

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

/// Searches for each bug until a seed fails, in at most as many seeds as were asked for, and prints
/// the table that the book has.
pub(crate) fn find_all(arguments: &Arguments) -> ExitCode {
    let mut all = Vec::new();
    for (crate_name, list) in LISTS {
        all.extend(bugs(list).into_iter().map(|(name, what)| (crate_name, &*name.leak(), what)));
    }
    let wanted = |crate_name: &str, name: &str| {
        arguments.mutant.is_none_or(|only| only == name || only == crate_name)
    };
    all.retain(|(crate_name, name, _)| wanted(crate_name, name));
    let next = AtomicUsize::new(0);
    let rows = Mutex::new(BTreeMap::new());
    let work = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some((crate_name, name, what)) = all.get(at) else { return };
            let found = find(arguments, name);
            let seeds = match &found {
                Some((seeds, failure)) => format!("{seeds} | {}", failure.kind()),
                None => format!("not in {} |", arguments.seeds),
            };
            eprintln!("{crate_name} {name}: {seeds}");
            let row = format!("| `{name}` | {} | {seeds} |", what.trim_matches('"'));
            let mut rows = rows.lock().unwrap_or_else(PoisonError::into_inner);
            rows.insert(at, (found.is_some(), row));
        }
    };
    std::thread::scope(|scope| {
        (0..arguments.jobs).for_each(|_| drop(scope.spawn(work)));
    });
    let rows = rows.into_inner().unwrap_or_else(PoisonError::into_inner);
    println!("| bug | what it does | seeds | seen as |\n|---|---|---|---|");
    rows.values().for_each(|(_, row)| println!("{row}"));
    let missed = rows.values().filter(|(found, _)| !found).count();
    println!("{} found, {missed} not found", rows.len() - missed);
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
