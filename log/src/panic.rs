//! Panics as records of the log.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::{self, PanicHookInfo};
use std::thread::{self, ThreadId};

use crate::guard::Handle;

/// Logs every panic from now on and waits until it is written, as it may be the last thing that
/// the process does. A panic of the writer itself goes to the hook that was there before.
pub(crate) fn install_hook(log: Handle, writer: Option<ThreadId>) {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if Some(thread::current().id()) == writer || !log_panic(info) {
            before(info);
        } else {
            log.flush();
        }
    }));
}

/// Logs a panic; says whether the log takes it.
fn log_panic(info: &PanicHookInfo<'_>) -> bool {
    if !crate::enabled(crate::Level::Error, module_path!()) {
        return false;
    }
    let payload = info.payload();
    let message = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(not a text)");
    let thread = thread::current();
    let location = info.location().map(ToString::to_string).unwrap_or_default();
    let backtrace = Backtrace::capture();
    let trace = match backtrace.status() {
        BacktraceStatus::Captured => format!("\n{backtrace}"),
        _ => String::new(),
    };
    slog::error!(
        crate::logger(), "panic: {}{}", message, trace;
        "thread" => thread.name().unwrap_or("unnamed"), "location" => location
    );
    true
}
