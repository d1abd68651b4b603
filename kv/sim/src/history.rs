//! What clients asked and what they were told: a [`History`], the input of every checker.
//!
//! A history is a list of events in the order of real (or virtual) time. Every call begins with one
//! `invoke` and ends with at most one of
//!
//! | end | the call |
//! |---|---|
//! | `ok` | took effect once, between its two events, and gave this answer |
//! | `fail` | had no effect, and never will |
//! | `info` | may have had its effect, may have it later, or never: the client does not know |
//!
//! A call without an end counts as `info`. As text a history is one JSON object a line:
//!
//! ```text
//! {"at":1200,"process":3,"call":17,"type":"invoke","op":{"f":"put","key":"k1","value":"a"}}
//! {"at":3100,"process":3,"call":17,"type":"ok","answer":"done"}
//! ```
//!
//! so that the simulator, a run on real processes and other tools can write and read the same file.
//! `at` is in microseconds and only for people: the order of the lines decides.

mod call;
mod op;

use std::io::{self, BufRead, Write};

use serde::{Deserialize, Serialize};

pub use call::Call;
pub use op::{Answer, Op};

/// Events in the order of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// The events.
    pub events: Vec<Event>,
}

/// The begin or the end of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When, in microseconds since the start.
    pub at: u64,
    /// The client, which has one call at a time, except that it goes on after an `info`.
    pub process: u64,
    /// Names the call.
    pub call: u64,
    /// What happened.
    #[serde(flatten)]
    pub kind: Kind,
}

/// What an event says of its call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Kind {
    /// It begins.
    Invoke {
        /// What is asked for.
        op: Op,
    },
    /// It took effect.
    Ok {
        /// What the client was told.
        answer: Answer,
    },
    /// It has no effect.
    Fail {
        /// Why, for people.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        why: String,
    },
    /// Nobody knows.
    Info {
        /// Why, for people.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        why: String,
    },
}

/// A history that is none.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("the history cannot be read")]
    Io(#[from] io::Error),
    /// A line is not an event.
    #[error("line {line} of the history is not an event; write one JSON object a line")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A call begins twice.
    #[error("call {call} begins twice; give each call a number of its own")]
    BeginsTwice {
        /// The call.
        call: u64,
    },
    /// A call ends that is not open.
    #[error("call {call} ends at event {event}, where it is not open")]
    NotOpen {
        /// The call.
        call: u64,
        /// The event, counted from 0.
        event: usize,
    },
    /// An answer does not belong to what was asked.
    #[error("call {call} has an answer of another kind of operation")]
    WrongAnswer {
        /// The call.
        call: u64,
    },
}

impl History {
    /// Adds an event at the end.
    pub fn push(&mut self, at: u64, process: u64, call: u64, kind: Kind) {
        self.events.push(Event { at, process, call, kind });
    }

    /// Reads JSON lines; empty lines are skipped.
    ///
    /// # Errors
    /// `Io`, or `Line` for the first line that is not an event.
    pub fn read(input: impl BufRead) -> Result<History, Error> {
        let mut history = History::default();
        for (number, line) in input.lines().enumerate() {
            let line = line?;
            if !line.trim().is_empty() {
                let event = serde_json::from_str(&line)
                    .map_err(|source| Error::Line { line: number + 1, source })?;
                history.events.push(event);
            }
        }
        Ok(history)
    }

    /// Writes JSON lines.
    ///
    /// # Errors
    /// Those of the output.
    pub fn write(&self, mut output: impl Write) -> io::Result<()> {
        for event in &self.events {
            serde_json::to_writer(&mut output, event)?;
            output.write_all(b"\n")?;
        }
        Ok(())
    }

    /// Puts begins and ends together, in the order of begins.
    ///
    /// # Errors
    /// Where the events do not fit together.
    pub fn calls(&self) -> Result<Vec<Call>, Error> {
        call::pair(&self.events)
    }
}
