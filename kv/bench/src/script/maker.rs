//! A second process that makes a store for a script: it closes the store, or it is killed.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use engine::{Batch, Cf};

use super::Bench;
use crate::keys;

/// What the maker prints once the store is as asked for.
const MADE: &str = "made";

/// What the maker does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Make {
    /// Sets all keys, makes them durable, and closes the store.
    Closed,
    /// Sets all keys, makes them durable, and waits to be killed.
    Open,
    /// Sets the keys of a fill at the level of durability, and waits to be killed.
    Written,
}

impl Bench {
    /// Makes a store and says so on standard output (what the second process does).
    ///
    /// # Errors
    /// If the store fails.
    pub fn make(&self, what: Make) -> Result<()> {
        let engine = self.open()?;
        match what {
            Make::Closed | Make::Open => self.load(&*engine)?,
            Make::Written => self.write_one_by_one(&*engine)?,
        }
        let open = (what != Make::Closed).then_some(engine);
        writeln!(std::io::stdout(), "{MADE}")?;
        if open.is_some() {
            // Ends when the other process kills this one, or is gone itself.
            std::io::stdin().read_to_end(&mut Vec::new())?;
        }
        Ok(())
    }

    fn write_one_by_one(&self, engine: &dyn engine::Engine) -> Result<()> {
        let mut numbers = (0..self.fill_keys()).peekable();
        while numbers.peek().is_some() {
            let mut batch = Batch::new();
            for number in numbers.by_ref().take(self.level.batch_keys()) {
                batch.put(Cf::Default, keys::key(number).to_vec(), self.value(number, 0));
            }
            engine.write(batch, self.level.durability())?;
        }
        Ok(())
    }

    /// Has a second process make the store of this bench, and waits for its end.
    pub(super) fn have_made(&self, what: Make) -> Result<()> {
        let what_name = what.to_possible_value().expect("none is skipped");
        let mut maker = Command::new(std::env::current_exe()?)
            .arg("make")
            .args(["--backend", self.backend.name])
            .args(["--level", self.level.name()])
            .args(["--value-bytes", &self.value_bytes.to_string()])
            .args(["--scale", &serde_json::to_string(&self.scale)?])
            .args(["--what", what_name.get_name()])
            .arg("--path")
            .arg(&self.path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the process that makes the store")?;
        let made = wait_until_made(&mut maker);
        if what != Make::Closed {
            maker.kill()?;
        }
        let status = maker.wait()?;
        ensure!(made? && (what != Make::Closed || status.success()), "no store was made");
        Ok(())
    }
}

fn wait_until_made(maker: &mut Child) -> Result<bool> {
    let mut said = String::new();
    BufReader::new(maker.stdout.take().expect("its output is piped")).read_line(&mut said)?;
    Ok(said.trim() == MADE)
}
