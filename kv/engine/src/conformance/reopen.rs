//! What is there after closing and opening.

use super::{Checked, Open, Random, batch, deleting, deleting_range, get, putting};
use crate::{Cf, Durability, Range};

fn new(open: &Open) -> Checked {
    Checked::new(&open())
}

/// Closes the engine, and only then opens it again.
fn reopen(checked: Checked, open: &Open) -> Checked {
    let Checked { engine, model } = checked;
    drop(engine);
    let checked = Checked { engine: open(), model };
    checked.check();
    checked
}

pub(super) fn everything_survives(open: &Open) {
    let mut checked = reopen(new(open), open);
    checked.write(batch(|batch| {
        for cf in Cf::ALL {
            batch.put(cf, "", "of the empty key").put(cf, "empty", "").put(cf, "name", cf.name());
            batch.put(cf, vec![0, 0xFF, b'\n'], vec![0xFF; 300]);
        }
        batch.put(Cf::Default, "large", vec![1; 300_000]);
    }));
    for durability in [Durability::Always, Durability::Interval, Durability::Never] {
        let write = putting(format!("{durability:?}"), "1");
        checked.model.apply(&write);
        checked.engine.write(write, durability).unwrap();
    }
    checked = reopen(checked, open);
    checked = reopen(checked, open);
    checked.write(putting("after", "2"));
    checked.engine.flush().unwrap();
    checked = reopen(checked, open);
    assert!(checked.engine.stats().cfs[Cf::Lock.index()].keys > 0);
}

pub(super) fn removed_keys_stay_removed(open: &Open) {
    let mut checked = new(open);
    checked.write(putting("a", "1"));
    checked.write(putting("b", "1"));
    checked.write(deleting("a"));
    checked = reopen(checked, open);
    assert_eq!(get(&checked.engine, b"a"), None);
    checked.write(deleting("b"));
    checked = reopen(checked, open);
    assert_eq!(get(&checked.engine, b"b"), None);
    checked.engine.merge().unwrap();
    checked = reopen(checked, open);
    checked.write(putting("a", "2"));
    checked.engine.merge().unwrap();
    checked.write(deleting("a"));
    checked = reopen(checked, open);
    checked.engine.merge().unwrap();
    checked = reopen(checked, open);
    assert_eq!(get(&checked.engine, b"a"), None);
}

pub(super) fn overwritten_after_reopening(open: &Open) {
    let mut checked = new(open);
    for round in 0..6 {
        checked.write(putting("a", format!("{round}")));
        checked.write(putting("b", format!("{round}").repeat(round)));
        checked.write(batch(|batch| {
            batch.put(Cf::Write, "a", format!("{round}")).put(Cf::Write, "a", "newest");
        }));
        if round % 3 == 2 {
            checked.engine.merge().unwrap();
        }
        checked = reopen(checked, open);
    }
}

pub(super) fn range_deletes_survive(open: &Open) {
    let mut checked = new(open);
    checked.write(batch(|batch| {
        for number in 0..100 {
            batch.put(Cf::Default, format!("{number:02}"), "1").put(Cf::Lock, "10", "1");
        }
    }));
    checked.write(deleting_range(Range::new("10", "90")));
    checked.write(putting("50", "2"));
    checked = reopen(checked, open);
    checked.engine.merge().unwrap();
    checked = reopen(checked, open);
    checked.write(putting("10", "3"));
    checked.write(deleting_range(Range { start: "95".into(), end: None }));
    checked = reopen(checked, open);
    checked.write(deleting_range(Range::all()));
    checked = reopen(checked, open);
    checked.engine.merge().unwrap();
    checked = reopen(checked, open);
    assert_eq!(get(&checked.engine, b"10"), None);
}

pub(super) fn merged_data_survives(open: &Open) {
    let mut checked = new(open);
    for round in 0..4 {
        checked.write(batch(|batch| {
            for number in 0..100 {
                let value = format!("{round} {number}").repeat(30);
                batch.put(Cf::Default, format!("{:03}", number * (round + 1)), value);
            }
        }));
        checked.write(deleting(format!("{round:03}")));
        checked.engine.merge().unwrap();
        checked = reopen(checked, open);
        checked.engine.merge().unwrap();
        checked.check();
    }
    checked = reopen(checked, open);
    checked.check();
}

pub(super) fn random_operations_and_reopening(open: &Open) {
    for seed in 0..2 {
        let mut checked = new(open);
        checked.write(batch(|batch| {
            for cf in Cf::ALL {
                batch.delete_range(cf, Range::all());
            }
        }));
        let mut random = Random::new(200 + seed);
        for step in 0..200 {
            checked.write(random.batch());
            if step % 40 == 39 {
                checked.engine.merge().unwrap();
            }
            if step % 25 == 24 {
                checked = reopen(checked, open);
            }
        }
    }
}
