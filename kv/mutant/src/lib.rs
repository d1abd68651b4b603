//! Bugs on purpose, so that the tests can be shown to catch them.
//!
//! A crate that has such bugs
//!
//! - depends on this one and has an empty feature `mutants`, which is never a default;
//! - asks `mutant!("name")` at the place where the bug would be. Without the feature that is the
//!   constant `false`, so that nothing of it is left in the program;
//! - lists each name with one sentence in its `mutants.toml`:
//!
//!   ```toml
//!   # Optional: the packages whose tests must notice; without it, this crate's own.
//!   suites = ["tinykv-engine", "tinykv-node"]
//!
//!   [bugs]
//!   no-sync-before-answer = "A write is answered before it is synced."
//!   ```
//!
//! `make mutants` runs those suites once for each name, with the environment variable
//! `TINYKV_MUTANT` set to it, and demands that a test fails each time. `make check` compares the
//! lists with the code.
//!
//! Invariant: at most one bug is on at a time.

use std::cell::Cell;
use std::sync::OnceLock;

/// Whether the bug of this name is switched on; `false` unless the crate that asks is built with
/// its feature `mutants`.
#[macro_export]
macro_rules! mutant {
    ($name:literal) => {
        cfg!(feature = "mutants") && $crate::is_on($name)
    };
}

thread_local! {
    /// The bug that [`with`] switched on for this thread.
    static HERE: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// Whether the bug of this name is switched on, for this thread or the whole process. Use
/// [`mutant!`] to ask.
#[must_use]
pub fn is_on(name: &str) -> bool {
    static PROCESS: OnceLock<Option<String>> = OnceLock::new();
    let process = || PROCESS.get_or_init(|| std::env::var("TINYKV_MUTANT").ok()).as_deref();
    HERE.get().or_else(process) == Some(name)
}

/// Runs `f` with one bug switched on for this thread: for single-threaded crates, whose tests can
/// then try a bug without a process of its own. The bug is off again afterwards, also when `f`
/// panics.
pub fn with<R>(name: &'static str, f: impl FnOnce() -> R) -> R {
    struct Restore(Option<&'static str>);
    impl Drop for Restore {
        fn drop(&mut self) {
            HERE.set(self.0);
        }
    }
    let _restore = Restore(HERE.replace(Some(name)));
    f()
}

#[cfg(test)]
mod tests {
    use super::{is_on, with};

    #[test]
    fn a_bug_is_on_inside_with_only() {
        assert!(!is_on("a"));
        with("a", || {
            assert!(is_on("a"));
            with("b", || assert!(is_on("b") && !is_on("a")));
            assert!(is_on("a"));
        });
        assert!(!is_on("a"));
    }

    #[test]
    fn a_panic_switches_it_off() {
        let result = std::panic::catch_unwind(|| with("a", || panic!("on purpose")));
        assert!(result.is_err());
        assert!(!is_on("a"));
    }

    #[test]
    fn without_the_feature_the_check_is_false() {
        // This crate has no feature `mutants`, as a crate in a shipped build has it off.
        #[expect(unexpected_cfgs, reason = "the feature belongs to the crate that asks")]
        let on = with("a", || mutant!("a"));
        assert!(!on);
    }
}
