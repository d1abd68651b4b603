//! Stores whose disk comes back as it was once: from a backup, or because it lost what it had synced.
//! They have forgotten what they promised. Nobody can keep that from doing harm in every case, but
//! nobody goes on in silence: who finds out raises an alarm after which a store must stop.

mod support {
    pub(crate) mod machine;
    pub(crate) mod world;
}

use support::world::{Options, REGION, World};

/// Three stores, of which store 1 leads and all have a first value.
fn world(seed: u64) -> World {
    let mut world = World::new(Options::new(seed, 3));
    world.is_prompt = true;
    world.node_mut(1).store.campaign(REGION);
    world.until("store 1 leads", |world| world.leader() == Some(1));
    world.must_put("k", "old");
    world.settle();
    world
}

/// The leader counts on what the store acknowledged, and would never send that again: without a word
/// the store would stay behind for ever.
#[test]
fn a_follower_on_an_old_copy_finds_out_from_its_leader() {
    for seed in 0..10 {
        let mut world = world(seed);
        let copy = world.copy_disk(3);
        world.must_put("k", "new");
        world.settle();
        assert!(world.alarms.is_empty(), "SEED={seed}: {:?}", world.alarms);
        world.restart_on(3, copy);
        world.run(30);
        let said = world.alarms.iter().any(|it| it.contains("were acknowledged from here"));
        assert!(said, "SEED={seed}: {:?}", world.alarms);
        assert_eq!(world.leader(), Some(1), "SEED={seed}");
    }
}

/// The only other store that had what was committed is away, so the store on the old copy helps to
/// elect one that has not. When the third comes back it finds that what is committed is contradicted.
#[test]
fn a_store_finds_out_that_what_it_committed_is_contradicted() {
    for seed in 0..10 {
        let mut world = world(seed);
        let copy = world.copy_disk(1);
        world.partition(&[&[1, 2], &[3]]);
        for value in ["new", "newer", "newest"] {
            world.must_put("k", value);
        }
        world.run(10);
        let knows = world.local(2, "k").is_some_and(|value| value == "newest");
        assert!(knows, "SEED={seed}: store 2 knows what is committed");
        world.stop(2);
        world.restart_on(1, copy);
        world.heal();
        world.must_put("other", "value");
        assert!(world.alarms.is_empty(), "SEED={seed}: {:?}", world.alarms);
        world.start(2);
        world.run(100);
        let said = world.alarms.iter().any(|it| it.contains("contradicts the committed log"));
        assert!(said, "SEED={seed}: {:?}", world.alarms);
    }
}
