//! The levels of durability at which writes are compared, never across.

use clap::ValueEnum;
use engine::Durability;
use serde::{Deserialize, Serialize};

/// When a write is safe from a power loss.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Each write is synced before it returns.
    PerWrite,
    /// A batch of 100 writes is synced before it returns.
    PerBatch,
    /// At most one second after it returned.
    Interval,
    /// Whenever the operating system likes.
    None,
}

impl Level {
    /// All levels, from the strictest on.
    pub const ALL: [Level; 4] = [Level::PerWrite, Level::PerBatch, Level::Interval, Level::None];

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Level::PerWrite => "per-write",
            Level::PerBatch => "per-batch",
            Level::Interval => "interval",
            Level::None => "none",
        }
    }

    /// What an engine is asked for.
    pub fn durability(self) -> Durability {
        match self {
            Level::PerWrite | Level::PerBatch => Durability::Always,
            Level::Interval => Durability::Interval,
            Level::None => Durability::Never,
        }
    }

    /// How many keys one batch has.
    pub fn batch_keys(self) -> usize {
        match self {
            Level::PerBatch => 100,
            Level::PerWrite | Level::Interval | Level::None => 1,
        }
    }
}
