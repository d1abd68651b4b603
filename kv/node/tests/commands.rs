//! What each command does, alone and with others in a group, at times that the test chooses.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::collections::BTreeMap;

use bytes::Bytes;
use engine::{Cf, Direction, Durability, Engine, Memory, Range};
use proptest::prelude::*;
use tinykv_node::{
    Chunk, Command, Condition, Expiry, Failure, Node, Read, Response, SWEEP_KEYS_MAX, Scan, Time,
    Ttl, When, Write, read, read_nowait, scan,
};

const CF: Cf = Cf::Default;

/// A store and its time.
struct Store {
    engine: Memory,
    node: Node,
    now: Time,
}

impl Store {
    fn new() -> Store {
        let engine = Memory::new();
        let node = Node::solo(&engine).unwrap();
        Store { engine, node, now: Time(1_000) }
    }

    /// Carries chunks out as one group.
    fn group(&mut self, chunks: Vec<Vec<Command>>) -> Vec<Vec<Response>> {
        let chunks: Vec<Chunk> = chunks.into_iter().map(Chunk::from).collect();
        let group = self.node.execute(&self.engine, &chunks, self.now);
        self.engine.write(group.batch, Durability::Always).unwrap();
        group.responses
    }

    fn run(&mut self, command: impl Into<Command>) -> Response {
        self.group(vec![vec![command.into()]]).pop().unwrap().pop().unwrap()
    }

    /// Sweeps until nothing is due. Gives how many rounds it took.
    fn sweep(&mut self) -> usize {
        for round in 1.. {
            let group = self.node.tick(&self.engine, self.now).unwrap();
            assert!(group.batch.len() <= 2 * SWEEP_KEYS_MAX);
            self.engine.write(group.batch, Durability::Always).unwrap();
            if !group.has_more {
                return round;
            }
        }
        unreachable!("there are not so many rounds")
    }

    /// How many keys a column family has, expired or not.
    fn stored(&self, cf: Cf) -> usize {
        self.engine.view().unwrap().keys(cf, Range::all(), Direction::Forward).count()
    }

    fn scan(&self, keys_only: bool) -> Vec<Bytes> {
        let scan = all(keys_only);
        let page = tinykv_node::scan(self.engine.view().unwrap().as_ref(), &scan, self.now);
        page.unwrap().pairs.into_iter().map(|(key, _)| key).collect()
    }
}

fn all(keys_only: bool) -> Scan {
    Scan {
        cf: CF,
        start: Bytes::new(),
        end: None,
        direction: Direction::Forward,
        keys_only,
        pairs_max: usize::MAX,
        bytes_max: usize::MAX,
    }
}

