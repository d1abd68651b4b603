//! What goes wrong, and with whom, drawn from a seed.

use std::fmt;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

/// A kind of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Deaths,
    Sleeps,
    Partitions,
}

impl Phase {
    pub(crate) const ALL: [Phase; 3] = [Phase::Deaths, Phase::Sleeps, Phase::Partitions];

    /// How many faults there are at least.
    pub(crate) fn rounds_in_short(self) -> u64 {
        match self {
            Phase::Deaths => 4,
            Phase::Sleeps => 2,
            Phase::Partitions => 5,
        }
    }
}

/// Whom a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whom {
    /// Whoever leads.
    Leader,
    Store(u64),
}

/// Which bytes do not pass, as seen from the store that is struck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ways {
    Both,
    Out,
    In,
}

/// Something that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// `kill -9`, and a start later.
    Kill(Whom),
    /// All at once.
    KillAll,
    /// SIGSTOP, and SIGCONT later.
    Stop(Whom),
    /// The others hear nothing of a store, or it hears nothing of them, or both.
    Isolate(Whom, Ways),
    /// A store and the next one hear nothing of each other.
    Link(Whom),
    /// Connections break once.
    Cut(Whom),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Kill(_) => f.write_str("killed"),
            Fault::KillAll => f.write_str("all killed"),
            Fault::Stop(_) => f.write_str("stopped"),
            Fault::Isolate(_, Ways::Both) => f.write_str("cut off"),
            Fault::Isolate(_, Ways::Out) => f.write_str("not heard"),
            Fault::Isolate(_, Ways::In) => f.write_str("hears nothing"),
            Fault::Link(_) => f.write_str("cut off from one other"),
            Fault::Cut(_) => f.write_str("connections broken"),
        }
    }
}

/// The faults to come.
pub(crate) struct Plan {
    pub(crate) random: SmallRng,
    drawn: u64,
}

impl Plan {
    pub(crate) fn new(seed: u64) -> Plan {
        Plan { random: SmallRng::seed_from_u64(seed), drawn: 0 }
    }

    /// The next fault of a phase. Each kind comes in turn, so that a short run has all; whom it
    /// strikes is chance, the leader half of the time.
    pub(crate) fn next(&mut self, phase: Phase) -> Fault {
        self.drawn += 1;
        let whom = match self.random.random_bool(0.5) {
            true => Whom::Leader,
            false => Whom::Store(self.random.random_range(1..=3)),
        };
        match (phase, self.drawn % 5) {
            (Phase::Deaths, 1) => Fault::Kill(Whom::Leader),
            (Phase::Deaths, 4) => Fault::KillAll,
            (Phase::Deaths, _) => Fault::Kill(whom),
            (Phase::Sleeps, _) => Fault::Stop(whom),
            (Phase::Partitions, 0) => Fault::Isolate(Whom::Leader, Ways::Both),
            (Phase::Partitions, 1) => Fault::Isolate(whom, Ways::Out),
            (Phase::Partitions, 2) => Fault::Isolate(whom, Ways::In),
            (Phase::Partitions, 3) => Fault::Link(whom),
            (Phase::Partitions, _) => Fault::Cut(whom),
        }
    }
}
