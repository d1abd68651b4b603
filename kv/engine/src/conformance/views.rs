//! Views: what they show never changes, whatever happens to the engine.

use std::sync::Arc;

use super::{Checked, Random, batch, deleting, deleting_range, putting};
use crate::{Batch, Cf, Direction, Engine, Range};

/// Ways to change everything.
fn changes() -> [(&'static str, Batch); 4] {
    [
        ("put", putting("k3", "changed")),
        ("delete", deleting("k2")),
        ("delete range", deleting_range(Range::all())),
        ("put again", putting("k2", "back")),
    ]
}

fn filled(engine: &Arc<dyn Engine>) -> Checked {
    let mut checked = Checked::new(engine);
    checked.write(batch(|batch| {
        for number in 0..10 {
            batch.put(Cf::Default, format!("k{number}"), format!("value {number}"));
            batch.put(Cf::Lock, format!("k{number}"), "");
        }
    }));
    checked
}

pub(super) fn views_do_not_change(engine: &Arc<dyn Engine>) {
    let mut checked = filled(engine);
    let view = engine.view().unwrap();
    let before = checked.model.clone();
    for (_, change) in changes() {
        checked.write(change);
        before.check(&*view);
        checked.check();
    }
    engine.flush().unwrap();
    before.check(&*view);
}

pub(super) fn views_outlive_merges(engine: &Arc<dyn Engine>) {
    let mut checked = filled(engine);
    for (name, change) in changes() {
        let view = engine.view().unwrap();
        let before = checked.model.clone();
        checked.write(change);
        engine.merge().unwrap();
        engine.merge().unwrap();
        before.check(&*view);
        checked.check();
        drop(view);
        engine.merge().unwrap();
        checked.check();
        assert_eq!(
            engine.get(Cf::Default, b"k3").unwrap().is_some(),
            !name.starts_with("delete range") && name != "put again"
        );
    }
}

pub(super) fn views_of_every_age(engine: &Arc<dyn Engine>) {
    let mut checked = Checked::new(engine);
    let mut random = Random::new(3);
    let mut views = Vec::new();
    for round in 0..60 {
        views.push((engine.view().unwrap(), checked.model.clone()));
        checked.write(random.batch());
        if round % 20 == 19 {
            engine.merge().unwrap();
        }
        if views.len() > 8 {
            let (view, model) = views.swap_remove(random.below(views.len() as u64) as usize);
            model.check(&*view);
        }
    }
    for (view, model) in &views {
        model.check(&**view);
    }
}

pub(super) fn iterators_do_not_see_later_writes(engine: &Arc<dyn Engine>) {
    for direction in [Direction::Forward, Direction::Backward] {
        let mut checked = filled(engine);
        let view = engine.view().unwrap();
        let mut wanted = checked.model.range(Cf::Default, &Range::all());
        if direction == Direction::Backward {
            wanted.reverse();
        }
        let mut iter = view.iter(Cf::Default, Range::all(), direction);
        let mut keys = view.keys(Cf::Default, Range::all(), direction);
        for (number, pair) in wanted.into_iter().enumerate() {
            assert_eq!(keys.next().unwrap().unwrap(), pair.0);
            assert_eq!(iter.next().unwrap().unwrap(), pair);
            checked.write(match number {
                2 => putting("k50", "between"),
                3 => deleting("k6"),
                4 => deleting_range(Range::all()),
                _ => putting("k4", format!("new {number}")),
            });
            if number == 6 {
                engine.merge().unwrap();
            }
        }
        assert!(iter.next().is_none() && keys.next().is_none());
        checked.write(batch(|batch| {
            batch.delete_range(Cf::Default, Range::all());
        }));
    }
}

pub(super) fn merge_keeps_all(engine: &Arc<dyn Engine>) {
    let mut checked = filled(engine);
    for round in 0..5 {
        checked.write(batch(|batch| {
            for number in 0..200 {
                let value = format!("{round} {number}").repeat(20);
                batch.put(Cf::Default, format!("m{number:03}"), value);
            }
            batch.delete_range(Cf::Default, Range::new("m050", format!("m{:03}", 60 + round)));
            batch.delete(Cf::Lock, format!("k{round}"));
        }));
        engine.merge().unwrap();
        checked.check();
    }
    checked.write(batch(|batch| {
        for cf in Cf::ALL {
            batch.delete_range(cf, Range::all());
        }
    }));
    engine.merge().unwrap();
    checked.check();
}

pub(super) fn random_operations(engine: &Arc<dyn Engine>) {
    for seed in 0..3 {
        let mut checked = Checked::new(engine);
        checked.write(batch(|batch| {
            for cf in Cf::ALL {
                batch.delete_range(cf, Range::all());
            }
        }));
        let mut random = Random::new(100 + seed);
        for step in 0..300 {
            checked.write(random.batch());
            if step % 60 == 0 {
                checked.check();
            }
            if step % 100 == 50 {
                engine.merge().unwrap();
            }
        }
        checked.check();
    }
}
