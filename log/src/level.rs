//! Levels of records, and the names that users write for them.

pub use slog::{FilterLevel as LevelMax, Level};

/// Reads a level as users write it, in any case.
pub(crate) fn parse(text: &str) -> Option<LevelMax> {
    const NAMES: [(&str, LevelMax); 7] = [
        ("off", LevelMax::Off),
        ("error", LevelMax::Error),
        ("warn", LevelMax::Warning),
        ("warning", LevelMax::Warning),
        ("info", LevelMax::Info),
        ("debug", LevelMax::Debug),
        ("trace", LevelMax::Trace),
    ];
    NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|&(_, level)| level)
}

/// The name that a filter is written with.
pub(crate) fn filter_name(level: LevelMax) -> &'static str {
    match level {
        LevelMax::Off => "off",
        LevelMax::Critical | LevelMax::Error => "error",
        LevelMax::Warning => "warn",
        LevelMax::Info => "info",
        LevelMax::Debug => "debug",
        LevelMax::Trace => "trace",
    }
}

/// The name that a record is written with.
pub(crate) fn record_name(level: Level) -> &'static str {
    match level {
        Level::Critical | Level::Error => "ERROR",
        Level::Warning => "WARN",
        Level::Info => "INFO",
        Level::Debug => "DEBUG",
        Level::Trace => "TRACE",
    }
}
