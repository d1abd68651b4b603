//! Finds each known bug, and counts the seeds that it takes.

use std::collections::BTreeMap;
use std::process::ExitCode;

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
    let mut missed = 0;
    for (crate_name, list) in LISTS {
        println!("{crate_name}:");
        for (name, what) in bugs(list) {
            let name: &'static str = name.leak();
            if arguments.mutant.is_some_and(|only| only != name) {
                continue;
            }
            match find(arguments, name) {
                Some((seeds, failure)) => println!("  {name}: {seeds} seeds ({})", failure.kind()),
                None => {
                    missed += 1;
                    println!("  {name}: not in {} seeds: {what}", arguments.seeds);
                }
            }
        }
    }
    println!("{missed} not found");
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
