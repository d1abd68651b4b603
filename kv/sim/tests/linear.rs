//! The checker of linearizability, itself put to the test.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "support/histories.rs"]
mod histories;

use histories::{Shape, is_explained, right, spoil};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tinykv_sim::history::{Answer, Call, History, Kind, Op};
use tinykv_sim::linear::{Options, Verdict, Violation, check};

fn get(key: &str) -> Op {
    Op::Get { key: key.to_owned() }
}

fn put(key: &str, value: &str) -> Op {
    Op::Put { key: key.to_owned(), value: value.to_owned() }
}

fn append(value: &str) -> Op {
    Op::Append { key: "k".to_owned(), value: value.to_owned() }
}

fn found(value: &str) -> Answer {
    Answer::Value(Some(value.to_owned()))
}

/// Tells a history by hand: `begin` and `end` name calls by number.
#[derive(Default)]
struct Story(History);

impl Story {
    fn begin(mut self, call: u64, op: Op) -> Story {
        self.0.push(self.0.events.len() as u64, call, call, Kind::Invoke { op });
        self
    }

    fn end(mut self, call: u64, answer: Answer) -> Story {
        self.0.push(self.0.events.len() as u64, call, call, Kind::Ok { answer });
        self
    }

    fn fail(mut self, call: u64) -> Story {
        self.0.push(self.0.events.len() as u64, call, call, Kind::Fail { why: String::new() });
        self
    }

    /// A call that nothing else happens during.
    fn call(self, call: u64, op: Op, answer: Answer) -> Story {
        self.begin(call, op).end(call, answer)
    }

    fn verdict(&self) -> Verdict {
        check(&self.0.calls().unwrap(), Options::default())
    }

    fn is_right(&self) {
        assert_eq!(self.verdict(), Verdict::Linearizable);
    }

    fn violation(&self) -> Violation {
        match self.verdict() {
            Verdict::Violation(violation) => *violation,
            other => panic!("{other:?}"),
        }
    }
}

fn ids(violation: &Violation) -> Vec<u64> {
    violation.calls.iter().map(|call| call.id).collect()
}

#[test]
fn nothing_is_linearizable() {
    Story::default().is_right();
}

#[test]
fn a_read_beside_a_write_may_see_it_or_not() {
    for seen in [found("a"), Answer::Value(None)] {
        Story::default()
            .begin(1, put("k", "a"))
            .call(2, get("k"), seen)
            .end(1, Answer::Done)
            .is_right();
    }
}

#[test]
fn a_read_after_a_write_sees_it() {
    let story = Story::default().call(1, put("k", "a"), Answer::Done);
    let violation = story.call(2, get("k"), Answer::Value(None)).violation();
    assert_eq!((ids(&violation), violation.culprit), (vec![1, 2], 2));
}

/// One read sees the new value, and a later one the old value again.
#[test]
fn reads_do_not_go_back() {
    let violation = Story::default()
        .call(1, put("k", "old"), Answer::Done)
        .begin(2, put("k", "new"))
        .call(3, get("k"), found("new"))
        .call(4, get("k"), found("old"))
        .end(2, Answer::Done)
        .violation();
    assert_eq!(violation.culprit, 4);
    assert_eq!(ids(&violation), [1, 2, 3, 4]);
}

#[test]
fn what_has_no_relation_is_left_out_of_a_violation() {
    let mut story = Story::default();
    for call in 0..100 {
        let value = format!("v{call}");
        story = story.call(2 * call, put("k", &value), Answer::Done);
        story = story.call(2 * call + 1, get("k"), found(&value));
    }
    story = story.call(1000, get("k"), found("v98"));
    story = story.call(1001, put("k", "later"), Answer::Done);
    let violation = story.violation();
    assert_eq!(violation.culprit, 1000);
    assert_eq!(violation.keys, ["k"]);
    // Its write, the one after it, and the read that came too late.
    assert_eq!(ids(&violation), [196, 198, 1000]);
}

#[test]
fn an_open_write_may_take_effect_late_or_never() {
    let story = || Story::default().call(1, put("k", "a"), Answer::Done).begin(2, put("k", "b"));
    story().call(3, get("k"), found("a")).is_right();
    story().call(3, get("k"), found("a")).call(4, get("k"), found("b")).is_right();
    // But once only.
    let story = story().call(3, get("k"), found("b")).call(4, put("k", "c"), Answer::Done);
    let violation = story.call(5, get("k"), found("b")).violation();
    assert_eq!(violation.culprit, 5);
}

#[test]
fn a_failed_write_never_takes_effect() {
    let story = Story::default().call(1, put("k", "a"), Answer::Done);
    let story = story.begin(2, put("k", "b")).fail(2);
    assert_eq!(story.call(3, get("k"), found("b")).violation().culprit, 3);
}

#[test]
fn an_append_that_is_done_twice_is_seen() {
    let story = Story::default().begin(1, append("x")).end(1, Answer::Count(1));
    story.call(2, get("k"), found("xx")).violation();
    let story = Story::default().call(1, append("x"), Answer::Count(1));
    story.call(2, append("y"), Answer::Count(3)).violation();
}

#[test]
fn a_condition_is_judged() {
    let cas = |expected: Option<&str>| Op::Cas {
        key: "k".to_owned(),
        expected: expected.map(str::to_owned),
        value: "new".to_owned(),
    };
    let story = || Story::default().call(1, put("k", "a"), Answer::Done);
    story().call(2, cas(Some("a")), Answer::Stored(true)).is_right();
    story().call(2, cas(Some("b")), Answer::Stored(false)).is_right();
    story().call(2, cas(Some("b")), Answer::Stored(true)).violation();
    story().call(2, cas(None), Answer::Stored(true)).violation();
    let both = story().call(2, cas(Some("a")), Answer::Stored(true));
    both.call(3, cas(Some("a")), Answer::Stored(true)).violation();
}

