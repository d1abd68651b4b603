//! Checks whether a history is linearizable: whether each call can have taken effect at one moment
//! between its begin and its end, so that all answers are those of one store that does one thing
//! after the other (Herlihy and Wing, "Linearizability", 1990).
//!
//! ```text
//!   calls ──> parts: keys that no operation joins are judged apart (locality)
//!                │
//!                v
//!             search: Wing and Gong (1993) with Lowe's memory of what was tried (2017)
//!                │
//!                v
//!   Linearizable | Violation{minimal part} | Unknown
//! ```
//!
//! - A store without multi-key operations falls apart into its keys. Keys that an operation joins,
//!   directly or through others, are judged together, as one object with the state of all of them.
//! - A call that nobody knows the end of may take effect at any moment after its begin, or never.
//! - The search has a budget of steps. When it is spent the verdict is [`Verdict::Unknown`], which
//!   is never taken for a pass.
//!
//! Invariant: a wrong history never passes but for a collision of 122-bit digests of values. A
//! collision in the memory of the search (128 bits) could at most make a right history fail.

mod digest;
mod model;
mod observed;
mod part;
mod pending;
mod search;
mod shrink;

use crate::history::Call;
use search::Outcome;

/// How hard to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Steps of the search for each group of keys; one step tries one call. At least 1.
    pub steps_max: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options { steps_max: 20_000_000 }
    }
}

/// What a history was found to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is an order that explains every answer.
    Linearizable,
    /// There is none.
    Violation(Box<Violation>),
    /// The budget was spent before either was shown.
    Unknown {
        /// The keys whose calls were too hard.
        keys: Vec<String>,
    },
}

/// Why a history is not linearizable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The keys whose calls contradict each other.
    pub keys: Vec<String>,
    /// Calls that alone are not linearizable. Answers that are not needed for that are forgotten.
    pub calls: Vec<Call>,
    /// The call whose end no order can pass: at its end the history went wrong, not before.
    pub culprit: u64,
}

/// Judges the calls of a history.
#[must_use]
pub fn check(calls: &[Call], options: Options) -> Verdict {
    let mut unknown = None;
    for part in part::split(calls) {
        match search::search(&part, options.steps_max) {
            Outcome::Found => {}
            Outcome::Impossible { stuck } => {
                return Verdict::Violation(Box::new(shrink::minimal(&part, stuck)));
            }
            // Another part may still show a violation, which says more.
            Outcome::Spent => unknown = unknown.or(Some(part.keys)),
        }
    }
    match unknown {
        Some(keys) => Verdict::Unknown { keys },
        None => Verdict::Linearizable,
    }
}
