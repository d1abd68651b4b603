//! What only the index itself can show: splits, versions that go, frozen pages.

use std::collections::BTreeMap;

use super::*;

fn key(i: u64) -> Vec<u8> {
    format!("key{i:06}").into_bytes()
}

fn put(index: &Index<u64>, keys: &[Vec<u8>], value: Option<u64>) {
    let mut keys = keys.to_vec();
    keys.sort();
    keys.dedup();
    let changes: Vec<Change<'_, u64>> = keys.iter().map(|key| Change { key, value }).collect();
    let seq = index.visible() + 1;
    let mut writer = index.write();
    writer.apply(Cf::Default, &changes, seq, |_, _, _| {});
    writer.publish(seq);
}

fn all(index: &Index<u64>, seq: u64, way: Direction) -> Vec<(Vec<u8>, u64)> {
    let mut cursor = index.cursor(Cf::Default, seq, Range::all(), way);
    std::iter::from_fn(|| cursor.next(|key, _, value| (key.to_vec(), *value))).collect()
}

/// A small generator: the tests need spread, not quality.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

#[test]
fn agrees_with_a_map_through_splits_removals_and_views() {
    for seed in 0..4 {
        let mut state = seed;
        let index = Arc::new(Index::new());
        let mut model = BTreeMap::new();
        let mut views = Vec::new();
        for round in 0..1500 {
            let count = 1 + random(&mut state) % 40;
            let span = if seed % 2 == 0 { 20_000 } else { 300 };
            let keys: Vec<_> = (0..count).map(|_| key(random(&mut state) % span)).collect();
            let value = (!random(&mut state).is_multiple_of(3)).then_some(round);
            put(&index, &keys, value);
            for key in keys {
                match value {
                    Some(value) => model.insert(key, value),
                    None => model.remove(&key),
                };
            }
            if round % 97 == 0 {
                views.push((index.view(), model.clone()));
            }
            if views.len() > 5 {
                views.remove((random(&mut state) % 5) as usize);
            }
        }
        views.push((index.view(), model));
        for (view, model) in &views {
            let forward: Vec<_> = model.iter().map(|(k, v)| (k.clone(), *v)).collect();
            assert_eq!(all(&index, view.seq, Direction::Forward), forward, "seed {seed}");
            let backward: Vec<_> = forward.into_iter().rev().collect();
            assert_eq!(all(&index, view.seq, Direction::Backward), backward, "seed {seed}");
            for i in 0..300 {
                let found = index.get_at(Cf::Default, &key(i), view.seq).map(|(_, value)| value);
                assert_eq!(found, model.get(&key(i)).copied(), "seed {seed}");
            }
        }
    }
}

#[test]
fn ascending_keys_fill_leaves() {
    let index = Index::new();
    for i in 0..100_000 {
        put(&index, &[key(i)], Some(i));
    }
    let root = index.tree(Cf::Default).root();
    let leaves: usize = (0..root.len()).map(|i| root.child(i).page.load().len()).sum();
    let full = 100_000 / leaf::LEAF_KEYS_MAX;
    assert!(leaves < full * 16 / 15, "{leaves} leaves for what fits into {full}");
}

#[test]
fn a_hot_key_keeps_only_the_versions_that_views_need() {
    let index = Arc::new(Index::new());
    put(&index, &[key(1)], Some(0));
    let view = index.view();
    for i in 1..1000 {
        put(&index, &[key(1)], Some(i));
    }
    let count = || index.tree(Cf::Default).with_leaf(&key(1), |leaf| leaf.versions(0).count());
    assert_eq!(count(), 3, "one for the view, the visible one, and the one before it");
    assert_eq!(index.get_at(Cf::Default, &key(1), view.seq), Some((1, 0)));
    drop(view);
    put(&index, &[key(1)], Some(1000));
    assert_eq!(count(), 2);
}

#[test]
fn a_removed_key_leaves_nothing_behind() {
    let index = Index::new();
    let keys: Vec<_> = (0..1000).map(key).collect();
    put(&index, &keys, Some(1));
    put(&index, &keys, None);
    put(&index, &[key(0)], Some(2));
    put(&index, &keys[1..], None);
    let versions = |i| index.tree(Cf::Default).with_leaf(&key(i), |leaf| leaf.search(&key(i)));
    assert!(versions(0).is_ok());
    assert!((1..1000).all(|i| versions(i).is_err()));
}

