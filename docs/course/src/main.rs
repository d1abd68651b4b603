//! The course tool, `cargo course`: what no compiler checks about this workspace.
//!
//! - `arrows`: who depends on whom, compared with the table in `docs/course/arrows.toml`
//! - `tidy`: the rules of the house about files, names and links
//! - `docs`: the commands in the README and the book, run and compared with what is printed there
//! - `mutants`: the tests, tried on each known bug
//!
//! Every check prints `file:line: what is wrong, and what to do instead`, and exits with 1 if it
//! found anything. None of them writes to the source tree.

#![expect(clippy::print_stdout, reason = "a program that reports to people")]

mod arrows;
mod docs;
mod finding;
mod mutants;
mod tidy;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use finding::Finding;
use workspace::Metadata;

/// The course tool: what no compiler checks about this workspace.
#[derive(Debug, Parser)]
#[command(name = "cargo course")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Compares who depends on whom with the table of allowed arrows
    Arrows,
    /// Checks the rules of the house about files, names and links
    Tidy,
    /// Runs the commands in the README and the book, and compares what they print
    Docs,
    /// Switches on each known bug, and demands that a test fails
    Mutants(mutants::Options),
}

fn main() -> Result<ExitCode> {
    let task = Arguments::parse().task;
    let metadata = Metadata::read()?;
    let good = match task {
        Task::Arrows => report("arrows", &arrows::check(&metadata)?),
        Task::Tidy => report("tidy", &tidy::check(&metadata)?),
        Task::Docs => docs::run(&metadata)?,
        Task::Mutants(options) => mutants::run(&metadata, &options)?,
    };
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints what was found; true if that is nothing.
fn report(task: &str, findings: &[Finding]) -> bool {
    for finding in findings {
        println!("{finding}");
    }
    match findings.len() {
        0 => println!("{task}: nothing found"),
        count => println!("{task}: {count} found"),
    }
    findings.is_empty()
}

/// Prints something that is worth knowing and no error.
fn note(text: &str) {
    println!("note: {text}");
}
