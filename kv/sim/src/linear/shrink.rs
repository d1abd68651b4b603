//! Makes a violation small enough to be understood.
//!
//! Only steps are taken that cannot make a right history wrong: what happened after the end that
//! no order passes is cut off, reads are left out, answers are forgotten (the call becomes an open
//! one), and open calls whose values nobody saw are left out. So what is left is a violation of
//! the store, not of our making.

use std::collections::BTreeSet;
use std::ops::Range;

use super::Violation;
use super::part::Part;
use super::search::{Outcome, search};
use crate::history::{Answer, Call, Op};

/// Steps for all attempts together.
const STEPS_MAX: u64 = 3_000_000;

/// Returns a small part of a part that is still a violation. No order passes the end of the call
/// `stuck`, given what calls beside it were told later.
pub(super) fn minimal(part: &Part, stuck: usize) -> Violation {
    let (mut left, culprit) = shortest_prefix(part, stuck);
    left.calls.retain(|call| !(call.op.is_read() && call.is_open()));
    let mut budget = STEPS_MAX;
    // A read says less than the end of a write: reads go first.
    for weaken in [without_reads, without_answers] {
        let mut chunk = left.calls.len().div_ceil(2);
        while chunk > 0 {
            let mut from = 0;
            while from < left.calls.len() && budget > 0 {
                let smaller = weaken(&left, from..(from + chunk).min(left.calls.len()), culprit);
                let steps = budget.min(40 * left.calls.len() as u64 + 10_000);
                budget -= steps;
                let is_smaller = weight(&smaller) < weight(&left);
                match is_smaller && matches!(search(&smaller, steps), Outcome::Impossible { .. }) {
                    true => left = smaller,
                    false => from += chunk,
                }
            }
            chunk /= 2;
        }
    }
    Violation { keys: left.keys, calls: left.calls, culprit }
}

/// Cuts the history after the earliest end at which it is wrong already, and names that call.
fn shortest_prefix(part: &Part, stuck: usize) -> (Part, u64) {
    let mut ends: Vec<(usize, u64)> =
        part.calls.iter().filter_map(|call| Some((call.end?, call.id))).collect();
    ends.sort_unstable();
    let stuck = part.calls[stuck].end;
    let (mut low, mut high) = (ends.partition_point(|(end, _)| Some(*end) < stuck), ends.len() - 1);
    while low < high {
        let middle = low.midpoint(high);
        let steps = 40 * part.calls.len() as u64 + 10_000;
        match search(&prefix(part, ends[middle].0), steps) {
            Outcome::Impossible { .. } => high = middle,
            Outcome::Found | Outcome::Spent => low = middle + 1,
        }
    }
    let (end, culprit) = ends[high];
    (prefix(part, end), culprit)
}

/// What was known when an end had just happened.
fn prefix(part: &Part, end: usize) -> Part {
    let mut calls: Vec<Call> = part.calls.iter().filter(|call| call.begin < end).cloned().collect();
    for call in calls.iter_mut().filter(|call| call.end.is_some_and(|its| its > end)) {
        forget(call);
    }
    Part { keys: part.keys.clone(), calls }
}

/// How much there is to read.
fn weight(part: &Part) -> usize {
    part.calls.iter().map(|call| if call.is_open() { 1 } else { 2 }).sum()
}

/// Leaves out the reads in a range of calls.
fn without_reads(part: &Part, range: Range<usize>, culprit: u64) -> Part {
    let keep = |place: usize, call: &Call| {
        !range.contains(&place) || call.id == culprit || !call.op.is_read()
    };
    let calls = part.calls.iter().enumerate().filter(|(place, call)| keep(*place, call));
    Part { keys: part.keys.clone(), calls: calls.map(|(_, call)| call.clone()).collect() }
}

/// Forgets what the writes in a range of calls were told, and leaves out those that nobody saw.
fn without_answers(part: &Part, range: Range<usize>, culprit: u64) -> Part {
    let mut smaller = part.clone();
    for call in &mut smaller.calls[range] {
        if call.id != culprit && !call.op.is_read() {
            forget(call);
        }
    }
    leave_out_unseen(&mut smaller);
    smaller
}

fn forget(call: &mut Call) {
    (call.answer, call.end, call.times.1) = (None, None, None);
}

/// Leaves out open puts whose values no answer shows, where every answer that depends on a value
/// shows it: whoever had seen such a put would have told.
fn leave_out_unseen(part: &mut Part) {
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    for call in &part.calls {
        match (&call.op, &call.answer) {
            (Op::Get { .. }, Some(Answer::Value(value))) => seen.extend(value.as_deref()),
            (Op::GetMany { .. }, Some(Answer::Values(values))) => {
                seen.extend(values.iter().filter_map(|value| value.as_deref()));
            }
            (Op::Cas { expected: Some(expected), .. }, answer)
                if *answer != Some(Answer::Stored(false)) =>
            {
                seen.insert(expected);
            }
            (Op::Put { .. } | Op::PutMany { .. }, _) => {}
            // It tells of a value without showing it.
            (_, Some(_)) | (Op::Append { .. } | Op::Cas { .. }, None) => return,
            (Op::Get { .. } | Op::GetMany { .. } | Op::Delete { .. }, None) => {}
        }
    }
    let unseen = |call: &Call| match &call.op {
        Op::Put { value, .. } => call.is_open() && !seen.contains(value.as_str()),
        _ => false,
    };
    let unseen: BTreeSet<u64> =
        part.calls.iter().filter(|call| unseen(call)).map(|call| call.id).collect();
    part.calls.retain(|call| !unseen.contains(&call.id));
}