#[test]
fn a_range_is_removed_across_leaves_and_counts_its_keys() {
    let index = Arc::new(Index::new());
    let keys: Vec<_> = (0..1000).map(key).collect();
    put(&index, &keys, Some(1));
    let before = index.view();
    let mut removed = 0;
    let mut writer = index.write();
    let range = Range::new(key(100), key(900));
    writer.delete_range(Cf::Default, &range, 2, |_, before, _| {
        removed += usize::from(before.is_some());
    });
    writer.publish(2);
    assert_eq!(removed, 800);
    assert_eq!(all(&index, 2, Direction::Forward).len(), 200);
    assert_eq!(all(&index, before.seq, Direction::Forward).len(), 1000);
}

#[test]
fn a_relocated_version_keeps_its_place_in_time() {
    let index = Arc::new(Index::new());
    put(&index, &[key(1)], Some(10));
    let view = index.view();
    put(&index, &[key(1)], Some(20));
    let k = key(1);
    let mut results = Vec::new();
    for (seq, from, to) in [(1, 10, 11), (1, 10, 12), (2, 20, 21), (2, 20, 22)] {
        let moves = [Move { key: &k, seq, from, to }];
        index.write().relocate(Cf::Default, &moves, |_, newest| results.push(newest));
    }
    assert_eq!(results, [false, false, true, false], "only the newest version counts as live");
    assert_eq!(index.get_at(Cf::Default, &k, view.seq), Some((1, 11)));
    assert_eq!(index.get(Cf::Default, &k), Some((2, 21)));
}

#[test]
fn a_key_never_vanishes_while_its_leaf_is_split() {
    let index = Arc::new(Index::new());
    put(&index, &[key(5000)], Some(0));
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for i in 0..10_000 {
                put(&index, &[key(i * 7919 % 10_007), key(5000)], Some(i));
            }
        });
        let mut last = 0;
        while !writer.is_finished() {
            let (_, value) = index.get(Cf::Default, &key(5000)).expect("the key is always there");
            assert!(value >= last, "a read went back in time");
            last = value;
        }
    });
}

#[test]
fn more_views_than_a_block_holds() {
    let index = Arc::new(Index::new());
    let mut views = Vec::new();
    for i in 0..200 {
        put(&index, &[key(0)], Some(i));
        views.push(index.view());
    }
    for (i, view) in views.iter().enumerate() {
        let found = index.get_at(Cf::Default, &key(0), view.seq).map(|(_, value)| value);
        assert_eq!(found, Some(i as u64));
    }
    drop(views);
    assert_eq!(index.horizon().oldest(), index.visible());
}

#[test]
fn a_version_is_needed_by_the_first_reader_at_or_after_it() {
    let horizon = Horizon::at(10);
    let mut needed = horizon.needed();
    assert_eq!([12, 9, 8].map(|seq| needed.is_needed(seq)), [true, true, false]);
}

#[test]
fn a_search_agrees_with_a_sorted_list() {
    let mut state = 7;
    for round in 0..300 {
        let prefix = &b"a common part"[..round % 14];
        let random_key = |state: &mut u64| {
            let len = random(state) % 7;
            let tail = (0..len).map(|_| [0, 1, b'a', 255][(random(state) % 4) as usize]);
            prefix.iter().copied().chain(tail).collect::<Vec<u8>>()
        };
        let mut sorted: Vec<_> =
            (0..random(&mut state) % 60).map(|_| random_key(&mut state)).collect();
        sorted.sort();
        sorted.dedup();
        let mut builder = keys::KeysBuilder::with_capacity(0, 0);
        sorted.iter().for_each(|key| builder.push(key));
        let keys = builder.finish();
        for _ in 0..100 {
            let mut key = random_key(&mut state);
            if random(&mut state).is_multiple_of(4) {
                key = key[..(random(&mut state) as usize) % (key.len() + 1)].to_vec();
            }
            assert_eq!(keys.search(&key), sorted.binary_search(&key), "{key:?} in {sorted:?}");
        }
        assert!(sorted.iter().enumerate().all(|(i, key)| keys.get(i) == key));
    }
}
