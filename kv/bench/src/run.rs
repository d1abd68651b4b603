//! Runs all scripts on all backends, round after round, each in a process of its own.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::backend::{self, Backend};
use crate::level::Level;
use crate::measurement::Measurement;
use crate::progress::Progress;
use crate::report::{self, Results};
use crate::scale::Scale;
use crate::script::Script;

/// What is run.
#[derive(Debug, Args)]
pub struct Options {
    /// A million keys and five rounds (hours), instead of a hundred thousand and one (minutes).
    #[arg(long)]
    full: bool,
    /// Only these backends, with commas between them.
    #[arg(long, value_delimiter = ',', value_parser = backend::parse)]
    backends: Vec<Backend>,
    /// Only these scripts, with commas between them.
    #[arg(long, value_delimiter = ',')]
    scripts: Vec<Script>,
    /// Sizes of values in bytes, with commas between them.
    #[arg(long, value_delimiter = ',', default_value = "100,1024")]
    value_bytes: Vec<usize>,
    /// How often everything runs; figures are medians.
    #[arg(long)]
    rounds: Option<u32>,
    /// How many keys the data set has.
    #[arg(long)]
    keys: Option<u64>,
    /// How long a question without a natural end runs, in milliseconds.
    #[arg(long)]
    duration_ms: Option<u64>,
    /// Where the stores are made (on the disk under test).
    #[arg(long, default_value = "target/bench-data")]
    data: PathBuf,
    /// Where the report goes.
    #[arg(long, default_value = "target/bench-report")]
    out: PathBuf,
}

/// One process to start.
#[derive(Clone, Copy, Debug)]
struct Job {
    script: Script,
    level: Level,
    value_bytes: usize,
    backend: Backend,
}

/// Runs the bench and writes its report.
///
/// # Errors
/// If a backend fails or returns something wrong, or files cannot be written.
pub fn run(options: &Options) -> Result<()> {
    let scale = options.scale();
    let jobs = options.jobs();
    ensure!(!jobs.is_empty(), "nothing to run");
    let mut progress = Progress::new(jobs.len() as u64 * u64::from(scale.rounds))?;
    let mut found = Vec::new();
    for round in 0..scale.rounds {
        for job in &turns(&jobs, round as usize) {
            progress.begin(job.backend.name, job.question())?;
            found.extend(job.run(options, scale, round)?);
            progress.end();
        }
    }
    progress.finish();
    report::write(&Results::new(scale, found), &options.out)
}

/// The jobs of a round: each round another backend goes first.
fn turns(jobs: &[Job], round: usize) -> Vec<Job> {
    let same =
        |a: &Job, b: &Job| (a.script, a.level, a.value_bytes) == (b.script, b.level, b.value_bytes);
    let mut out = Vec::with_capacity(jobs.len());
    for compared in jobs.chunk_by(same) {
        let (last, first) = compared.split_at(round % compared.len());
        out.extend(first.iter().chain(last).copied());
    }
    out
}

impl Options {
    fn scale(&self) -> Scale {
        let mut scale = if self.full { Scale::full() } else { Scale::short() };
        scale.rounds = self.rounds.unwrap_or(scale.rounds).max(1);
        // A scan of a thousand keys must fit.
        scale.keys = self.keys.unwrap_or(scale.keys).max(2_000);
        scale.synced_keys = scale.synced_keys.min(scale.keys / 10);
        scale.duration = self.duration_ms.map_or(scale.duration, Duration::from_millis);
        scale
    }

    /// All jobs; backends change fastest, so that those compared run close together.
    fn jobs(&self) -> Vec<Job> {
        let all: Vec<_> = clap::ValueEnum::value_variants().to_vec();
        let scripts = if self.scripts.is_empty() { &all } else { &self.scripts };
        let backends =
            if self.backends.is_empty() { backend::all() } else { self.backends.clone() };
        let mut jobs = Vec::new();
        for &value_bytes in &self.value_bytes {
            for &script in scripts {
                for &level in script.levels() {
                    for &backend in &backends {
                        if backend.persistent || !script.needs_disk() {
                            jobs.push(Job { script, level, value_bytes, backend });
                        }
                    }
                }
            }
        }
        jobs
    }
}

impl Job {
    /// What is compared, in words.
    fn question(&self) -> String {
        format!("{} {} {} B", self.script_name(), self.level.name(), self.value_bytes)
    }

    fn script_name(&self) -> String {
        let value = clap::ValueEnum::to_possible_value(&self.script);
        value.expect("none is skipped").get_name().to_owned()
    }

    fn run(&self, options: &Options, scale: Scale, round: u32) -> Result<Vec<Measurement>> {
        std::fs::create_dir_all(&options.data)
            .with_context(|| format!("cannot make {}", options.data.display()))?;
        let folder = tempfile::tempdir_in(&options.data)?;
        let script = self.script_name();
        let output = Command::new(std::env::current_exe()?)
            .arg("worker")
            .args(["--script", &script])
            .args(["--backend", self.backend.name])
            .args(["--level", self.level.name()])
            .args(["--value-bytes", &self.value_bytes.to_string()])
            .args(["--scale", &serde_json::to_string(&scale)?])
            .args(["--seed", &(u64::from(round) + 1).to_string()])
            .arg("--path")
            .arg(folder.path().join("store"))
            .stderr(Stdio::inherit())
            .output()?;
        ensure!(
            output.status.success(),
            "{} failed in {script} at {}",
            self.backend.name,
            self.level.name()
        );
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}
