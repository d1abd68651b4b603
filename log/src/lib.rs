//! Logging for every tinykv crate.
//!
//! The rest of the code uses the macros only: `log::info!("store started"; "addr" => addr)`.
//! Until a program installs a logger, records go nowhere.

use std::sync::OnceLock;

#[doc(hidden)]
pub use slog;

static LOGGER: OnceLock<slog::Logger> = OnceLock::new();

/// The logger of this process; one that drops everything until one is installed.
pub fn logger() -> &'static slog::Logger {
    LOGGER.get_or_init(|| slog::Logger::root(slog::Discard, slog::o!()))
}

macro_rules! level_macro {
    ($name:ident, $doc:literal, $d:tt) => {
        #[doc = $doc]
        #[macro_export]
        macro_rules! $name {
            ($d($arg:tt)+) => {
                $crate::slog::$name!($crate::logger(), $d($arg)+)
            };
        }
    };
}

level_macro!(trace, "Logs a record of level trace.", $);
level_macro!(debug, "Logs a record of level debug.", $);
level_macro!(info, "Logs a record of level info.", $);
level_macro!(warn, "Logs a record of level warning.", $);
level_macro!(error, "Logs a record of level error.", $);
