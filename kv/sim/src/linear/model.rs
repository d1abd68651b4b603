//! What a correct store does, one operation after the other: registers with puts, deletes,
//! appends and compare-and-set, alone or several at one moment.

use std::collections::BTreeMap;

use super::digest::{Digest, Tail};
use crate::history::{Answer, Op};

/// The values of the keys of a part, by slot.
pub(super) type State = Vec<Digest>;

/// A call made ready for the search. What the client was told is none where it was told nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The keys have these values.
    Read(Vec<(usize, Digest)>),
    /// The keys have these values from now on.
    Put(Vec<(usize, Digest)>),
    Append {
        slot: usize,
        tail: Tail,
        len: Option<u64>,
    },
    Delete {
        slot: usize,
        count: Option<u64>,
    },
    Cas {
        slot: usize,
        expected: Digest,
        value: Digest,
        stored: Option<bool>,
    },
}

impl Step {
    /// None for a read that nobody heard the answer of: it says nothing.
    pub(super) fn of(
        op: &Op,
        answer: Option<&Answer>,
        slots: &BTreeMap<&str, usize>,
    ) -> Option<Step> {
        let slot = |key: &String| slots[key.as_str()];
        Some(match (op, answer) {
            (Op::Get { key }, Some(Answer::Value(value))) => {
                Step::Read(vec![(slot(key), Digest::of(value.as_deref()))])
            }
            (Op::GetMany { keys }, Some(Answer::Values(values))) => {
                let values = values.iter().map(|value| Digest::of(value.as_deref()));
                Step::Read(keys.iter().map(slot).zip(values).collect())
            }
            (Op::Get { .. } | Op::GetMany { .. }, _) => return None,
            (Op::Put { key, value }, _) => Step::Put(vec![(slot(key), Digest::of(Some(value)))]),
            (Op::PutMany { pairs }, _) => {
                let pairs = pairs.iter().map(|(key, value)| (slot(key), Digest::of(Some(value))));
                Step::Put(pairs.collect())
            }
            (Op::Append { key, value }, answer) => {
                Step::Append { slot: slot(key), tail: Tail::of(value), len: count(answer) }
            }
            (Op::Delete { key }, answer) => Step::Delete { slot: slot(key), count: count(answer) },
            (Op::Cas { key, expected, value }, answer) => Step::Cas {
                slot: slot(key),
                expected: Digest::of(expected.as_deref()),
                value: Digest::of(Some(value)),
                stored: answer.map(|answer| *answer == Answer::Stored(true)),
            },
        })
    }

    /// Takes the step, if a correct store could have answered as it did.
    pub(super) fn apply(&self, state: &State) -> Option<State> {
        let possible = match self {
            Step::Read(values) => values.iter().all(|(slot, value)| state[*slot] == *value),
            Step::Put(_) => true,
            Step::Append { slot, tail, len } => {
                len.is_none_or(|len| state[*slot].append(tail).len == len)
            }
            Step::Delete { slot, count } => {
                count.is_none_or(|count| count == u64::from(state[*slot].present))
            }
            Step::Cas { slot, expected, stored, .. } => {
                stored.is_none_or(|stored| stored == (state[*slot] == *expected))
            }
        };
        if !possible {
            return None;
        }
        let mut next = state.clone();
        match self {
            Step::Read(_) => {}
            Step::Put(values) => values.iter().for_each(|(slot, value)| next[*slot] = *value),
            Step::Append { slot, tail, .. } => next[*slot] = next[*slot].append(tail),
            Step::Delete { slot, .. } => next[*slot] = Digest::ABSENT,
            Step::Cas { slot, expected, value, .. } => {
                if next[*slot] == *expected {
                    next[*slot] = *value;
                }
            }
        }
        Some(next)
    }
}

impl Step {
    /// Whether it may put another value in the place of one, not only at its end.
    pub(super) fn overwrites(&self, slot: usize) -> bool {
        match self {
            Step::Put(values) => values.iter().any(|(its, _)| *its == slot),
            Step::Delete { slot: its, .. } | Step::Cas { slot: its, .. } => *its == slot,
            Step::Read(_) | Step::Append { .. } => false,
        }
    }

    /// The slots it touches, folded into 64 bits: steps whose bits differ touch different keys.
    pub(super) fn slots(&self) -> u64 {
        let bit = |slot: &usize| 1 << (slot % 64);
        match self {
            Step::Read(values) | Step::Put(values) => {
                values.iter().fold(0, |bits, (slot, _)| bits | bit(slot))
            }
            Step::Append { slot, .. } | Step::Delete { slot, .. } | Step::Cas { slot, .. } => {
                bit(slot)
            }
        }
    }
}

fn count(answer: Option<&Answer>) -> Option<u64> {
    match answer {
        Some(Answer::Count(count)) => Some(*count),
        _ => None,
    }
}
