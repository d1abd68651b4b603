//! Views across merges, and what is left of them on the disk.

use std::sync::Arc;

use tinykv_engine::{Batch, Cf, Engine, Range};
use wal::{Fs, MemFs};

use crate::store::{Content, delete, open, put, write};

fn shared(fs: &MemFs) -> Arc<dyn Fs> {
    Arc::new(fs.clone())
}

/// What a view keeps from being merged away is not there again after a start.
#[test]
fn a_removed_key_that_a_view_needs_does_not_come_back() {
    let mut range = Batch::new();
    range.delete_range(Cf::Default, Range::new("a", "b"));
    for removal in [delete("a"), range, put("a", "new")] {
        let fs = MemFs::new();
        let engine = open(shared(&fs)).unwrap();
        write(&engine, &put("a", "old"));
        let view = engine.view().unwrap();
        let before = Content::read_view(&*view).unwrap();
        write(&engine, &removal);
        let now = Content::read(&engine).unwrap();
        for _ in 0..3 {
            engine.merge().unwrap();
            assert_eq!(Content::read_view(&*view).unwrap(), before);
            assert_eq!(Content::read(&engine).unwrap(), now);
            for state in fs.crash_states(20, 1).states {
                assert_eq!(Content::read(&open(shared(&state)).unwrap()).unwrap(), now);
            }
        }
        drop(view);
        engine.merge().unwrap();
        assert_eq!(Content::read(&engine).unwrap(), now);
        drop(engine);
        assert_eq!(Content::read(&open(shared(&fs)).unwrap()).unwrap(), now, "{removal:?}");
    }
}

/// A merge that a view leaves nothing to free is not begun again.
#[test]
fn merges_come_to_an_end_while_views_live() {
    let fs = MemFs::new();
    let engine = open(shared(&fs)).unwrap();
    let mut views = vec![engine.view().unwrap()];
    for round in 0..30_u8 {
        write(&engine, &put(format!("key {}", round % 3), vec![round; 500]));
        views.push(engine.view().unwrap());
    }
    while !views.is_empty() {
        let steps = (0..1_000).take_while(|_| engine.merge_step().unwrap()).count();
        assert!(steps < 1_000, "merging goes on with {} views", views.len());
        views.remove(views.len() / 2);
    }
    let _ = (0..1_000).take_while(|_| engine.merge_step().unwrap()).count();
    assert!(engine.stats().dead_bytes < 4_000, "{:?}", engine.stats());
}

/// Views of many moments, each merged over several times, each as it was.
#[test]
fn many_views_and_merges() {
    let fs = MemFs::new();
    let engine = open(shared(&fs)).unwrap();
    let mut views = Vec::new();
    for round in 0..40_u8 {
        let key = format!("key {}", round % 7);
        write(&engine, &if round % 3 == 2 { delete(key) } else { put(key, vec![round; 400]) });
        let view = engine.view().unwrap();
        views.push((Content::read_view(&*view).unwrap(), view));
        if round % 4 == 3 {
            engine.merge().unwrap();
        }
        if views.len() > 10 {
            views.remove(usize::from(round) % 10);
        }
        for (content, view) in &views {
            assert_eq!(Content::read_view(&**view).unwrap(), *content, "round {round}");
        }
    }
    let now = Content::read(&engine).unwrap();
    drop(views);
    drop(engine);
    assert_eq!(Content::read(&open(shared(&fs)).unwrap()).unwrap(), now);
}
