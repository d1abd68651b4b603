//! Is the history of one register linearizable? A checker for histories with unique values.
//!
//! After Gibbons and Korach, "Testing Shared Memories" (SIAM J. Comput. 1997): where each value is
//! written once, a write and the reads of its value form a cluster. Let `f` be the first end and `s`
//! the last start of its operations. If `f < s`, the register must hold the value from `f` to `s`
//! (a forward zone); else the whole cluster can happen at one point between `s` and `f` (a backward
//! zone). The history is linearizable if and only if no read ends before the write of its value
//! begins, no two forward zones overlap, and no backward zone lies inside a forward one.

use std::collections::BTreeMap;

/// An operation of one register. Times are different from each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Operation {
    pub(crate) start: u64,
    /// `u64::MAX` if it never returned.
    pub(crate) end: u64,
    pub(crate) kind: Kind,
    /// 0 is what the register holds before all writes.
    pub(crate) value: u64,
}

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Write,
    Read,
}

/// The operations of one value, as times.
#[derive(Clone, Copy, Debug)]
struct Cluster {
    value: u64,
    first_end: u64,
    last_start: u64,
    write_start: Option<u64>,
    first_read_end: u64,
}

impl Cluster {
    fn is_forward(&self) -> bool {
        self.first_end < self.last_start
    }
}

/// Checks the history of one register.
///
/// # Errors
/// Why it is not linearizable.
pub(crate) fn check(history: &[Operation]) -> Result<(), String> {
    let clusters = clusters(history)?;
    for cluster in clusters.values() {
        match cluster.write_start {
            None => return Err(format!("{} was read, but never written", cluster.value)),
            Some(start) if cluster.first_read_end < start => {
                return Err(format!("{} was read before it was written", cluster.value));
            }
            Some(_) => {}
        }
    }
    let mut forward: Vec<&Cluster> = clusters.values().filter(|c| c.is_forward()).collect();
    forward.sort_by_key(|cluster| cluster.first_end);
    for pair in forward.windows(2) {
        if pair[1].first_end < pair[0].last_start {
            let (one, two) = (pair[0].value, pair[1].value);
            return Err(format!("{one} and {two} were there at the same time"));
        }
    }
    for cluster in clusters.values().filter(|cluster| !cluster.is_forward()) {
        // The zones do not overlap: the one that begins last before this one decides.
        let before = forward.partition_point(|other| other.first_end < cluster.last_start);
        if let Some(zone) = before.checked_sub(1).map(|at| forward[at])
            && cluster.first_end < zone.last_start
        {
            let (inner, outer) = (cluster.value, zone.value);
            return Err(format!("{inner} was there while {outer} was"));
        }
    }
    Ok(())
}

