//! What is running, and how long it will take: a bar on a terminal, and elsewhere, as in the log of a
//! CI run, a line whenever another question begins.

use std::io::{Write, stderr};
use std::time::Duration;

use anyhow::Result;
use indicatif::{HumanDuration, ProgressBar, ProgressStyle};

/// How far a run is.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    /// The question of the last line.
    question: String,
}

impl Progress {
    /// Begins a run of `jobs`.
    pub(crate) fn new(jobs: u64) -> Result<Progress> {
        let bar = ProgressBar::new(jobs);
        bar.set_style(ProgressStyle::with_template(
            "{elapsed_precise} [{wide_bar}] {pos}/{len} (about {eta} left) {msg}",
        )?);
        if !bar.is_hidden() {
            bar.enable_steady_tick(Duration::from_millis(250));
        }
        Ok(Progress { bar, question: String::new() })
    }

    /// Says that a backend begins a question.
    pub(crate) fn begin(&mut self, backend: &str, question: String) -> Result<()> {
        if !self.bar.is_hidden() {
            self.bar.set_message(format!("{backend} {question}"));
        } else if question != self.question {
            let (position, all) = (self.bar.position(), self.bar.length().unwrap_or_default());
            let spent = HumanDuration(self.bar.elapsed());
            let left = HumanDuration(self.bar.eta());
            writeln!(stderr(), "{position}/{all} after {spent}, about {left} left: {question}")?;
            self.question = question;
        }
        Ok(())
    }

    /// Says that the backend is through with it.
    pub(crate) fn end(&self) {
        self.bar.inc(1);
    }

    /// Ends the run.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
