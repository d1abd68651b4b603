//! The log that the macros use: one a process, installed once.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use slog::Logger;

use crate::error::{Error, Result};
use crate::guard::{Guard, Handle, start};
use crate::level::{Level, LevelMax};
use crate::options::Options;
use crate::panic;

/// The highest level that any module logs, so that most records cost one load. 0 while there is
/// no log.
static LEVEL_MAX: AtomicUsize = AtomicUsize::new(0);

static INSTALLED: OnceLock<(Logger, Handle)> = OnceLock::new();

/// Starts the log that the macros use. Keep the guard until the program ends.
///
/// # Errors
/// What is wrong with the options, that the destination cannot be opened, or that a log is
/// installed already.
pub fn init(options: Options) -> Result<Guard> {
    if INSTALLED.get().is_some() {
        return Err(Error::AlreadyInstalled);
    }
    let level_max = options.filter.level_max();
    let panic_hook = options.panic_hook;
    let (logger, mut guard) = start(options)?;
    let handle = guard.handle().clone();
    INSTALLED.set((logger, handle.clone())).map_err(|_| Error::AlreadyInstalled)?;
    guard.is_global = true;
    set_level_max(level_max);
    if panic_hook {
        panic::install_hook(handle, guard.writer_id());
    }
    Ok(guard)
}

/// The log that the macros use, if one is installed.
#[must_use]
pub fn installed() -> Option<&'static Handle> {
    INSTALLED.get().map(|(_, handle)| handle)
}

/// The logger of the macros; one that drops everything until a log is installed.
pub fn logger() -> &'static Logger {
    static NOWHERE: OnceLock<Logger> = OnceLock::new();
    match INSTALLED.get() {
        Some((logger, _)) => logger,
        None => NOWHERE.get_or_init(|| Logger::root(slog::Discard, slog::o!())),
    }
}

/// Whether the macros log a record of this level from this module: to be asked before work that
/// only the log needs.
#[inline]
#[must_use]
pub fn enabled(level: Level, module: &str) -> bool {
    level.as_usize() <= LEVEL_MAX.load(Ordering::Relaxed) && is_allowed(level, module)
}

/// The second look, at the filter itself. Not inlined: callers are everywhere.
#[inline(never)]
fn is_allowed(level: Level, module: &str) -> bool {
    installed().is_some_and(|log| log.allows(level, module))
}

/// Makes the first look let this level pass.
pub(crate) fn set_level_max(level_max: LevelMax) {
    LEVEL_MAX.store(level_max.as_usize(), Ordering::Relaxed);
}

/// Lets no record pass any more: the log has ended.
pub(crate) fn silence() {
    set_level_max(LevelMax::Off);
}
