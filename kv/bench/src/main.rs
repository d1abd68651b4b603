//! The command line of the bench of storage backends.

use std::io::{Write, stdout};
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};

use tinykv_bench::backend::{self, Backend};
use tinykv_bench::level::Level;
use tinykv_bench::scale::Scale;
use tinykv_bench::script::{Bench, Make, Script};
use tinykv_bench::{limit, report, run, syncs};

#[derive(Debug, Parser)]
#[command(version, about = "Compares storage backends under equal durability")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the bench, and writes its report.
    Run(run::Options),
    /// Writes the report of results that stand in a file.
    Report {
        /// The `results.json` of a run.
        results: PathBuf,
        /// Where the report goes.
        #[arg(long, default_value = "target/bench-report")]
        out: PathBuf,
    },
    /// Sets keys under a limit of memory, until they no longer fit.
    Limit(limit::Options),
    /// Counts what each backend syncs while it writes, by strace.
    Syncs(syncs::Options),
    /// Lists the backends, and what each cannot promise.
    List,
    /// Runs one script on one store, and prints what it found as JSON (used by `run`).
    #[command(hide = true)]
    Worker {
        #[command(flatten)]
        store: Store,
        #[arg(long)]
        script: Script,
        #[arg(long)]
        level: Level,
        #[arg(long)]
        seed: u64,
    },
    /// Writes to one store under strace (used by `syncs`).
    #[command(hide = true)]
    Traced(syncs::Traced),
    /// One store under a limit of memory (used by `limit`).
    #[command(hide = true)]
    Limited {
        #[command(flatten)]
        limited: limit::Limited,
        #[arg(long, value_parser = ["set", "open"])]
        action: String,
    },
    /// Makes a store and prints `made` (used by the scripts that open one).
    #[command(hide = true)]
    Make {
        #[command(flatten)]
        store: Store,
        #[arg(long)]
        level: Level,
        #[arg(long)]
        what: Make,
    },
}

#[derive(Debug, Args)]
struct Store {
    #[arg(long, value_parser = backend::parse)]
    backend: Backend,
    #[arg(long)]
    value_bytes: usize,
    /// The scale as JSON.
    #[arg(long, value_parser = |text: &str| serde_json::from_str::<Scale>(text))]
    scale: Scale,
    #[arg(long)]
    path: PathBuf,
}

impl Store {
    fn bench(&self, level: Level, seed: u64) -> Bench {
        Bench::new(self.backend, level, self.value_bytes, self.scale, &self.path, seed)
    }
}

fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Run(options) => run::run(&options),
        Command::Report { results, out } => {
            let text = std::fs::read_to_string(&results)
                .with_context(|| format!("cannot read {}", results.display()))?;
            report::write(&serde_json::from_str(&text)?, &out)
        }
        Command::Limit(options) => limit::run(&options),
        Command::Syncs(options) => syncs::run(&options),
        Command::Traced(traced) => traced.run(),
        Command::Limited { limited, action } if action == "open" => limited.open_and_read(),
        Command::Limited { limited, .. } => limited.set(),
        Command::List => {
            let mut out = stdout().lock();
            for backend in backend::all() {
                let caveats: Vec<_> = backend.caveats.iter().map(|caveat| caveat.text).collect();
                let caveats = caveats.join("; ");
                writeln!(out, "{:10} {:22} {caveats}", backend.name, backend.family)?;
            }
            Ok(())
        }
        Command::Worker { store, script, level, seed } => {
            let found = script.run(store.bench(level, seed))?;
            writeln!(stdout(), "{}", serde_json::to_string(&found)?)?;
            Ok(())
        }
        Command::Make { store, level, what } => store.bench(level, 1).make(what),
    }
}
