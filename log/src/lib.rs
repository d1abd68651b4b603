//! Logging for every tinykv crate: slog with an asynchronous drain.
//!
//! The rest of the code uses the macros only:
//!
//! ```
//! # let (region, peers) = (1, 3);
//! tinykv_log::info!("region {} created", region; "peers" => peers);
//! ```
//!
//! A program calls [`init`] once and keeps the [`Guard`]. What happens to a record then:
//!
//! ```text
//!  macro: level and module pass the filter?  -- no -->  nothing is built (one atomic load)
//!     | yes
//!  format one line (terminal or JSON), stamp the time         in the caller's thread
//!     |
//!  append to the queue (bounded, in bytes)  -- full -->  drop the record, count it
//!     |
//!  take all that is queued, write it, flush; report drops     in the thread `log`
//!     |
//!  stderr | a file that rotates | any writer
//! ```
//!
//! Invariants: logging never blocks on a disk or a terminal; what was queued before the [`Guard`]
//! is dropped is written; a record is one line (of JSON, or of text whose further lines are
//! marked), so that no user's key can forge one. Builds in release mode have no `trace`.
//!
//! Left out: reopening on a signal (the file rotates by itself), and syslog.

mod error;
mod filter;
mod format;
mod global;
mod guard;
mod level;
mod options;
mod panic;
mod queue;
mod rotate;
mod sink;

/// The logging framework under the macros, which need to name it.
pub use slog;

pub use error::{Error, Result};
pub use filter::Filter;
pub use global::{enabled, init, installed, logger};
pub use guard::{Guard, Handle, Stats, start};
pub use level::{Level, LevelMax};
pub use options::{Colour, Destination, ENV, FileOptions, Format, Options};
pub use rotate::RotatingFile;

macro_rules! level_macro {
    ($name:ident, $level:ident, $doc:literal, $d:tt) => {
        #[doc = $doc]
        ///
        /// Takes what `format!` takes, and behind a semicolon keys with values:
        /// `"region" => id`. Nothing is evaluated if the filter does not let the record pass.
        #[macro_export]
        macro_rules! $name {
            ($d($arg:tt)+) => {
                if $crate::enabled($crate::Level::$level, ::core::module_path!()) {
                    $crate::slog::$name!($crate::logger(), $d($arg)+)
                }
            };
        }
    };
}

level_macro!(trace, Trace, "Logs a record of level trace: every step. Not in release builds.", $);
level_macro!(debug, Debug, "Logs a record of level debug: what helps to find a defect.", $);
level_macro!(info, Info, "Logs a record of level info: what an operator wants to know later.", $);
level_macro!(warn, Warning, "Logs a record of level warning: what an operator should look at.", $);
level_macro!(error, Error, "Logs a record of level error: something was lost or refused.", $);
