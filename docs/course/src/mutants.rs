//! Tries the tests on bugs on purpose: each must make one fail.
//!
//! The crate `tinykv-mutant` tells how a bug is placed and listed. For every list the suites are
//! built once with the crate's feature `mutants`, and run without a bug, which must be green. Then
//! they run once a bug, the quickest program first, until the first test fails. A bug that no
//! test notices makes the whole run fail, and so does one that makes a test hang: a time limit is
//! not a verdict.

pub(crate) mod list;
mod suite;

use anyhow::{Result, ensure};
use clap::Args;

use crate::workspace::{Metadata, Package};
use list::{List, With};
use suite::{Program, Verdict};

/// What to try.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Only the bugs of these packages, as in `-p tinykv-engine`
    #[arg(short, long)]
    package: Vec<String>,
    /// Only the bugs of these names
    names: Vec<String>,
    /// The bugs in code that only this feature builds, instead of the others
    #[arg(long)]
    with: Option<String>,
    /// List the bugs, and run nothing
    #[arg(long)]
    list: bool,
}

/// Tries all bugs that the options name; true if each was caught.
pub(crate) fn run(metadata: &Metadata, options: &Options) -> Result<bool> {
    let (mut tried, mut survived) = (0, 0);
    for package in metadata.ours() {
        let Some(mut all) = List::read(&metadata.workspace_root.join(metadata.folder(package)))?
        else {
            continue;
        };
        let mut list = all.choose(options.with.as_deref());
        if !options.names.is_empty() {
            list.bugs.retain(|name, _| options.names.contains(name));
        }
        let wanted = options.package.is_empty() || options.package.contains(&package.name);
        if !wanted || list.bugs.is_empty() {
            continue;
        }
        if options.list {
            for (name, bug) in &list.bugs {
                println!("{:<14} {name:<32} {bug}", package.short());
            }
            continue;
        }
        tried += list.bugs.len();
        survived += try_list(package, &list, options.with.as_deref())?;
    }
    if options.list {
        return Ok(true);
    }
    ensure!(tried > 0, "no bug of this name; `cargo course mutants --list` names them all");
    println!("mutants: {} caught, {survived} not caught", tried - survived);
    Ok(survived == 0)
}

/// Tries the bugs of one crate, and returns how many were not caught.
fn try_list(package: &Package, list: &With, feature: Option<&str>) -> Result<usize> {
    let own = [package.name.clone()];
    let suites = if list.suites.is_empty() { &own[..] } else { &list.suites };
    let programs = suite::build(&package.name, suites, feature)?;
    let mut timed = Vec::new();
    for program in programs {
        let (verdict, seconds) = program.run(None, None)?;
        ensure!(
            verdict == Verdict::Passed,
            "{}: {verdict} without any bug switched on; mend that first",
            program.name
        );
        timed.push((seconds, program));
    }
    timed.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut survived = 0;
    for name in list.bugs.keys() {
        let verdict = try_bug(name, &timed)?;
        println!("{:<8} {name:<32} {verdict}", package.short());
        survived += usize::from(!matches!(verdict, Verdict::Failed { .. }));
    }
    Ok(survived)
}

/// Runs the programs with one bug on, until a test fails.
fn try_bug(name: &str, programs: &[(f64, Program)]) -> Result<Verdict> {
    for (seconds, program) in programs {
        let (verdict, _) = program.run(Some(name), Some(*seconds))?;
        if verdict != Verdict::Passed {
            return Ok(verdict);
        }
    }
    Ok(Verdict::Passed)
}
