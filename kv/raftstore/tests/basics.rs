//! A region on three stores: what it must do when nothing much goes wrong.

mod support {
    pub(crate) mod machine;
    pub(crate) mod world;
}

use bytes::Bytes;
use proto::peer::{Epoch, RegionError};
use support::machine::Op;
use support::world::{Options, Outcome, REGION, World};

fn put(key: &str, value: &str) -> Op {
    Op::Put(Bytes::copy_from_slice(key.as_bytes()), Bytes::copy_from_slice(value.as_bytes()))
}

#[test]
fn a_put_is_read_back_and_reaches_all() {
    for seed in 0..20 {
        let mut world = World::new(Options::new(seed, 3));
        world.must_put("k", "v");
        assert_eq!(world.must_get("k"), "v");
        world.settle();
        for id in world.ids() {
            assert_eq!(world.local(id, "k").unwrap(), "v");
        }
        assert!(world.alarms.is_empty(), "{:?}", world.alarms);
    }
}

#[test]
fn a_store_alone_leads_at_once() {
    let mut world = World::new(Options::new(1, 1));
    world.node_mut(1).store.campaign(REGION);
    world.must_put("k", "v");
    assert_eq!(world.must_get("k"), "v");
}

#[test]
fn a_follower_names_the_leader() {
    let mut world = World::new(Options::new(3, 3));
    let leader = world.elect();
    world.must_put("k", "v");
    world.settle();
    let follower = world.ids().into_iter().find(|id| *id != leader).unwrap();
    let store = proto::peer::StoreId(leader);
    world.node_mut(follower).store.set_address(store, "there:1".to_owned());
    let tag = world.propose(follower, &put("k", "w"));
    let Outcome::Failed(RegionError::NotLeader { leader: Some(hint), .. }) = &world.outcomes[&tag]
    else {
        panic!("{:?}", world.outcomes[&tag]);
    };
    assert_eq!(hint.peer.store.0, leader);
    assert_eq!(hint.address.as_deref(), Some("there:1"));
}

#[test]
fn region_errors_say_what_is_wrong() {
    let mut world = World::new(Options {
        configure: |config| config.entry_bytes_max = 1000,
        ..Options::new(4, 3)
    });
    let leader = world.elect();
    world.must_put("k", "v");
    let old = Epoch { conf_ver: 1, version: 0 };
    let tag = world.propose_at(leader, &put("k", "w"), old);
    assert!(matches!(
        &world.outcomes[&tag],
        Outcome::Failed(RegionError::EpochNotMatch { current }) if current[0].id == REGION
    ));
    let large = "x".repeat(2000);
    let tag = world.propose(leader, &put("k", &large));
    assert!(matches!(
        world.outcomes[&tag],
        Outcome::Failed(RegionError::RaftEntryTooLarge { limit: 1000, .. })
    ));
    world.node_mut(leader).store.refuse_writes(Some("the disk is full".to_owned()));
    let tag = world.propose(leader, &put("k", "w"));
    assert!(matches!(
        &world.outcomes[&tag],
        Outcome::Failed(RegionError::ServerIsBusy { reason }) if reason == "the disk is full"
    ));
    world.node_mut(leader).store.refuse_writes(None);
    world.must_put("k", "w");
}

#[test]
fn keys_outside_of_the_region_are_refused() {
    let mut world = World::new(Options { range: ("b", "m"), ..Options::new(6, 3) });
    world.must_put("c", "v");
    let leader = world.elect();
    for key in ["a", "m", "z"] {
        let write = world.propose(leader, &put(key, "v"));
        let read = world.read(leader, &Bytes::copy_from_slice(key.as_bytes()));
        for tag in [write, read] {
            world.until("it is answered", |world| world.outcomes.contains_key(&tag));
            let outcome = &world.outcomes[&tag];
            assert!(
                matches!(
                    outcome,
                    Outcome::Failed(RegionError::KeyNotInRegion { region, .. })
                        if region.id == REGION
                ),
                "{key}: {outcome:?}"
            );
        }
        assert!(world.node(leader).store.region_of(key.as_bytes()).is_none());
    }
    assert_eq!(world.node(leader).store.region_of(b"c").map(|it| it.id), Some(REGION));
}

#[test]
fn what_is_cut_off_is_unknown_after_its_deadline_and_reads_fail() {
    let mut world = World::new(Options::new(5, 3));
    let leader = world.elect();
    world.must_put("k", "v");
    world.partition(&[&[leader]]);
    let write = world.propose(leader, &put("k", "w"));
    let read = world.read(leader, &Bytes::from_static(b"k"));
    world.run(60);
    assert!(matches!(
        world.outcomes[&write],
        Outcome::Failed(RegionError::Undetermined { .. } | RegionError::StaleCommand)
    ));
    assert!(matches!(
        world.outcomes[&read],
        Outcome::Failed(RegionError::NotLeader { .. } | RegionError::DeadlineExceeded)
    ));
    world.heal();
    world.must_put("k", "x");
    world.settle();
    assert_eq!(world.must_get("k"), "x");
}

#[test]
fn stores_that_crash_together_keep_what_was_acknowledged() {
    for seed in 0..20 {
        let mut world = World::new(Options::new(seed, 3));
        for round in 0..4 {
            for key in 0..5 {
                world.must_put(&format!("{round}-{key}"), "v");
            }
            for id in world.ids() {
                world.crash(id);
            }
            for id in world.ids() {
                world.start(id);
            }
            for old in 0..=round {
                for key in 0..5 {
                    assert_eq!(world.must_get(&format!("{old}-{key}")), "v", "SEED={seed}");
                }
            }
        }
    }
}
