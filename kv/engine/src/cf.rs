//! The named column families.

use std::fmt;

/// A column family: a key space of its own inside one engine.
///
/// The numbers stand in data files and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum Cf {
    /// Values: of the raw API, and of transactions.
    Default = 0,
    /// Locks of running transactions.
    Lock = 1,
    /// Commit records of transactions.
    Write = 2,
    /// State of the regions on this store.
    Raft = 3,
    /// When raw keys expire, ordered by time.
    Expiry = 4,
}

impl Cf {
    /// All column families, in the order of their numbers.
    pub const ALL: [Cf; 5] = [Cf::Default, Cf::Lock, Cf::Write, Cf::Raft, Cf::Expiry];

    /// The name that clients and configuration use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Cf::Default => "default",
            Cf::Lock => "lock",
            Cf::Write => "write",
            Cf::Raft => "raft",
            Cf::Expiry => "expiry",
        }
    }

    /// The column family of this name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Cf> {
        Cf::ALL.into_iter().find(|cf| cf.name() == name)
    }

    /// The column family of this number, if there is one.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Cf> {
        Cf::ALL.get(usize::from(number)).copied()
    }

    /// The position in [`Cf::ALL`], for tables with one place a column family.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Cf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
