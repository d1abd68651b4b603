//! Ranges: iteration and range deletes, with every kind of bound.

use std::sync::Arc;

use bytes::Bytes;

use super::{Checked, Random, batch, deleting_range, pairs, putting};
use crate::{Cf, Direction, Engine, Range};

/// Keys that are easily mistaken for each other: prefixes, neighbours, the smallest, large ones.
const KEYS: [&[u8]; 10] =
    [b"", b"\0", b"a", b"a\0", b"a\xFF", b"ab", b"b", b"\xFE\xFF", b"\xFF", b"\xFF\xFF"];

/// Bounds that are keys, and bounds between them.
const BOUNDS: [&[u8]; 14] = [
    b"",
    b"\0",
    b"\0\0",
    b"Z",
    b"a",
    b"a\0",
    b"a\0\0",
    b"a\xFF",
    b"ab",
    b"b",
    b"c",
    b"\xFF",
    b"\xFF\xFF",
    b"\xFF\xFF\xFF",
];

/// Every range with these bounds, empty and inverted ones included.
fn every_range() -> impl Iterator<Item = Range> {
    BOUNDS.iter().flat_map(|start| {
        let start = Bytes::from_static(start);
        let to_the_end = Range { start: start.clone(), end: None };
        let bounded = BOUNDS.iter().map(move |end| Range::new(start.clone(), *end));
        bounded.chain([to_the_end])
    })
}

fn filled(engine: &Arc<dyn Engine>) -> Checked {
    let mut checked = Checked::new(engine);
    checked.write(batch(|batch| {
        for key in KEYS {
            batch.put(Cf::Default, key, [key, b" value"].concat());
            batch.put(Cf::Write, key, "");
        }
    }));
    checked
}

pub(super) fn iteration_bounds(engine: &Arc<dyn Engine>) {
    let mut checked = filled(engine);
    for _ in 0..2 {
        let view = engine.view().unwrap();
        for range in every_range() {
            checked.model.check_range(&*view, Cf::Default, &range);
            checked.model.check_range(&*view, Cf::Lock, &range);
        }
        checked.write(batch(|batch| {
            batch.delete(Cf::Default, "").delete(Cf::Default, "a\0");
            batch.delete(Cf::Default, &b"\xFF\xFF"[..]);
        }));
    }
}

pub(super) fn iterators_are_independent(engine: &Arc<dyn Engine>) {
    let checked = filled(engine);
    let view = engine.view().unwrap();
    let mut forward = view.iter(Cf::Default, Range::all(), Direction::Forward);
    let mut backward = view.iter(Cf::Default, Range::all(), Direction::Backward);
    let mut keys = view.keys(Cf::Write, Range::all(), Direction::Forward);
    let wanted = checked.model.range(Cf::Default, &Range::all());
    for (pair, mirrored) in wanted.iter().zip(wanted.iter().rev()) {
        assert_eq!(&forward.next().unwrap().unwrap(), pair);
        assert_eq!(&backward.next().unwrap().unwrap(), mirrored);
        assert_eq!(keys.next().unwrap().unwrap(), pair.0);
        drop(view.iter(Cf::Default, Range::all(), Direction::Backward).next());
    }
    assert!(forward.next().is_none() && backward.next().is_none() && keys.next().is_none());
    assert!(forward.next().is_none(), "the end stays the end");
}

pub(super) fn range_delete_bounds(engine: &Arc<dyn Engine>) {
    for range in every_range() {
        let mut checked = filled(engine);
        checked.write(deleting_range(range.clone()));
        checked.model.check(&*engine.view().unwrap());
        for key in KEYS {
            let left = engine.get(Cf::Default, key).unwrap().is_some();
            assert_eq!(left, !range.contains(key), "{key:?} after deleting {range:?}");
        }
    }
}

pub(super) fn range_delete_and_later_puts(engine: &Arc<dyn Engine>) {
    let mut checked = filled(engine);
    checked.write(deleting_range(Range::new("a", "b")));
    checked.write(batch(|batch| {
        batch.put(Cf::Default, "a\0", "again").put(Cf::Default, "aa", "new");
    }));
    checked.check();
    engine.merge().unwrap();
    checked.check();
    checked.write(deleting_range(Range::all()));
    checked.check();
    engine.merge().unwrap();
    checked.check();
    checked.write(putting("a", "back"));
    checked.check();
}

pub(super) fn range_delete_of_many_keys(engine: &Arc<dyn Engine>) {
    let mut checked = Checked::new(engine);
    checked.write(batch(|batch| {
        for number in 0..3000 {
            batch.put(Cf::Default, format!("{number:04}"), "value");
        }
    }));
    checked.write(batch(|batch| {
        batch.delete_range(Cf::Default, Range::new("0500", "2500"));
        batch.put(Cf::Default, "1000", "kept");
    }));
    checked.check();
    let left =
        pairs(&*engine.view().unwrap(), Cf::Default, &Range::new("05", "25"), Direction::Forward);
    assert_eq!(left, [("1000".into(), "kept".into())]);
}

pub(super) fn many_keys_in_order(engine: &Arc<dyn Engine>) {
    let mut checked = Checked::new(engine);
    let mut random = Random::new(2);
    for round in 0..40 {
        checked.write(batch(|batch| {
            for _ in 0..100 {
                let key = format!("{:06}", random.below(5000));
                if random.below(4) == 0 {
                    batch.delete(Cf::Default, key);
                } else {
                    batch.put(Cf::Default, key, format!("round {round}"));
                }
            }
        }));
    }
    checked.check();
    for _ in 0..20 {
        let bound = |random: &mut Random| format!("{:06}", random.below(5000));
        let range = Range::new(bound(&mut random), bound(&mut random));
        checked.model.check_range(&*engine.view().unwrap(), Cf::Default, &range);
    }
}