fn clusters(history: &[Operation]) -> Result<BTreeMap<u64, Cluster>, String> {
    let initial = Cluster {
        value: 0,
        first_end: 0,
        last_start: 0,
        write_start: Some(0),
        first_read_end: u64::MAX,
    };
    let mut clusters = BTreeMap::from([(0, initial)]);
    let read = |value| history.iter().any(|op| op.kind == Kind::Read && op.value == value);
    for op in history {
        if op.kind == Kind::Write && op.end == u64::MAX && !read(op.value) {
            // It may never have happened.
            continue;
        }
        let cluster = clusters.entry(op.value).or_insert(Cluster {
            value: op.value,
            first_end: u64::MAX,
            last_start: 0,
            write_start: None,
            first_read_end: u64::MAX,
        });
        cluster.first_end = cluster.first_end.min(op.end);
        cluster.last_start = cluster.last_start.max(op.start);
        match op.kind {
            Kind::Write if cluster.write_start.is_some() => {
                return Err(format!("{} was written twice", op.value));
            }
            Kind::Write => cluster.write_start = Some(op.start),
            Kind::Read => cluster.first_read_end = cluster.first_read_end.min(op.end),
        }
    }
    Ok(clusters)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(start: u64, end: u64, value: u64) -> Operation {
        Operation { start, end, kind: Kind::Write, value }
    }

    fn read(start: u64, end: u64, value: u64) -> Operation {
        Operation { start, end, kind: Kind::Read, value }
    }

    #[test]
    fn good_histories() {
        let good: [&[Operation]; 6] = [
            &[],
            &[read(1, 2, 0), write(3, 4, 1), read(5, 6, 1)],
            // A read during a write sees either.
            &[write(1, 10, 1), read(2, 3, 0), read(4, 5, 1)],
            // Two writes at once, in either order.
            &[write(1, 10, 1), write(2, 9, 2), read(11, 12, 1)],
            &[write(1, 10, 1), write(2, 9, 2), read(11, 12, 2)],
            // A write that never returned may have happened, or not.
            &[write(1, u64::MAX, 1), read(2, 3, 0), read(4, 5, 1), write(6, u64::MAX, 2)],
        ];
        for history in good {
            assert_eq!(check(history), Ok(()), "{history:?}");
            assert!(brute_force(history));
        }
    }

    #[test]
    fn bad_histories() {
        let bad: [&[Operation]; 7] = [
            // A stale read.
            &[write(1, 2, 1), write(3, 4, 2), read(5, 6, 1)],
            // A lost write.
            &[write(1, 2, 1), read(3, 4, 0)],
            // A value out of nowhere.
            &[read(1, 2, 7)],
            // A value before its write.
            &[read(1, 2, 1), write(3, 4, 1)],
            // Two reads during a write that go back in time.
            &[write(1, 10, 1), read(2, 3, 1), read(4, 5, 0)],
            // Values that come back.
            &[write(1, 2, 1), write(3, 8, 2), read(4, 5, 2), read(6, 7, 1), read(9, 10, 2)],
            // Two readers that disagree about the order of two writes.
            &[write(1, 20, 1), write(2, 21, 2), read(3, 4, 1), read(5, 6, 2), read(7, 8, 1)],
        ];
        for history in bad {
            assert!(check(history).is_err(), "{history:?}");
            assert!(!brute_force(history), "{history:?}");
        }
    }

    /// Tries every order that time allows.
    fn brute_force(history: &[Operation]) -> bool {
        fn go(left: &mut Vec<Operation>, value: u64) -> bool {
            let first_end = left.iter().map(|op| op.end).min();
            let Some(first_end) = first_end else { return true };
            if left.iter().all(|op| op.end == u64::MAX) {
                return true;
            }
            for at in 0..left.len() {
                let op = left[at];
                let fits = op.kind == Kind::Write || op.value == value;
                if op.start < first_end && fits {
                    left.remove(at);
                    if go(left, op.value) {
                        return true;
                    }
                    left.insert(at, op);
                }
            }
            false
        }
        go(&mut history.to_vec(), 0)
    }

    /// All small random histories get the answer that trying every order gives.
    #[test]
    fn agrees_with_trying_every_order() {
        let mut state = 1_u64;
        let mut random = |limit: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) % limit
        };
        let mut good = 0;
        for _ in 0..20_000 {
            let count = 2 + random(5);
            let mut times: Vec<u64> = (1..=2 * count).collect();
            let mut history = Vec::new();
            for number in 1..=count {
                let one = times.swap_remove(random(times.len() as u64) as usize);
                let two = times.swap_remove(random(times.len() as u64) as usize);
                let (start, end) = (one.min(two), one.max(two));
                let unfinished = random(10) == 0;
                history.push(if random(2) == 0 {
                    write(start, if unfinished { u64::MAX } else { end }, number)
                } else {
                    read(start, end, random(count + 1))
                });
            }
            assert_eq!(check(&history).is_ok(), brute_force(&history), "{history:?}");
            good += usize::from(check(&history).is_ok());
        }
        assert!(good > 1_000, "{good} were linearizable");
    }
}
