//! Single keys and single batches.

use std::sync::Arc;

use bytes::Bytes;

use super::{Checked, Model, Random, batch, deleting, get, put, putting};
use crate::{Batch, Cf, Durability, Engine, Lookup, Range};

pub(super) fn empty_engine(engine: &Arc<dyn Engine>) {
    assert_eq!(get(engine, b"a"), None);
    assert_eq!(get(engine, b""), None);
    Model::default().check(&*engine.view().unwrap());
    engine.flush().unwrap();
    engine.merge().unwrap();
    Model::default().check(&*engine.view().unwrap());
}

pub(super) fn get_after_put(engine: &Arc<dyn Engine>) {
    put(engine, "a", "1");
    put(engine, "b", "2");
    assert_eq!(get(engine, b"a"), Some("1".into()));
    put(engine, "a", "3");
    assert_eq!(get(engine, b"a"), Some("3".into()));
    assert_eq!(get(engine, b"b"), Some("2".into()));
    engine.write(deleting("a"), Durability::Never).unwrap();
    assert_eq!(get(engine, b"a"), None);
    put(engine, "a", "4");
    assert_eq!(get(engine, b"a"), Some("4".into()));
}

pub(super) fn absent_keys(engine: &Arc<dyn Engine>) {
    let mut checked = Checked::new(engine);
    checked.write(batch(|batch| {
        batch.put(Cf::Default, "b", "1").delete(Cf::Default, "a").delete(Cf::Lock, "b");
    }));
    checked.check();
    for key in ["a", "", "bb", "c"] {
        assert_eq!(get(engine, key.as_bytes()), None, "{key}");
        assert_eq!(engine.view().unwrap().get(Cf::Default, key.as_bytes()).unwrap(), None);
    }
}

pub(super) fn column_families_are_apart(engine: &Arc<dyn Engine>) {
    let mut checked = Checked::new(engine);
    for cf in Cf::ALL {
        checked.write(batch(|batch| {
            batch.put(cf, "key", cf.name()).put(cf, cf.name(), "own");
        }));
    }
    checked.check();
    checked.write(batch(|batch| {
        batch.delete(Cf::Lock, "key");
    }));
    checked.check();
    assert_eq!(engine.get(Cf::Lock, b"key").unwrap(), None);
    checked.write(batch(|batch| {
        batch.delete_range(Cf::Write, Range::all());
    }));
    checked.check();
    assert_eq!(engine.get(Cf::Raft, b"key").unwrap(), Some("raft".into()));
}

pub(super) fn later_writes_of_a_batch_win(engine: &Arc<dyn Engine>) {
    let mut checked = Checked::new(engine);
    checked.write(batch(|batch| {
        batch.put(Cf::Default, "old1", "x").put(Cf::Default, "old2", "x");
        batch.put(Cf::Lock, "old1", "x");
    }));
    checked.write(batch(|batch| {
        let cf = Cf::Default;
        batch.put(cf, "a", "1").put(cf, "a", "2");
        batch.put(cf, "b", "1").delete(cf, "b");
        batch.delete(cf, "c").put(cf, "c", "1");
        batch.put(cf, "d", "1").delete(cf, "d").put(cf, "d", "2");
        batch.put(cf, "e", "1").delete_range(cf, Range::new("e", "f"));
        batch.delete_range(cf, Range::new("f", "g")).put(cf, "f", "1");
        batch.put(cf, "g1", "1").put(cf, "g2", "1");
        batch.delete_range(cf, Range::new("g", "h")).put(cf, "g2", "2");
        batch.put(cf, "h", "1").delete_range(cf, Range::new("h", "h")).put(Cf::Lock, "h", "2");
        batch.delete_range(cf, Range::new("old", "old2")).delete_range(cf, Range::new("x", "a"));
    }));
    checked.check();
    for (key, value) in [("a", Some("2")), ("b", None), ("c", Some("1")), ("d", Some("2"))] {
        assert_eq!(get(engine, key.as_bytes()), value.map(Bytes::from), "{key}");
    }
    for (key, value) in [("e", None), ("f", Some("1")), ("g1", None), ("g2", Some("2"))] {
        assert_eq!(get(engine, key.as_bytes()), value.map(Bytes::from), "{key}");
    }
    for (key, value) in [("h", Some("1")), ("old1", None), ("old2", Some("x"))] {
        assert_eq!(get(engine, key.as_bytes()), value.map(Bytes::from), "{key}");
    }
    // A range without an end goes beyond all keys, also those that the batch itself set.
    checked.write(batch(|batch| {
        let cf = Cf::Default;
        let rest = Range { start: Bytes::from_static(b"y"), end: None };
        batch.put(cf, "y1", "1").put(cf, "z", "1").delete_range(cf, rest).put(cf, "y2", "2");
    }));
    checked.check();
    for (key, value) in [("h", Some("1")), ("y1", None), ("z", None), ("y2", Some("2"))] {
        assert_eq!(get(engine, key.as_bytes()), value.map(Bytes::from), "{key}");
    }
}

