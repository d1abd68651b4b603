//! What happened in a run: always as a hash, and as a list where somebody wants to look.

use crate::network::Place;
use crate::queue::Micros;
use crate::random::mix;

/// The most events that are kept; older ones are forgotten.
const EVENTS_MAX: usize = 20_000;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happened {
    /// When.
    pub at: Micros,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A message arrived, or came to nothing.
    Message {
        /// Who sent it.
        from: Place,
        /// To whom.
        to: Place,
        /// When it was sent.
        sent: Micros,
        /// Whether it arrived.
        arrived: bool,
        /// What it says.
        text: String,
    },
    /// Something at one place.
    Note {
        /// Where.
        place: Place,
        /// Whether it is a fault, or an end of one.
        fault: bool,
        /// What.
        text: String,
    },
    /// Something that concerns all.
    All {
        /// What.
        text: String,
    },
}

/// A record of a run.
#[derive(Debug)]
pub struct Trace {
    hash: u64,
    /// None: only the hash is wanted.
    events: Option<Vec<Happened>>,
    forgotten: usize,
}

impl Trace {
    /// An empty record.
    #[must_use]
    pub fn new(keeps: bool) -> Trace {
        Trace { hash: 0, events: keeps.then(Vec::new), forgotten: 0 }
    }

    /// Mixes numbers into the hash.
    pub fn count(&mut self, numbers: &[u64]) {
        self.hash = numbers.iter().fold(self.hash, |hash, number| mix(hash, *number));
    }

    /// The hash of all that was counted: equal for equal runs.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// Adds an event, if events are wanted.
    pub fn add(&mut self, at: Micros, what: impl FnOnce() -> What) {
        let Some(events) = &mut self.events else { return };
        if events.len() >= 2 * EVENTS_MAX {
            events.drain(..EVENTS_MAX);
            self.forgotten += EVENTS_MAX;
        }
        events.push(Happened { at, what: what() });
    }

    /// The events that are kept, in order.
    #[must_use]
    pub fn events(&self) -> &[Happened] {
        self.events.as_deref().unwrap_or_default()
    }

    /// How many older events were forgotten.
    #[must_use]
    pub fn forgotten(&self) -> usize {
        self.forgotten
    }
}