fn b(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn put(key: &str, value: &str) -> Write {
    Write::Put { cf: CF, key: b(key), value: b(value), expiry: Expiry::Never }
}

fn put_until(key: &str, value: &str, until: u64) -> Write {
    Write::Put { cf: CF, key: b(key), value: b(value), expiry: Expiry::At(Time(until)) }
}

fn get(key: &str) -> Read {
    Read::Get { cf: CF, key: b(key) }
}

fn ttl(key: &str) -> Read {
    Read::Ttl { cf: CF, key: b(key) }
}

fn add(key: &str, delta: i64) -> Write {
    Write::Add { cf: CF, key: b(key), delta }
}

fn value(text: &str) -> Response {
    Response::Value(Some(b(text)))
}

#[test]
fn increments_of_one_group_add_up_in_one_batch() {
    let mut store = Store::new();
    let chunks = (0..64).map(|_| vec![add("n", 1).into()]).collect();
    let responses = store.group(chunks);
    let expected: Vec<_> = (1..=64).map(|n| vec![Response::Integer(n)]).collect();
    assert_eq!(responses, expected);
    assert_eq!(store.run(get("n")), value("64"));
}

#[test]
fn numbers_are_checked() {
    let mut store = Store::new();
    store.run(put("text", "x1"));
    assert_eq!(store.run(add("text", 1)), Response::Failed(Failure::NotInteger));
    store.run(put("large", &i64::MAX.to_string()));
    assert_eq!(store.run(add("large", 1)), Response::Failed(Failure::Overflow));
    assert_eq!(store.run(get("large")), value(&i64::MAX.to_string()));
    assert_eq!(store.run(add("new", -5)), Response::Integer(-5));
}

#[test]
fn parts_of_values_are_changed() {
    let mut store = Store::new();
    let set_range = |offset, part| Write::SetRange { cf: CF, key: b("k"), offset, part: b(part) };
    assert_eq!(store.run(set_range(1, "")), Response::Count(0));
    assert_eq!(store.run(get("k")), Response::Value(None));
    assert_eq!(store.run(set_range(2, "abc")), Response::Count(5));
    assert_eq!(store.run(set_range(3, "x")), Response::Count(5));
    assert_eq!(store.run(get("k")), value("\0\0axc"));
    let far = store.run(set_range(u64::MAX, "x"));
    assert!(matches!(far, Response::Failed(Failure::ValueTooLong { .. })), "{far:?}");
    let set_bit = |offset, bit| Write::SetBit { cf: CF, key: b("bits"), offset, bit };
    assert_eq!(store.run(set_bit(15, true)), Response::Integer(0));
    assert_eq!(store.run(set_bit(15, false)), Response::Integer(1));
    assert_eq!(store.run(get("bits")), value("\0\0"));
}

#[test]
fn a_key_is_moved_and_copied_with_its_expiry() {
    let mut store = Store::new();
    let copy_key = |from: &str, to: &str, replaces, moves| Write::CopyKey {
        cf: CF,
        from: b(from),
        to: b(to),
        replaces,
        moves,
    };
    assert_eq!(store.run(copy_key("a", "b", true, true)), Response::Failed(Failure::NoSuchKey));
    assert_eq!(store.run(copy_key("a", "b", true, false)), Response::Changed(false));
    store.run(put("a", "1"));
    store.run(put("b", "2"));
    assert_eq!(store.run(copy_key("a", "b", false, true)), Response::Changed(false));
    assert_eq!(store.run(copy_key("a", "a", true, true)), Response::Changed(true));
    assert_eq!(store.run(get("a")), value("1"));
    assert_eq!(store.run(copy_key("a", "b", true, true)), Response::Changed(true));
    assert_eq!(store.run(get("a")), Response::Value(None));
    assert_eq!(store.run(get("b")), value("1"));
}

#[test]
fn a_chunk_sees_its_own_writes_and_those_before_it() {
    let mut store = Store::new();
    store.run(put("a", "old"));
    let delete_all = Write::DeleteRange { cf: CF, start: Bytes::new(), end: None };
    let responses = store.group(vec![
        vec![put("a", "1").into(), get("a").into()],
        vec![get("a").into(), delete_all.into(), get("a").into(), put("a", "2").into()],
        vec![
            Read::GetMany { cf: CF, keys: vec![b("a"), b("b")] }.into(),
            Read::Exists { cf: CF, keys: vec![b("a"), b("a"), b("b")] }.into(),
        ],
    ]);
    assert_eq!(responses[0], [Response::Done, value("1")]);
    assert_eq!(responses[1], [value("1"), Response::Done, Response::Value(None), Response::Done]);
    let values = Response::Values(vec![Some(b("2")), None]);
    assert_eq!(responses[2], [values, Response::Count(2)]);
}

#[test]
fn conditions_and_previous_values() {
    let mut store = Store::new();
    let mut put_if = |condition, value: &str| {
        let (key, value) = (b("k"), b(value));
        store.run(Write::PutIf { cf: CF, key, value, expiry: Expiry::Never, condition })
    };
    let stored =
        |stored, previous: Option<&str>| Response::Stored { stored, previous: previous.map(b) };
    assert_eq!(put_if(Condition::Present, "0"), stored(false, None));
    assert_eq!(put_if(Condition::Equals(b("")), "0"), stored(false, None));
    assert_eq!(put_if(Condition::Absent, "1"), stored(true, None));
    assert_eq!(put_if(Condition::Absent, "2"), stored(false, Some("1")));
    assert_eq!(put_if(Condition::Present, "3"), stored(true, Some("1")));
    assert_eq!(put_if(Condition::Equals(b("1")), "4"), stored(false, Some("3")));
    assert_eq!(put_if(Condition::Equals(b("3")), ""), stored(true, Some("3")));
    assert_eq!(put_if(Condition::Equals(b("")), "5"), stored(true, Some("")));
    assert_eq!(put_if(Condition::Always, "6"), stored(true, Some("5")));
}

#[test]
fn many_keys_are_set_or_none() {
    let mut store = Store::new();
    let pairs = vec![(b("a"), b("1")), (b("b"), b("2")), (b("a"), b("3"))];
    let expiry = Expiry::Never;
    store.run(Write::PutMany { cf: CF, pairs: pairs.clone(), expiry });
    assert_eq!(store.run(get("a")), value("3"));
    let some_exist = vec![(b("c"), b("1")), (b("b"), b("9"))];
    let if_absent = |pairs| Write::PutManyIfAbsent { cf: CF, pairs };
    assert_eq!(store.run(if_absent(some_exist)), Response::Changed(false));
    assert_eq!(store.run(get("c")), Response::Value(None));
    assert_eq!(store.run(if_absent(vec![(b("c"), b("1"))])), Response::Changed(true));
    let too_long = Bytes::from(vec![b'x'; tinykv_node::format::KEY_BYTES_MAX + 1]);
    let pairs = vec![(b("d"), b("1")), (too_long, b("2"))];
    let response = store.run(Write::PutMany { cf: CF, pairs, expiry });
    assert!(matches!(response, Response::Failed(Failure::KeyTooLong { .. })));
    assert_eq!(store.run(get("d")), Response::Value(None));
}

#[test]
fn deleting_counts_each_key_once() {
    let mut store = Store::new();
    store.run(put("a", "1"));
    store.run(put("b", ""));
    let keys = vec![b("a"), b("b"), b("a"), b("c")];
    assert_eq!(store.run(Write::Delete { cf: CF, keys }), Response::Count(2));
    store.run(put("a", "1"));
    assert_eq!(store.run(Write::GetDelete { cf: CF, key: b("a") }), value("1"));
    assert_eq!(store.run(Write::GetDelete { cf: CF, key: b("a") }), Response::Value(None));
    assert_eq!(store.stored(CF), 0);
}

#[test]
fn an_expired_key_is_gone_before_it_is_swept() {
    let mut store = Store::new();
    store.run(put_until("a", "1", 2_000));
    store.run(put("b", "2"));
    store.now = Time(1_999);
    assert_eq!(store.run(get("a")), value("1"));
    assert_eq!(store.run(ttl("a")), Response::Ttl(Ttl::Until(Time(2_000))));
    assert_eq!(store.run(ttl("b")), Response::Ttl(Ttl::Forever));
    store.now = Time(2_000);
    assert_eq!(store.run(get("a")), Response::Value(None));
    assert_eq!(store.run(ttl("a")), Response::Ttl(Ttl::Absent));
    assert_eq!(read(&store.engine, &get("a"), store.now), Response::Value(None));
    assert_eq!(read_nowait(&store.engine, &get("a"), store.now), Some(Response::Value(None)));
    let both = Read::Exists { cf: CF, keys: vec![b("a"), b("b")] };
    assert_eq!(read(&store.engine, &both, store.now), Response::Count(1));
    assert_eq!(store.scan(false), ["b"]);
    assert_eq!(store.scan(true), ["b"]);
    assert_eq!(store.run(Write::Delete { cf: CF, keys: vec![b("a")] }), Response::Count(0));
    assert_eq!(store.stored(CF), 2, "nothing swept it yet");
    store.sweep();
    assert_eq!((store.stored(CF), store.stored(Cf::Expiry)), (1, 0));
}

#[test]
fn an_expired_key_counts_as_absent_for_writes() {
    let mut store = Store::new();
    for key in ["nx", "incr", "append", "keep"] {
        store.run(put_until(key, "7", 2_000));
    }
    store.now = Time(3_000);
    let nx = Write::PutIf {
        cf: CF,
        key: b("nx"),
        value: b("8"),
        expiry: Expiry::Never,
        condition: Condition::Absent,
    };
    assert_eq!(store.run(nx), Response::Stored { stored: true, previous: None });
    assert_eq!(store.run(add("incr", 1)), Response::Integer(1));
    let tail = Write::Append { cf: CF, key: b("append"), tail: b("x") };
    assert_eq!(store.run(tail), Response::Count(1));
    let keep = Write::Put { cf: CF, key: b("keep"), value: b("y"), expiry: Expiry::Keep };
    store.run(keep);
    for key in ["nx", "incr", "append", "keep"] {
        assert_eq!(store.run(ttl(key)), Response::Ttl(Ttl::Forever), "{key}");
    }
    store.sweep();
    assert_eq!((store.stored(CF), store.stored(Cf::Expiry)), (4, 0));
}

#[test]
fn a_key_has_one_entry_whatever_happens_to_it() {
    let mut store = Store::new();
    for until in [5_000, 6_000, 7_000] {
        store.run(put_until("a", "1", until));
        assert_eq!(store.stored(Cf::Expiry), 1);
    }
    store.run(add("a", 1));
    assert_eq!(store.run(ttl("a")), Response::Ttl(Ttl::Until(Time(7_000))));
    let expiry = |at| Write::SetExpiry { cf: CF, key: b("a"), expiry: at, when: When::default() };
    store.run(expiry(Expiry::At(Time(9_000))));
    assert_eq!(store.stored(Cf::Expiry), 1);
    assert_eq!(store.run(expiry(Expiry::Never)), Response::Changed(true));
    assert_eq!(store.run(expiry(Expiry::Never)), Response::Changed(false));
    assert_eq!(store.stored(Cf::Expiry), 0);
    store.run(put_until("a", "1", 9_000));
    store.run(put("a", "1"));
    assert_eq!(store.stored(Cf::Expiry), 0, "a plain put takes the expiry away");
    store.run(put_until("a", "1", 9_000));
    store.run(Write::Delete { cf: CF, keys: vec![b("a")] });
    assert_eq!(store.stored(Cf::Expiry), 0);
    store.run(put_until("a", "1", 9_000));
    store.run(Write::DeleteRange { cf: CF, start: Bytes::new(), end: None });
    assert_eq!(store.stored(Cf::Expiry), 0);
}

#[test]
fn a_stale_entry_removes_nothing() {
    let mut store = Store::new();
    store.run(put_until("a", "1", 2_000));
    // The range delete leaves the entry.
    store.run(Write::DeleteRange { cf: CF, start: b("a"), end: Some(b("b")) });
    store.run(put("a", "2"));
    store.now = Time(3_000);
    store.sweep();
    assert_eq!(store.run(get("a")), value("2"));
    assert_eq!(store.stored(Cf::Expiry), 0);
}

#[test]
fn an_expiry_in_the_past_removes_at_once() {
    let mut store = Store::new();
    store.run(put("a", "1"));
    store.run(put_until("a", "2", 500));
    assert_eq!((store.stored(CF), store.stored(Cf::Expiry)), (0, 0));
    store.run(put("a", "1"));
    let past = Write::SetExpiry {
        cf: CF,
        key: b("a"),
        expiry: Expiry::At(Time(1)),
        when: When::default(),
    };
    assert_eq!(store.run(past), Response::Changed(true));
    assert_eq!(store.stored(CF), 0);
}

#[test]
fn conditions_on_expiries() {
    let mut store = Store::new();
    store.run(put("a", "1"));
    let mut expire = |at: u64, when| {
        let expiry = Expiry::At(Time(at));
        store.run(Write::SetExpiry { cf: CF, key: b("a"), expiry, when }) == Response::Changed(true)
    };
    let none = When::default();
    assert!(!expire(5_000, When { expiring: true, ..none }));
    assert!(!expire(5_000, When { later: true, ..none }), "never is later than all");
    assert!(expire(5_000, When { earlier: true, ..none }));
    assert!(!expire(6_000, When { forever: true, ..none }));
    assert!(!expire(4_000, When { later: true, ..none }));
    assert!(expire(6_000, When { later: true, expiring: true, ..none }));
    assert!(expire(4_000, When { earlier: true, ..none }));
}

#[test]
fn a_sweep_is_bounded_and_time_does_not_go_back() {
    let mut store = Store::new();
    for n in 0..SWEEP_KEYS_MAX + 10 {
        store.run(put_until(&n.to_string(), "x", 2_000));
    }
    store.now = Time(2_000);
    assert_eq!(store.sweep(), 2);
    assert_eq!((store.stored(CF), store.stored(Cf::Expiry)), (0, 0));
    store.run(put_until("a", "1", 3_000));
    store.now = Time(3_000);
    store.run(get("a"));
    store.now = Time(1_000);
    assert_eq!(store.run(get("a")), Response::Value(None), "once expired, always expired");
}

#[test]
fn pages_of_a_scan() {
    let mut store = Store::new();
    for key in ["a", "b", "c", "d"] {
        store.run(put(key, "value"));
    }
    let view = store.engine.view().unwrap();
    let run = |range: Scan| {
        let page = scan(view.as_ref(), &range, Time(0)).unwrap();
        (page.pairs.into_iter().map(|(key, _)| key).collect::<Vec<_>>(), page.has_more)
    };
    let base = all(false);
    assert_eq!(run(Scan { pairs_max: 2, ..base.clone() }), (vec![b("a"), b("b")], true));
    assert!(!run(Scan { pairs_max: 4, ..base.clone() }).1);
    assert_eq!(run(Scan { bytes_max: 6, ..base.clone() }).0.len(), 2);
    let back = Scan { direction: Direction::Backward, end: Some(b("c")), ..base.clone() };
    assert_eq!(run(back).0, ["b", "a"]);
    assert_eq!(run(Scan { start: b("b"), end: Some(b("d")), ..base }).0, ["b", "c"]);
}

/// What a model knows of a key.
type Model = BTreeMap<u8, (i64, Option<u64>)>;

proptest! {
    /// Any commands at any times do what a map with expiries does, in whatever groups they come,
    /// and the entries of expiring keys are exactly those of the map.
    #[test]
    fn it_is_a_map(steps in prop::collection::vec((0_u8..7, 0_u8..4, 0_u64..50, any::<bool>()), 1..80)) {
        let mut store = Store::new();
        let mut model = Model::new();
        let mut group: Vec<Vec<Command>> = Vec::new();
        let mut expected = Vec::new();
        for (kind, key, number, flush) in steps {
            let (name, at) = (key.to_string(), store.now.0 + number);
            let old = model.get(&key).copied().filter(|(_, end)| end.is_none_or(|end| store.now.0 < end));
            if old.is_none() {
                model.remove(&key);
            }
            let (command, response): (Command, _) = match kind {
                0 => {
                    model.insert(key, (number as i64, None));
                    (put(&name, &number.to_string()).into(), Response::Done)
                }
                1 => {
                    model.insert(key, (1, Some(at)));
                    if number == 0 { model.remove(&key); }
                    (put_until(&name, "1", at).into(), Response::Done)
                }
                2 => {
                    let sum = old.map_or(0, |(old, _)| old) + 1;
                    model.insert(key, (sum, old.and_then(|(_, end)| end)));
                    (add(&name, 1).into(), Response::Integer(sum))
                }
                3 => {
                    model.remove(&key);
                    let delete = Write::Delete { cf: CF, keys: vec![b(&name)] };
                    (delete.into(), Response::Count(u64::from(old.is_some())))
                }
                4 => {
                    model.clear();
                    let range = Write::DeleteRange { cf: CF, start: Bytes::new(), end: None };
                    (range.into(), Response::Done)
                }
                _ => {
                    let value = old.map(|(old, _)| b(&old.to_string()));
                    (get(&name).into(), Response::Value(value))
                }
            };
            group.push(vec![command]);
            expected.push(vec![response]);
            if flush {
                prop_assert_eq!(store.group(std::mem::take(&mut group)), std::mem::take(&mut expected));
                store.now = Time(store.now.0 + number);
                if kind == 6 {
                    store.sweep();
                }
            }
        }
        prop_assert_eq!(store.group(group), expected);
        store.sweep();
        model.retain(|_, (_, end)| end.is_none_or(|end| store.now.0 < end));
        prop_assert_eq!(store.stored(CF), model.len());
        let expiring = model.values().filter(|(_, end)| end.is_some()).count();
        prop_assert_eq!(store.stored(Cf::Expiry), expiring);
    }
}
