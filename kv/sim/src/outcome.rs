//! How a run ended.

use std::collections::BTreeSet;
use std::fmt;

use crate::history::History;
use crate::invariants::Broken;
use crate::linear::Violation;
use crate::picture::millis;
use crate::queue::Micros;
use crate::trace::Trace;

/// All that is known of a run.
#[derive(Debug)]
pub struct Report {
    /// What went wrong; none if all is well.
    pub failure: Option<Failure>,
    /// The same scenario gives the same hash.
    pub trace_hash: u64,
    /// How much happened.
    pub stats: Stats,
    /// What clients saw.
    pub history: History,
    /// What happened, if it was to be kept.
    pub trace: Trace,
    /// The rare things that happened.
    pub marks: BTreeSet<&'static str>,
}

/// How much happened in a run, or in several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Events.
    pub steps: u64,
    /// Faults that struck.
    pub faults: u64,
    /// Programs that lost power or were stopped.
    pub crashes: u64,
    /// Programs that stopped by themselves.
    pub stops: u64,
    /// Starts that failed and were tried again.
    pub failed_starts: u64,
    /// Messages between stores.
    pub messages: u64,
    /// Calls of clients.
    pub calls: u64,
    /// Runs that could not come to peace, since damage has taken what no store can give back.
    pub beyond_repair: u64,
    /// Calls that were answered.
    pub answered: u64,
    /// Calls that timed out.
    pub timeouts: u64,
    /// Terms with a leader, over all groups.
    pub elections: u64,
    /// The highest entry that was applied.
    pub entries: u64,
    /// Applied entries in the longest log at the end.
    pub log_entries: u64,
    /// Virtual time.
    pub virtual_micros: Micros,
}

impl Stats {
    /// Adds those of another run.
    pub fn add(&mut self, other: &Stats) {
        let Stats { steps, faults, crashes, stops, failed_starts, messages, .. } = other;
        let Stats { calls, answered, timeouts, elections, entries, virtual_micros, .. } = other;
        self.steps += steps;
        self.faults += faults;
        self.crashes += crashes;
        self.stops += stops;
        self.failed_starts += failed_starts;
        self.messages += messages;
        self.calls += calls;
        self.answered += answered;
        self.timeouts += timeouts;
        self.elections += elections;
        self.entries += entries;
        self.log_entries = self.log_entries.max(other.log_entries);
        self.beyond_repair += other.beyond_repair;
        self.virtual_micros += virtual_micros;
    }
}

/// What went wrong in a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A guarantee does not hold.
    Invariant(Broken),
    /// What clients saw has no explanation.
    NotLinearizable(Box<Violation>),
    /// It could not be decided whether what clients saw has an explanation: not a pass.
    TooHard {
        /// The keys.
        keys: Vec<String>,
    },
    /// Faults had ended, and still something did not come about in time.
    NotLive {
        /// What.
        what: String,
    },
    /// More happened than in any run that comes to an end: messages beget messages, say.
    Endless {
        /// Events until then.
        steps: u64,
    },
    /// Damage has taken what no store can give back, so that the run could not come to peace.
    /// Counted, and no failure; it never stands in a report.
    BeyondRepair {
        /// What.
        what: String,
    },
    /// A program panicked, or failed where it may not.
    Panic {
        /// What it said.
        message: String,
    },
    /// The same scenario gave two different runs.
    NotRepeatable,
}

impl Failure {
    /// The kind of failure in one word or two: what a shrunk scenario must share.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Failure::Invariant(broken) => broken.name,
            Failure::NotLinearizable(_) => "not linearizable",
            Failure::TooHard { .. } => "too hard to judge",
            Failure::NotLive { .. } => "no progress",
            Failure::Endless { .. } => "endless",
            Failure::BeyondRepair { .. } => "beyond repair",
            Failure::Panic { .. } => "panic",
            Failure::NotRepeatable => "not repeatable",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Invariant(Broken { name, detail }) => write!(f, "{name}: {detail}"),
            Failure::NotLinearizable(violation) => {
                let keys = violation.keys.join(" ");
                write!(
                    f,
                    "not linearizable: key {keys}, at the end of call {}",
                    violation.culprit
                )?;
                for call in &violation.calls {
                    let answer = match &call.answer {
                        Some(answer) => answer.short(),
                        None => "?".to_owned(),
                    };
                    let (begin, end) = call.times;
                    let begin = millis(begin);
                    let end = end.map_or("?".to_owned(), millis);
                    let (client, op) = (call.process, call.op.short());
                    write!(
                        f,
                        "\n  {begin:>10} to {end:>10} ms  client {client}  call {}: ",
                        call.id
                    )?;
                    write!(f, "{op} -> {answer}")?;
                }
                Ok(())
            }
            Failure::TooHard { keys } => {
                write!(f, "too hard to judge: the calls on {} have too many orders", keys.join(" "))
            }
            Failure::NotLive { what } => write!(f, "no progress: {what}"),
            Failure::Endless { steps } => {
                write!(f, "endless: {steps} events, and no end; what happens makes more happen")
            }
            Failure::BeyondRepair { what } => write!(f, "beyond repair: {what}"),
            Failure::Panic { message } => write!(f, "panic: {message}"),
            Failure::NotRepeatable => {
                write!(f, "not repeatable: the same scenario gave two different traces")
            }
        }
    }
}
