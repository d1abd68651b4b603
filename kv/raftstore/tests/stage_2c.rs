//! 2c: the log is cut off, and who is far behind gets a snapshot

mod support {
    pub(crate) mod clients;
    pub(crate) mod generic;
    pub(crate) mod machine;
    pub(crate) mod world;
}

use bytes::Bytes;
use support::generic::{Scenario, run};
use support::machine::Op;
use support::world::{Options, REGION, World};

const CUT: Scenario = Scenario {
    clients: 5,
    unreliable: false,
    crash: false,
    partitions: false,
    log_max: Some(100),
    lease: false,
};

#[test]
fn one_snapshot() {
    for seed in 0..10 {
        let mut world = World::new(Options {
            configure: |config| config.log_entries_max = 10,
            ..Options::new(seed, 3)
        });
        world.must_put("k1", "v1");
        world.must_put("k2", "v2");
        world.settle();
        let truncated = |world: &World, id: u64| {
            world.node(id).store.status(REGION).expect("it has the region").truncated.index.0
        };
        for id in world.ids() {
            assert_eq!(truncated(&world, id), 5, "nothing is cut off yet");
        }
        let far = world.ids().into_iter().find(|id| Some(*id) != world.leader());
        let far = far.expect("one of three does not lead");
        let others: Vec<u64> = world.ids().into_iter().filter(|id| *id != far).collect();
        world.partition(&[&[far], &others]);
        for key in 100..115 {
            world.must_put(&format!("k{key}"), "v");
        }
        world.must(&Op::Delete(Bytes::from_static(b"k2")));
        // By now the log lacks what the far one needs.
        world.must_put("k115", "v");
        world.run(20);
        for key in 200..215 {
            world.must_put(&format!("k{key}"), "v");
        }
        world.run(20);
        assert_eq!(world.local(far, "k100"), None);
        let leader = world.elect();
        let has = world.node(far).store.status(REGION).expect("it has the region").last.index.0;
        assert!(truncated(&world, leader) > has, "the leader's log lacks what is needed");
        world.heal();
        world.settle();
        assert_eq!(world.local(far, "k1").expect("it was there"), "v1");
        assert_eq!(world.local(far, "k100").expect("it came"), "v");
        assert_eq!(world.local(far, "k2"), None, "only a snapshot removes it");
        assert!(world.node(far).store.metrics().snapshots_installed >= 1);
        world.crash(far);
        world.start(far);
        world.settle();
        assert_eq!(world.local(far, "k1").expect("it stays"), "v1");
        assert_eq!(world.local(far, "k2"), None);
        for id in world.ids() {
            let status = world.node(id).store.status(REGION).expect("it has the region");
            assert!(status.applied.index.0 - status.truncated.index.0 <= 20);
        }
    }
}

#[test]
fn a_damaged_chunk_is_never_installed() {
    for seed in 0..10 {
        let mut world = World::new(Options {
            configure: |config| config.log_entries_max = 10,
            damage: 20,
            ..Options::new(seed, 3)
        });
        let leader = world.elect();
        let far = world.ids().into_iter().find(|id| *id != leader).expect("one follows");
        let others: Vec<u64> = world.ids().into_iter().filter(|id| *id != far).collect();
        world.partition(&[&[far], &others]);
        for key in 0..40 {
            world.must_put(&format!("k{key}"), &format!("value {key}"));
        }
        world.run(20);
        world.heal();
        world.settle();
        for key in 0..40 {
            let value = world.local(far, &format!("k{key}")).expect("it came");
            assert_eq!(value, format!("value {key}"), "SEED={seed}");
        }
        assert!(world.node(far).store.metrics().snapshots_installed >= 1);
    }
}

#[test]
fn snapshot_recover() {
    run(Scenario { clients: 1, crash: true, ..CUT });
}

#[test]
fn snapshot_recover_many_clients() {
    run(Scenario { clients: 20, crash: true, ..CUT });
}

#[test]
fn snapshot_unreliable() {
    run(Scenario { unreliable: true, ..CUT });
}

#[test]
fn snapshot_unreliable_recover() {
    run(Scenario { unreliable: true, crash: true, ..CUT });
}

#[test]
fn snapshot_unreliable_recover_concurrent_partition() {
    run(Scenario { unreliable: true, crash: true, partitions: true, ..CUT });
}
