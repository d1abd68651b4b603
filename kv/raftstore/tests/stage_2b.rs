//! 2b: one region on several stores

mod support {
    pub(crate) mod clients;
    pub(crate) mod generic;
    pub(crate) mod machine;
    pub(crate) mod world;
}

use support::generic::{Scenario, run};
use support::world::{Options, World};

#[test]
fn basic() {
    run(Scenario { clients: 1, ..Scenario::default() });
}

#[test]
fn concurrent() {
    run(Scenario { clients: 5, ..Scenario::default() });
}

#[test]
fn unreliable() {
    run(Scenario { clients: 5, unreliable: true, ..Scenario::default() });
}

#[test]
fn one_partition() {
    let mut world = World::new(Options::new(1, 5));
    let leader = world.elect();
    let others: Vec<u64> = world.ids().into_iter().filter(|id| *id != leader).collect();
    let (majority, minority) = ([leader, others[0], others[1]], [others[2], others[3]]);
    world.settle();

    // The leader is in the majority.
    world.partition(&[&majority, &minority]);
    world.must_put("k1", "v1");
    assert_eq!(world.must_get("k1"), "v1");
    for id in minority {
        assert_eq!(world.local(id, "k1"), None);
    }
    world.heal();
    world.settle();

    // The leader is in the minority.
    let leader = world.elect();
    let others: Vec<u64> = world.ids().into_iter().filter(|id| *id != leader).collect();
    let (minority, majority) = ([leader, others[0]], [others[1], others[2], others[3]]);
    world.partition(&[&minority, &majority]);
    world.until("the majority elects", |world| {
        world.leader().is_some_and(|leader| majority.contains(&leader))
    });
    assert_eq!(world.must_get("k1"), "v1");
    world.must_put("k1", "changed");
    assert_eq!(world.must_get("k1"), "changed");
    for id in minority {
        assert_eq!(world.local(id, "k1").expect("it had this"), "v1");
    }
    world.heal();
    world.must_put("k2", "v2");
    world.settle();
    assert_eq!(world.local(leader, "k1").expect("it is back"), "changed");
    assert_eq!(world.local(leader, "k2").expect("it is back"), "v2");
}

#[test]
fn many_partitions_one_client() {
    run(Scenario { clients: 1, partitions: true, ..Scenario::default() });
}

#[test]
fn many_partitions_many_clients() {
    run(Scenario { clients: 5, partitions: true, ..Scenario::default() });
}

#[test]
fn persist_one_client() {
    run(Scenario { clients: 1, crash: true, ..Scenario::default() });
}

#[test]
fn persist_concurrent() {
    run(Scenario { clients: 5, crash: true, ..Scenario::default() });
}

#[test]
fn persist_concurrent_unreliable() {
    run(Scenario { clients: 5, unreliable: true, crash: true, ..Scenario::default() });
}

#[test]
fn persist_partition() {
    run(Scenario { clients: 5, crash: true, partitions: true, ..Scenario::default() });
}

#[test]
fn persist_partition_unreliable() {
    run(Scenario {
        clients: 5,
        unreliable: true,
        crash: true,
        partitions: true,
        ..Scenario::default()
    });
}
