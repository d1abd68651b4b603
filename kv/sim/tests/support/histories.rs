//! Histories to test checkers with: made by a store that is right, told by hand, and spoiled.

use std::collections::BTreeMap;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tinykv_sim::history::{Answer, Call, History, Kind, Op};

/// A store that does one operation after the other, on plain strings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plain(pub(crate) BTreeMap<String, String>);

impl Plain {
    pub(crate) fn run(&mut self, op: &Op) -> Answer {
        match op {
            Op::Get { key } => Answer::Value(self.0.get(key).cloned()),
            Op::GetMany { keys } => {
                Answer::Values(keys.iter().map(|key| self.0.get(key).cloned()).collect())
            }
            Op::Put { key, value } => {
                self.0.insert(key.clone(), value.clone());
                Answer::Done
            }
            Op::PutMany { pairs } => {
                self.0.extend(pairs.iter().cloned());
                Answer::Done
            }
            Op::Append { key, value } => {
                let held = self.0.entry(key.clone()).or_default();
                held.push_str(value);
                Answer::Count(held.len() as u64)
            }
            Op::Delete { key } => Answer::Count(u64::from(self.0.remove(key).is_some())),
            Op::Cas { key, expected, value } => {
                let holds = self.0.get(key) == expected.as_ref();
                if holds {
                    self.0.insert(key.clone(), value.clone());
                }
                Answer::Stored(holds)
            }
        }
    }
}

/// What histories are made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) calls: usize,
    pub(crate) processes: u64,
    pub(crate) keys: u32,
    /// Of 100 calls, how many nobody knows the end of.
    pub(crate) open: u32,
    /// Whether operations touch several keys.
    pub(crate) many: bool,
    /// How many different values there are; 0: each is new.
    pub(crate) values: u32,
}

/// One of the kinds of operations, at random.
pub(crate) fn op(rng: &mut SmallRng, shape: Shape, number: usize) -> Op {
    let key = format!("k{}", rng.random_range(0..shape.keys));
    let value = match shape.values {
        0 => format!("v{number}"),
        values => format!("v{}", rng.random_range(0..values)),
    };
    match rng.random_range(0..if shape.many { 12 } else { 10 }) {
        0..4 => Op::Get { key },
        4..6 => Op::Put { key, value },
        6..8 => Op::Append { key, value },
        8 => Op::Delete { key },
        9 => Op::Cas { key, expected: rng.random_bool(0.5).then(|| "v0".to_owned()), value },
        10 => Op::GetMany { keys: vec![key, "k0".to_owned()] },
        _ => Op::PutMany { pairs: vec![(key, value.clone()), ("k0".to_owned(), value)] },
    }
}

/// A history of a store that is right: each call takes effect at once, somewhere between its
/// begin and its end; of open calls about half.
pub(crate) fn right(seed: u64, shape: Shape) -> History {
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut store = Plain::default();
    let mut history = History::default();
    // Call, operation, answer once it took effect.
    let mut running: BTreeMap<u64, (u64, Op, Option<Answer>)> = BTreeMap::new();
    let mut late: Vec<Op> = Vec::new();
    let mut at = 0;
    let mut begun = 0;
    while begun < shape.calls || !running.is_empty() {
        at += rng.random_range(1..50);
        if !late.is_empty() && rng.random_bool(0.05) {
            // An open call takes effect long after.
            let op = late.swap_remove(rng.random_range(0..late.len()));
            store.run(&op);
        }
        let process = rng.random_range(0..shape.processes);
        match running.get_mut(&process) {
            None if begun < shape.calls => {
                let op = op(&mut rng, shape, begun);
                history.push(at, process, begun as u64, Kind::Invoke { op: op.clone() });
                running.insert(process, (begun as u64, op, None));
                begun += 1;
            }
            None => {}
            Some((_, op, answer @ None)) => *answer = Some(store.run(op)),
            Some((call, _, Some(answer))) => {
                let open = rng.random_range(0..100) < shape.open;
                let kind = match open {
                    true => Kind::Info { why: "timeout".to_owned() },
                    false => Kind::Ok { answer: answer.clone() },
                };
                history.push(at, process, *call, kind);
                running.remove(&process);
                // Some open calls have not even happened yet.
                if rng.random_range(0..100) < shape.open && begun < shape.calls {
                    let op = self::op(&mut rng, shape, begun);
                    history.push(at, 1000, begun as u64, Kind::Invoke { op: op.clone() });
                    late.push(op);
                    begun += 1;
                }
            }
        }
    }
    history
}

/// Every order of answered calls with any of the open ones, tried one by one on plain strings.
pub(crate) fn is_explained(calls: &[Call]) -> bool {
    fn explains(store: &Plain, left: &[&Call]) -> bool {
        if left.iter().all(|call| call.is_open()) {
            return true;
        }
        left.iter().enumerate().any(|(place, call)| {
            // Whoever ended before this one begins must come before it.
            let too_early = left.iter().any(|other| other.end.is_some_and(|end| end < call.begin));
            if too_early {
                return false;
            }
            let mut next = store.clone();
            let answer = next.run(&call.op);
            if call.answer.as_ref().is_some_and(|told| *told != answer) {
                return false;
            }
            let rest: Vec<&Call> =
                left[..place].iter().chain(&left[place + 1..]).copied().collect();
            explains(&next, &rest)
        })
    }
    let calls: Vec<&Call> = calls.iter().filter(|call| !call.failed).collect();
    explains(&Plain::default(), &calls)
}

/// Changes one answer to another that was given, or could have been.
pub(crate) fn spoil(rng: &mut SmallRng, calls: &mut [Call]) {
    let answered: Vec<usize> =
        (0..calls.len()).filter(|place| calls[*place].answer.is_some()).collect();
    if answered.is_empty() {
        return;
    }
    let place = answered[rng.random_range(0..answered.len())];
    let other = format!("v{}", rng.random_range(0..3));
    calls[place].answer = calls[place].answer.take().map(|answer| match answer {
        Answer::Done => Answer::Done,
        Answer::Value(Some(_)) if rng.random_bool(0.5) => Answer::Value(None),
        Answer::Value(_) => Answer::Value(Some(other)),
        Answer::Values(mut values) => {
            values[0] = if values[0].is_some() { None } else { Some(other) };
            Answer::Values(values)
        }
        Answer::Count(0) => Answer::Count(1),
        Answer::Count(count) => Answer::Count(count - 1),
        Answer::Stored(stored) => Answer::Stored(!stored),
    });
}
