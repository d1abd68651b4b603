//! Runs the commands in the README and the book, and compares what they print.
//!
//! Every fenced block of the language `console` is run. A line that begins with `$ ` is a command
//! for a shell; the lines below it are what it prints, on both streams. In them `[..]` stands for
//! any text within a line, and a line that is `...` for any number of lines. The blocks of a page
//! run one after the other in one temporary folder, in which the pages' relative paths are; our
//! programs and their examples are on the `PATH`.
//!
//! A comment of its own line before a block changes that:
//!
//! - `<!-- course: server -->`: the last command starts a server, which is compared up to its
//!   ready line, and serves until the end of the page or the next `<!-- course: stop -->`.
//! - `<!-- course: kill -->`: the server is killed before the block, as a crash would.
//! - `<!-- course: needs redis-cli -->`: the block is left out where that program is missing.
//! - `<!-- course: skip why -->`: the block is shown, and never run.
//!
//! The docs show the default ports. When they are run, servers listen on ports that are free, and
//! the numbers are exchanged in the commands and in what they print.

mod compare;
mod page;
mod session;

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::Finding;
use crate::workspace::{Metadata, cargo, files};
use page::{Directive, Page};
use session::Session;

/// The pages whose commands are run.
const PAGES: [&str; 2] = ["README.md", "docs/book/src"];

/// Builds our programs, and runs all pages.
pub(crate) fn run(metadata: &Metadata) -> Result<bool> {
    let status = Command::new(cargo())
        .args([
            "build",
            "--quiet",
            "--package",
            "tinykv-server",
            "--package",
            "tinykv-client",
            "--bins",
            "--package",
            "tinykv-wal",
            "--example",
            "wal-tour",
        ])
        .status()?;
    ensure!(status.success(), "cannot build the programs");
    let programs = metadata.target_directory.join("debug");
    let mut findings = Vec::new();
    let mut ran = 0;
    for file in files(&metadata.workspace_root)? {
        let wanted = PAGES.iter().any(|page| file.starts_with(page));
        if wanted && file.extension().is_some_and(|extension| extension == "md") {
            let text = std::fs::read_to_string(metadata.workspace_root.join(&file))?;
            let (count, found) = run_page(&file, &page::parse(&text), &programs)
                .with_context(|| file.display().to_string())?;
            ran += count;
            findings.extend(found);
        }
    }
    println!("docs: {ran} commands run");
    Ok(crate::report("docs", &findings))
}

/// Runs the blocks of a page; returns how many commands that were, and what is not as it says.
fn run_page(file: &Path, page: &Page, programs: &Path) -> Result<(usize, Vec<Finding>)> {
    let mut session = Session::new(programs)?;
    let mut findings = Vec::new();
    let mut ran = 0;
    for block in &page.blocks {
        let mut server = false;
        let mut skip = None;
        for directive in &block.directives {
            match directive {
                Directive::Server => server = true,
                Directive::Stop => session.stop()?,
                Directive::Kill => session.kill()?,
                Directive::Skip => skip = Some(String::new()),
                Directive::Needs(program) if session::find(program).is_none() => {
                    skip = Some(format!(
                        "{}:{}: left out, `{program}` is missing",
                        file.display(),
                        block.line
                    ));
                }
                Directive::Needs(_) => {}
                Directive::Unknown(text) => {
                    findings.push(Finding::new(
                        file,
                        block.line,
                        format!("nobody knows `course: {text}`"),
                    ));
                }
            }
        }
        if let Some(why) = skip {
            if !why.is_empty() {
                crate::note(&why);
            }
            continue;
        }
        let outputs = session.run(block, server)?;
        for (step, output) in block.steps.iter().zip(outputs) {
            ran += 1;
            if let Some(difference) = compare::difference(&step.output, &output) {
                findings.push(Finding::new(
                    file,
                    step.line,
                    format!("`{}`: {difference}", step.command),
                ));
            }
        }
    }
    session.stop()?;
    Ok((ran, findings))
}

#[cfg(test)]
mod tests;
