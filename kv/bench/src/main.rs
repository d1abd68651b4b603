//! The command line of the bench of storage backends.

use std::io::{Write, stdout};
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};

use tinykv_bench::backend::{self, Backend};
use tinykv_bench::level::Level;
use tinykv_bench::scale::Scale;
use tinykv_bench::script::{Bench, Script};
use tinykv_bench::{report, run};

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
    /// Makes a full store and prints `loaded` (used by the scripts that open one).
    #[command(hide = true)]
    Load {
        #[command(flatten)]
        store: Store,
        /// Waits to be killed instead of closing the store.
        #[arg(long)]
        wait: bool,
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
        Command::List => {
            let mut out = stdout().lock();
            for backend in backend::all() {
                let caveat = backend.caveat.unwrap_or("");
                writeln!(out, "{:10} {:22} {caveat}", backend.name, backend.family)?;
            }
            Ok(())
        }
        Command::Worker { store, script, level, seed } => {
            let found = script.run(store.bench(level, seed))?;
            writeln!(stdout(), "{}", serde_json::to_string(&found)?)?;
            Ok(())
        }
        Command::Load { store, wait } => {
            store.bench(Level::Interval, 1).load_and_say(wait)?;
            Ok(())
        }
    }
}