#[test]
fn a_delete_tells_whether_there_was_something() {
    let delete = || Op::Delete { key: "k".to_owned() };
    let story = || Story::default().call(1, put("k", "a"), Answer::Done);
    story().call(2, delete(), Answer::Count(1)).call(3, delete(), Answer::Count(0)).is_right();
    story().call(2, delete(), Answer::Count(0)).violation();
}

/// Each key alone is right, but no order explains both reads.
#[test]
fn keys_that_are_written_together_are_judged_together() {
    let both = |value: &str| Op::PutMany {
        pairs: ["a", "b"].map(|key| (key.to_owned(), value.to_owned())).to_vec(),
    };
    let read = || Op::GetMany { keys: vec!["a".to_owned(), "b".to_owned()] };
    let values =
        |a: &str, b: &str| Answer::Values([a, b].map(|value| Some(value.to_owned())).to_vec());
    let story = || Story::default().call(1, both("1"), Answer::Done).begin(2, both("2"));
    let half = story().call(3, read(), values("1", "2")).end(2, Answer::Done);
    assert_eq!(half.violation().keys, ["a", "b"]);
    story().call(3, read(), values("2", "2")).end(2, Answer::Done).is_right();
}

/// A spent budget is no verdict, and no pass.
#[test]
fn a_spent_budget_is_unknown() {
    let story = Story::default().call(1, put("k", "a"), Answer::Done);
    let calls = story.0.calls().unwrap();
    let verdict = check(&calls, Options { steps_max: 1 });
    assert_eq!(verdict, Verdict::Unknown { keys: vec!["k".to_owned()] });
}

/// Histories of a few calls, right and wrong, against all orders tried one by one.
#[test]
fn it_agrees_with_trying_all_orders() {
    let mut verdicts = [0, 0];
    for seed in 0..4_000 {
        let mut rng = SmallRng::seed_from_u64(seed);
        let shape = Shape {
            calls: rng.random_range(2..8),
            processes: rng.random_range(1..5),
            keys: rng.random_range(1..3),
            open: [0, 20, 60][rng.random_range(0..3)],
            many: rng.random_bool(0.3),
            values: [0, 2][rng.random_range(0..2)],
        };
        let mut calls = right(seed, shape).calls().unwrap();
        for _ in 0..rng.random_range(0..3) {
            spoil(&mut rng, &mut calls);
        }
        let expected = is_explained(&calls);
        verdicts[usize::from(expected)] += 1;
        match check(&calls, Options::default()) {
            Verdict::Linearizable => assert!(expected, "seed {seed} passed: {calls:#?}"),
            Verdict::Violation(violation) => {
                assert!(!expected, "seed {seed} failed: {calls:#?}");
                assert!(
                    !is_explained(&violation.calls),
                    "seed {seed} shrunk to a right history: {calls:#?} {violation:#?}"
                );
            }
            Verdict::Unknown { .. } => panic!("seed {seed}: {calls:#?}"),
        }
    }
    assert!(verdicts.iter().all(|count| *count > 500), "both verdicts: {verdicts:?}");
}

/// A wrong answer in the middle of a long history is found, whatever it is.
#[test]
fn a_stale_read_in_a_long_history_is_found() {
    for seed in 0..8 {
        // Open calls on keys that are joined are the one case that stays hard.
        let many = seed % 2 == 0;
        let open = if many { 0 } else { 3 };
        let shape = Shape { calls: 1000, processes: 8, keys: 4, open, many, values: 0 };
        let mut calls = right(seed, shape).calls().unwrap();
        assert_eq!(check(&calls, Options::default()), Verdict::Linearizable, "seed {seed}");
        // A read is told what the key held long before: each value is written once only.
        let stale = stale_read(&mut calls);
        match check(&calls, Options::default()) {
            Verdict::Violation(violation) => {
                assert!(
                    many || violation.calls.len() < calls.len() / 2,
                    "seed {seed}: {}",
                    violation.calls.len()
                );
                let recheck = check(&violation.calls, Options::default());
                assert!(matches!(recheck, Verdict::Violation(_)), "{recheck:?}");
            }
            other => panic!("seed {seed}, call {stale}: {other:?}"),
        }
    }
}

/// Gives a late read the answer of an early one.
fn stale_read(calls: &mut [Call]) -> u64 {
    let reads = |call: &Call| match (&call.op, &call.answer) {
        (Op::Get { key }, Some(Answer::Value(Some(value)))) => Some((key.clone(), value.clone())),
        _ => None,
    };
    let early = calls.iter().find_map(reads).unwrap();
    let late = calls.iter_mut().rev().find(
        |call| matches!(reads(call), Some((key, value)) if key == early.0 && value != early.1),
    );
    let late = late.unwrap();
    late.answer = Some(found(&early.1));
    late.id
}

/// Thousands of calls of fifty clients, some of them open, within the usual budget.
#[test]
fn long_histories_are_judged() {
    let shape = Shape { calls: 30_000, processes: 50, keys: 10, open: 0, many: false, values: 0 };
    let calls = right(1, shape).calls().unwrap();
    assert_eq!(check(&calls, Options::default()), Verdict::Linearizable);
    let shape = Shape { calls: 10_000, open: 1, keys: 100, ..shape };
    let calls = right(2, shape).calls().unwrap();
    assert_eq!(check(&calls, Options::default()), Verdict::Linearizable);
}
