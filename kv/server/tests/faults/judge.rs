//! What the clients saw, judged.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use sim::history::{Call, History};
use sim::linear::{Options, Verdict, check};
use sim::outcome::{Failure, Report, Stats};
use sim::picture::history_html;
use sim::trace::Trace;

/// Says how much was done, how long nobody could write, and whether all of it has an explanation.
/// If it has none, leaves the history and logs in a folder, and panics.
pub(crate) fn judge(history: History, deaths: &[u64], seed: u64, logs: Vec<PathBuf>) {
    let calls = history.calls().unwrap();
    let answered = calls.iter().filter(|call| call.answer.is_some());
    let writes = answered.clone().filter(|call| !call.op.is_read()).count();
    println!(
        "{} calls: {} were answered, {writes} of them writes; {} failed; of {} nobody knows",
        calls.len(),
        answered.count(),
        calls.iter().filter(|call| call.failed).count(),
        calls.iter().filter(|call| call.is_open()).count(),
    );
    let mut gaps: Vec<u64> = deaths.iter().filter_map(|death| gap(&calls, *death)).collect();
    gaps.sort_unstable();
    if let Some(worst) = gaps.last() {
        println!(
            "{} deaths of the leader: writes go on after {} ms (median), {} ms (worst)",
            gaps.len(),
            gaps[gaps.len() / 2] / 1000,
            worst / 1000
        );
    }
    let started = Instant::now();
    let failure = match check(&calls, Options::default()) {
        Verdict::Linearizable => {
            return println!(
                "linearizable, no answered write is lost; judged in {:?}",
                started.elapsed()
            );
        }
        Verdict::Violation(violation) => Failure::NotLinearizable(violation),
        Verdict::Unknown { keys } => Failure::TooHard { keys },
    };
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("faults-{seed}"));
    let text = failure.to_string();
    write(&folder, history, failure, logs);
    panic!("{text}\n\nhistory, picture and logs: {}", folder.display());
}

/// From a death to the first write that was begun and answered after it, in microseconds.
fn gap(calls: &[Call], death: u64) -> Option<u64> {
    let writes = calls.iter().filter(|call| call.answer.is_some() && !call.op.is_read());
    let after = writes.filter(|call| call.times.0 >= death).filter_map(|call| call.times.1);
    after.min().map(|end| end - death)
}

fn write(folder: &Path, history: History, failure: Failure, logs: Vec<PathBuf>) {
    std::fs::create_dir_all(folder).unwrap();
    let mut lines = Vec::new();
    history.write(&mut lines).unwrap();
    std::fs::write(folder.join("history.jsonl"), lines).unwrap();
    let report = Report {
        failure: Some(failure),
        trace_hash: 0,
        stats: Stats::default(),
        history,
        trace: Trace::new(false),
        marks: BTreeSet::new(),
    };
    std::fs::write(folder.join("history.html"), history_html(&report)).unwrap();
    for (number, log) in (1..).zip(logs) {
        std::fs::copy(log, folder.join(format!("store-{number}.log"))).unwrap();
    }
}
