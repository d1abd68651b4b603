//! Writes a failure bundle: all that helps to understand a failure, in one folder.

use std::fs;
use std::io;
use std::path::Path;

use tinykv_sim::outcome::Failure;
use tinykv_sim::picture;
use tinykv_sim::scenario::Scenario;
use tinykv_sim::shrink::shrink_by;

use crate::Arguments;
use crate::campaign::run_with;

/// Runs of the shrinker.
const RUNS_MAX: u32 = 150;

/// Shrinks a failing scenario and writes what is known of it. Says where.
pub(crate) fn write(
    arguments: &Arguments,
    scenario: &Scenario,
    failure: &Failure,
) -> io::Result<String> {
    let mutant = arguments.mutant;
    let small = shrink_by(scenario, failure, RUNS_MAX, |scenario| {
        run_with(mutant, scenario, false).failure
    });
    let report = run_with(mutant, &small.scenario, true);
    let folder = Path::new(&arguments.out).join(format!("seed-{}", scenario.seed));
    fs::create_dir_all(&folder)?;
    let mut history = Vec::new();
    report.history.write(&mut history)?;
    let failure = report.failure.as_ref().unwrap_or(&small.failure);
    let flag = mutant.map_or(String::new(), |name| format!(" --mutant {name}"));
    let features = if mutant.is_some() { " --features mutants" } else { "" };
    let scenario_path = folder.join("scenario.json");
    let readme = format!(
        "{failure}\n\n\
         replay the seed:\n  cargo run -p tinykv-sim{features} -- --seed {}{flag}\n\
         replay what is left of it after {} runs of shrinking, {} of {} faults:\n  \
         cargo run -p tinykv-sim{features} -- --scenario {}{flag}\n",
        scenario.seed,
        small.runs,
        small.scenario.faults.len(),
        scenario.faults.len(),
        scenario_path.display(),
    );
    let text = picture::sequence_text(&report);
    let files: [(&str, Vec<u8>); 6] = [
        ("README.txt", readme.into_bytes()),
        ("scenario.json", serde_json::to_vec_pretty(&small.scenario)?),
        ("history.jsonl", history),
        ("history.html", picture::history_html(&report).into_bytes()),
        ("messages.svg", picture::sequence_svg(&report).into_bytes()),
        ("messages.txt", text.into_bytes()),
    ];
    for (name, content) in files {
        fs::write(folder.join(name), content)?;
    }
    Ok(folder.display().to_string())
}
