//! Stage 1b: the raw API of a standalone store, the ten scenarios of TinyKV's project 1, on each
//! engine.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::sync::Arc;

use bytes::Bytes;
use engine::{Cf, Direction, Durability, Engine, Memory, Range, bitcask};
use tinykv_node::{Chunk, Command, Expiry, Node, Read, Response, Scan, Time, Write, scan};

const NOW: Time = Time(1_000_000);

/// A store, as its driver sees it.
struct Store {
    engine: Arc<dyn Engine>,
    node: Node,
}

impl Store {
    /// Carries a command out, and makes it durable before it is answered.
    fn run(&mut self, command: impl Into<Command>) -> Response {
        let chunk = Chunk::from(vec![command.into()]);
        let mut group = self.node.execute(self.engine.as_ref(), &[chunk], NOW);
        self.engine.write(group.batch, Durability::Always).unwrap();
        group.responses.pop().unwrap().pop().unwrap()
    }

    fn put(&mut self, cf: Cf, key: &str, value: &str) {
        let (key, value) = (bytes(key), bytes(value));
        let put = Write::Put { cf, key, value, expiry: Expiry::Never };
        assert_eq!(self.run(put), Response::Done);
    }

    fn get(&mut self, cf: Cf, key: &str) -> Option<String> {
        match self.run(Read::Get { cf, key: bytes(key) }) {
            Response::Value(value) => value.map(|value| String::from_utf8(value.to_vec()).unwrap()),
            other => panic!("a get was answered with {other:?}"),
        }
    }

    fn delete(&mut self, cf: Cf, key: &str) -> Response {
        self.run(Write::Delete { cf, keys: vec![bytes(key)] })
    }

    fn scan(&self, limit: usize) -> Vec<(String, String)> {
        let range = Scan {
            cf: Cf::Default,
            start: bytes("1"),
            end: None,
            direction: Direction::Forward,
            keys_only: false,
            pairs_max: limit,
            bytes_max: usize::MAX,
        };
        let page = scan(self.engine.view().unwrap().as_ref(), &range, NOW).unwrap();
        let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
        page.pairs.into_iter().map(|(key, value)| (text(key), text(value))).collect()
    }
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn pairs(numbers: &[u32]) -> Vec<(String, String)> {
    numbers.iter().map(|n| (n.to_string(), format!("233-{n}"))).collect()
}

/// Runs a scenario on a new store of each engine.
fn on_each_engine(scenario: impl Fn(&mut Store)) {
    let options = bitcask::Options { background: false, ..bitcask::Options::default() };
    let fs = Arc::new(wal::MemFs::new());
    let engines: [Arc<dyn Engine>; 2] =
        [Arc::new(Memory::new()), Arc::new(bitcask::open(fs, "/data", options).unwrap())];
    for engine in engines {
        let node = Node::solo(engine.as_ref()).unwrap();
        scenario(&mut Store { engine, node });
    }
}

#[test]
fn a_value_in_the_engine_is_read() {
    on_each_engine(|store| {
        let mut batch = engine::Batch::new();
        let key = tinykv_node::format::encode_key(b"99");
        batch.put(Cf::Default, key, tinykv_node::format::encode_value(b"42", None));
        store.engine.write(batch, Durability::Always).unwrap();
        assert_eq!(store.get(Cf::Default, "99").as_deref(), Some("42"));
    });
}

#[test]
fn a_missing_key_is_no_error() {
    on_each_engine(|store| assert_eq!(store.get(Cf::Default, "99"), None));
}

#[test]
fn a_put_is_seen_by_a_view() {
    on_each_engine(|store| {
        store.put(Cf::Default, "99", "42");
        let view = store.engine.view().unwrap();
        let key = tinykv_node::format::encode_key(b"99");
        let value = view.get(Cf::Default, &key).unwrap().unwrap();
        assert_eq!(tinykv_node::format::decode_value(&value).unwrap().data, "42");
    });
}

#[test]
fn column_families_do_not_mix() {
    on_each_engine(|store| {
        store.put(Cf::Default, "99", "42");
        store.put(Cf::Write, "99", "233");
        assert_eq!(store.get(Cf::Default, "99").as_deref(), Some("42"));
        assert_eq!(store.get(Cf::Write, "99").as_deref(), Some("233"));
        assert_eq!(store.get(Cf::Lock, "99"), None);
    });
}

#[test]
fn a_deleted_key_is_missing() {
    on_each_engine(|store| {
        store.put(Cf::Default, "99", "42");
        assert_eq!(store.delete(Cf::Default, "99"), Response::Count(1));
        assert_eq!(store.get(Cf::Default, "99"), None);
        assert_eq!(store.delete(Cf::Default, "99"), Response::Count(0));
    });
}

#[test]
fn a_deleted_key_is_missing_in_a_view() {
    on_each_engine(|store| {
        store.put(Cf::Default, "99", "42");
        store.delete(Cf::Default, "99");
        let view = store.engine.view().unwrap();
        let key = tinykv_node::format::encode_key(b"99");
        assert_eq!(view.get(Cf::Default, &key).unwrap(), None);
    });
}

#[test]
fn a_scan_is_ordered_and_limited() {
    on_each_engine(|store| {
        for n in [5, 3, 1, 4, 2] {
            store.put(Cf::Default, &n.to_string(), &format!("233-{n}"));
        }
        assert_eq!(store.scan(3), pairs(&[1, 2, 3]));
        assert_eq!(store.scan(10), pairs(&[1, 2, 3, 4, 5]));
    });
}

#[test]
fn a_scan_sees_a_put_before_it() {
    on_each_engine(|store| {
        for n in [1, 2, 3, 4] {
            store.put(Cf::Default, &n.to_string(), &format!("233-{n}"));
        }
        assert_eq!(store.scan(10), pairs(&[1, 2, 3, 4]));
        store.put(Cf::Default, "5", "233-5");
        assert_eq!(store.scan(10), pairs(&[1, 2, 3, 4, 5]));
    });
}

#[test]
fn a_scan_skips_deleted_keys() {
    on_each_engine(|store| {
        for n in [1, 2, 3, 4] {
            store.put(Cf::Default, &n.to_string(), &format!("233-{n}"));
        }
        store.delete(Cf::Default, "3");
        assert_eq!(store.scan(10), pairs(&[1, 2, 4]));
    });
}

#[test]
fn a_view_from_before_a_delete_sees_the_key() {
    on_each_engine(|store| {
        store.put(Cf::Default, "99", "42");
        let view = store.engine.view().unwrap();
        store.delete(Cf::Default, "99");
        let found = view.iter(Cf::Default, Range::all(), Direction::Forward).count();
        assert_eq!(found, 1);
        assert_eq!(store.get(Cf::Default, "99"), None);
    });
}
