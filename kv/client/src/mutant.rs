//! Bugs that can be switched on, so that the tests can be shown to catch them.
//!
//! Without the feature `mutants` every check is the constant `false`. With it, the environment
//! variable `TINYKV_MUTANT` names the bug that is live.

/// Whether the named bug is switched on.
macro_rules! mutant {
    ($name:literal) => {
        cfg!(feature = "mutants") && $crate::mutant::is_on($name)
    };
}

pub(crate) use mutant;

/// Compares `name` with the bug chosen by the environment.
pub(crate) fn is_on(name: &str) -> bool {
    std::env::var("TINYKV_MUTANT").is_ok_and(|chosen| chosen == name)
}
