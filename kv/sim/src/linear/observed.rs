//! Which values anybody saw or asked for, and which need not be told apart.
//!
//! A value that is the beginning of no observed one can, whatever is appended to it, never become
//! one. So nothing depends on its content any more, only on its length: all such values of a length
//! count as one. Without that, open calls of which nobody ever saw anything would be tried in all
//! orders.

use std::collections::{BTreeSet, HashSet};

use super::digest::{Digest, Tail};
use super::model::{State, Step};
use crate::history::{Answer, Call, Op};

/// The values that were observed.
#[derive(Debug)]
pub(super) struct Observed<'a> {
    values: BTreeSet<&'a str>,
    /// All their beginnings. The order of the table is never seen.
    beginnings: HashSet<Digest>,
}

impl<'a> Observed<'a> {
    pub(super) fn of(calls: &'a [Call]) -> Observed<'a> {
        let mut values: BTreeSet<&str> = BTreeSet::from([""]);
        for call in calls {
            match &call.answer {
                Some(Answer::Value(value)) => values.extend(value.as_deref()),
                Some(Answer::Values(many)) => {
                    values.extend(many.iter().filter_map(|value| value.as_deref()));
                }
                _ => {}
            }
            if let Op::Cas { expected: Some(expected), .. } = &call.op {
                values.insert(expected);
            }
        }
        let mut beginnings = HashSet::new();
        let mut last: (&str, Vec<Digest>) = ("", vec![Digest::of(Some(""))]);
        beginnings.extend(last.1.iter().copied());
        for value in &values {
            // In order, values share their beginnings with the one before.
            let shared = value.bytes().zip(last.0.bytes()).take_while(|(a, b)| a == b).count();
            last.1.truncate(shared + 1);
            for byte in value.bytes().skip(shared) {
                let next = last.1[last.1.len() - 1].push(byte);
                last.1.push(next);
                beginnings.insert(next);
            }
            last.0 = value;
        }
        Observed { values, beginnings }
    }

    /// The value, or what stands for all of its length that nobody observed.
    fn known(&self, value: Digest) -> Digest {
        match !value.present || self.beginnings.contains(&value) {
            true => value,
            false => Digest::unobserved(value.len),
        }
    }

    /// The state, with what nobody observed made alike.
    pub(super) fn fold(&self, mut state: State) -> State {
        for value in &mut state {
            *value = self.known(*value);
        }
        state
    }

    /// The step of an open call, with what nobody observed made alike.
    pub(super) fn fold_step(&self, step: Step, op: &Op) -> Step {
        match (step, op) {
            (Step::Put(values), _) => Step::Put(
                values.into_iter().map(|(slot, value)| (slot, self.known(value))).collect(),
            ),
            (Step::Append { slot, len, .. }, Op::Append { value, .. })
                if !self.values.iter().any(|observed| observed.contains(value.as_str())) =>
            {
                Step::Append { slot, tail: Tail::unobserved(value.len() as u64), len }
            }
            (step, _) => step,
        }
    }
}
