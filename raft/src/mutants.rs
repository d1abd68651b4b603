//! Known bugs that tests switch on, to show that they would notice them.
//!
//! Only with the feature `mutants`, which is never on by default; without it every check is the
//! constant `false`. One bug is on at a time: [`with`] switches it on for a closure on this thread,
//! and the environment variable `TINYKV_MUTANT` for a whole process.

use std::cell::Cell;
use std::sync::OnceLock;

thread_local! {
    static ACTIVE: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// Runs `f` with the bug `name` switched on; also switches it off when `f` panics.
pub fn with<R>(name: &'static str, f: impl FnOnce() -> R) -> R {
    struct Off(Option<&'static str>);
    impl Drop for Off {
        fn drop(&mut self) {
            ACTIVE.set(self.0);
        }
    }
    let _off = Off(ACTIVE.replace(Some(name)));
    f()
}

/// Returns whether the bug `name` is switched on.
pub(crate) fn is_on(name: &str) -> bool {
    static PROCESS: OnceLock<Option<String>> = OnceLock::new();
    let process = || PROCESS.get_or_init(|| std::env::var("TINYKV_MUTANT").ok()).as_deref();
    ACTIVE.get().or_else(process) == Some(name)
}