pub(super) fn an_empty_batch_is_fine(engine: &Arc<dyn Engine>) {
    for durability in [Durability::Always, Durability::Interval, Durability::Never] {
        engine.write(Batch::new(), durability).unwrap();
    }
    Model::default().check(&*engine.view().unwrap());
}

pub(super) fn every_durability_is_visible_at_once(engine: &Arc<dyn Engine>) {
    for (key, durability) in
        [("a", Durability::Always), ("b", Durability::Interval), ("c", Durability::Never)]
    {
        engine.write(putting(key, "1"), durability).unwrap();
        assert_eq!(get(engine, key.as_bytes()), Some("1".into()));
    }
    engine.flush().unwrap();
    assert_eq!(get(engine, b"a"), Some("1".into()));
}

pub(super) fn empty_keys_and_values(engine: &Arc<dyn Engine>) {
    let mut checked = Checked::new(engine);
    checked.write(batch(|batch| {
        batch.put(Cf::Default, "", "of the empty key").put(Cf::Default, "a", "");
        batch.put(Cf::Lock, "", "");
    }));
    checked.check();
    assert_eq!(get(engine, b""), Some("of the empty key".into()));
    assert_eq!(get(engine, b"a"), Some(Bytes::new()), "an empty value is a value");
    assert_eq!(engine.get(Cf::Lock, b"").unwrap(), Some(Bytes::new()));
    checked.write(deleting(""));
    checked.check();
    assert_eq!(get(engine, b""), None);
}

pub(super) fn binary_keys(engine: &Arc<dyn Engine>) {
    let mut checked = Checked::new(engine);
    for byte in 0..=255_u8 {
        checked.write(batch(|batch| {
            batch.put(Cf::Default, vec![byte], vec![byte; 3]);
            batch.put(Cf::Default, vec![byte, 0], vec![0, byte]);
            batch.put(Cf::Default, vec![0xFF, byte, 0xFF], "");
        }));
    }
    checked.check();
    checked.write(batch(|batch| {
        batch.delete(Cf::Default, vec![0]).delete(Cf::Default, vec![0xFF]);
        batch.delete(Cf::Default, vec![b'\n', 0]);
    }));
    checked.check();
}

pub(super) fn values_of_every_size(engine: &Arc<dyn Engine>) {
    let mut checked = Checked::new(engine);
    let mut random = Random::new(1);
    let mut sizes: Vec<usize> = (0..64).collect();
    for power in [7, 8, 9, 12, 13, 15, 16, 17] {
        sizes.extend([(1 << power) - 1, 1 << power, (1 << power) + 1]);
    }
    sizes.push(1 << 20);
    for size in sizes {
        let value: Vec<u8> = (0..size).map(|_| random.below(256) as u8).collect();
        checked.write(batch(|batch| {
            batch.put(Cf::Default, format!("size {size}"), value);
        }));
    }
    checked.check();
}

pub(super) fn large_keys(engine: &Arc<dyn Engine>) {
    let mut checked = Checked::new(engine);
    for size in [255, 256, 257, 1000, 4096] {
        checked.write(batch(|batch| {
            batch.put(Cf::Default, vec![b'k'; size], vec![b'v'; size]);
        }));
    }
    checked.check();
    assert_eq!(get(engine, &[b'k'; 258]), None);
}

pub(super) fn nowait_agrees(engine: &Arc<dyn Engine>) {
    put(engine, "a", "1");
    put(engine, "large", vec![7; 100_000]);
    for key in [&b"a"[..], b"large", b"none"] {
        match engine.get_nowait(Cf::Default, key).unwrap() {
            Lookup::Ready(answer) => assert_eq!(answer, get(engine, key)),
            Lookup::MayBlock => {}
        }
    }
}

pub(super) fn stats_are_sane(engine: &Arc<dyn Engine>) {
    let before = engine.stats();
    assert!(before.cfs.iter().all(|cf| cf.keys == 0), "{before:?}");
    for number in 0..100 {
        put(engine, format!("key {number}"), vec![1; 100]);
    }
    engine.flush().unwrap();
    let after = engine.stats();
    assert_eq!(after.batches - before.batches, 100);
    assert!(after.cfs[Cf::Default.index()].keys > 0, "{after:?}");
    assert_eq!(after.cfs[Cf::Lock.index()].keys, 0, "{after:?}");
    assert!(after.syncs >= before.syncs && after.written_bytes >= before.written_bytes);
    assert!(after.dead_bytes <= after.disk_bytes, "{after:?}");
}
