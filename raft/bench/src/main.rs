//! The raft core beside raft-rs 0.7 (protobuf codec), in one process, on the same work.
//!
//! `make bench-raft`. One thread, all nodes of a group in it, the same log in memory on both sides,
//! messages passed by move. Runs are in turns and the median is shown, in nanoseconds of this thread's
//! time and allocations a unit, for the whole group: what else the machine does disturbs little. Where `valgrind` is at hand, `--instructions` counts instructions too,
//! which nothing else on the machine disturbs.
//!
//! ```text
//! make bench-raft ARGS='--runs 5'            fewer runs
//! make bench-raft ARGS='--instructions'      with instructions for the cases of the goals
//! make bench-raft ARGS='--runs 30 --case 0'  one case
//! make bench-raft FEATURES=openraft           with the engine of openraft
//! tinykv-raft-bench --one 0 ours 1000        one case alone, for a profiler
//! ```

mod cases;
#[cfg(feature = "openraft")]
mod engine;
mod heap;
mod instructions;
mod log;
mod micro;
mod ours;
mod rival;
mod steps;

use cases::{CASES, Case, Cost, Group};
use ours::Ours;
use rival::Rival;
use tinykv_raft::MemStorage;

#[global_allocator]
static HEAP: heap::Counting = heap::Counting;

/// Ours on the neutral log, and on its own; the rival gathering appends, and as it is by default.
const SIDES: [&str; 4] = ["ours", "own-log", "batched", "default"];

/// Does some units of a case with a new group.
fn one(case: &Case, side: &str, units: u64) {
    match side {
        "ours" => drop(case.run(&mut Ours::<ours::Neutral>::new(case.nodes), units)),
        "own-log" => drop(case.run(&mut Ours::<MemStorage>::new(case.nodes), units)),
        "batched" => drop(case.run(&mut Rival::<true>::new(case.nodes), units)),
        _ => drop(case.run(&mut Rival::<false>::new(case.nodes), units)),
    }
}

fn median(mut costs: Vec<Cost>) -> Cost {
    costs.sort_by(|a, b| a.0.total_cmp(&b.0));
    costs[costs.len() / 2]
}

fn compare(case: &Case, runs: usize) {
    let mut ours = Ours::<ours::Neutral>::new(case.nodes);
    let mut own = Ours::<MemStorage>::new(case.nodes);
    let mut batched = Rival::<true>::new(case.nodes);
    let mut default = Rival::<false>::new(case.nodes);
    let mut costs: [Vec<Cost>; 4] = Default::default();
    // MemStorage answers with the snapshot that it was given last; the bench gives it none.
    let on_own_log = !matches!(case.work, cases::Work::Snapshot);
    for _ in 0..runs {
        costs[0].push(case.run(&mut ours, case.units));
        if on_own_log {
            costs[1].push(case.run(&mut own, case.units));
        }
        costs[2].push(case.run(&mut batched, case.units));
        costs[3].push(case.run(&mut default, case.units));
    }
    let shown = costs.map(|costs| (!costs.is_empty()).then(|| median(costs)));
    let column = |cost: Option<Cost>| match cost {
        Some((time, count)) => format!("{time:8.0} {count:6.2}"),
        None => " ".repeat(15),
    };
    let time = |side: usize| shown[side].map_or(f64::INFINITY, |cost| cost.0);
    println!(
        "{:36} {} | {} | {} | {} | {:5.2}x",
        case.name(),
        column(shown[0]),
        column(shown[1]),
        column(shown[2]),
        column(shown[3]),
        time(2).min(time(3)) / time(0)
    );
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let ["--one", case, side, units] = words[..] {
        let case = case.parse::<usize>().expect("the number of a case");
        return one(&CASES[case], side, units.parse().expect("how many units"));
    }
    let runs = match words[..] {
        ["--runs", runs, ..] => runs.parse().expect("how many runs"),
        _ => 10,
    };
    println!(
        "{:36} {:>15} | {:>15} | {:>15} | {:>15} | best/ours",
        "ns and allocations", "ours", "on its own log", "raft-rs batched", "raft-rs default"
    );
    if let [.., "--case", case] = words[..] {
        return compare(&CASES[case.parse::<usize>().expect("the number of a case")], runs);
    }
    CASES.iter().for_each(|case| compare(case, runs));
    micro::print();
    steps::print();
    #[cfg(feature = "openraft")]
    engine::print();
    if words.contains(&"--instructions") {
        instructions::print();
    }
}
