//! How long a store takes to open, after it was closed and after its process was killed.
//!
//! A second process makes the store. In the second case it says that all is durable, and the first
//! one kills it.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::Bench;
use crate::measurement::Unit;

/// How the process that made the store ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It closes the store.
    Clean,
    /// It is killed with the store open.
    Killed,
}

/// What the maker prints once all is durable.
pub(super) const LOADED: &str = "loaded";

pub(super) fn run(bench: &mut Bench, end: End) -> Result<()> {
    let mut maker = Command::new(std::env::current_exe()?)
        .arg("load")
        .args(["--backend", bench.backend.name])
        .args(["--value-bytes", &bench.value_bytes.to_string()])
        .args(["--scale", &serde_json::to_string(&bench.scale)?])
        .arg("--path")
        .arg(&bench.path)
        .args((end == End::Killed).then_some("--wait"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start the loading process")?;
    let mut said = String::new();
    BufReader::new(maker.stdout.take().expect("its output is piped")).read_line(&mut said)?;
    ensure!(said.trim() == LOADED, "the loading process failed");
    if end == End::Killed {
        maker.kill()?;
    }
    maker.wait()?;

    let started = Instant::now();
    let engine = bench.open()?;
    bench.read(&*engine, bench.scale.keys / 2)?;
    let seconds = started.elapsed().as_secs_f64();
    let variant = if end == End::Clean { "after a clean stop" } else { "after a kill" };
    bench.figure("reopen", variant, None, seconds, Unit::Seconds);
    let step = (bench.scale.keys / 1_000).max(1) as usize;
    (0..bench.scale.keys).step_by(step).try_for_each(|number| bench.read(&*engine, number))
}
