//! Members that come, go, and learn that they are gone.

mod support {
    pub(crate) mod machine;
    pub(crate) mod world;
}

use proto::peer::{Peer, RegionError};
use support::machine::Op;
use support::world::{Options, Outcome, REGION, World};

/// Four stores, of which three begin with the region.
fn world(seed: u64) -> World {
    World::new(Options { members: 3, ..Options::new(seed, 4) })
}

/// Changes members until it is done.
fn must_change(world: &mut World, peer: Peer, remove: bool) {
    for _ in 0..100 {
        let leader = world.elect();
        if remove && world.node(leader).store.status(REGION).map(|it| it.peer.id) == Some(peer.id) {
            let region = world.node(leader).store.region(REGION).expect("it leads it").clone();
            let other = region.peers.iter().find(|other| other.id != peer.id);
            let other = other.expect("the last one stays").id;
            world.node_mut(leader).store.transfer_leader(REGION, other).expect("it may be asked");
            world.run(10);
            continue;
        }
        let tag = world.change(leader, peer, remove);
        world.until("a change is answered", |world| world.changes.contains_key(&tag));
        if world.changes[&tag].is_ok() {
            return;
        }
        let region = world.node(leader).store.region(REGION).cloned().unwrap_or_default();
        if region.peer(peer.id).is_some() != remove {
            return;
        }
        world.tick();
    }
    panic!("the change is never done; SEED={}", world.options.seed);
}

#[test]
fn a_new_member_gets_all_and_a_removed_one_keeps_nothing() {
    for seed in 0..10 {
        let mut world = world(seed);
        world.must_put("k1", "v1");
        must_change(&mut world, Peer::voter(4, 4), false);
        world.until("it has come", |world| world.local(4, "k1").is_some());
        world.settle();
        let epoch = world.node(4).store.region(REGION).expect("it has it").epoch;
        assert_eq!(epoch.conf_ver, 2);

        must_change(&mut world, Peer::voter(2, 2), true);
        world.until("the removed peer is gone", |world| {
            world.node(2).store.region(REGION).is_none()
        });
        world.run(20);
        assert_eq!(world.local(2, "k1"), None, "its data is gone");
        world.must_put("k2", "v2");
        world.settle();
        assert_eq!(world.local(4, "k2").expect("it is a member"), "v2");
        assert_eq!(world.local(2, "k2"), None);

        // It stays gone over a restart, and comes back under a new id only.
        world.crash(2);
        world.start(2);
        world.run(20);
        assert!(world.node(2).store.region(REGION).is_none());
        must_change(&mut world, Peer::voter(5, 2), false);
        world.until("it is back", |world| world.local(2, "k2").is_some());
    }
}

#[test]
fn one_that_was_cut_off_while_it_was_removed_learns_it() {
    for seed in 0..10 {
        let mut world = world(seed);
        world.must_put("k1", "v1");
        world.settle();
        let leader = world.elect();
        let far = [1, 2, 3].into_iter().find(|id| *id != leader).expect("one does not lead");
        let others: Vec<u64> = world.ids().into_iter().filter(|id| *id != far).collect();
        world.partition(&[&[far], &others]);
        must_change(&mut world, Peer::voter(far, far), true);
        world.run(50);
        assert!(world.node(far).store.region(REGION).is_some(), "it cannot know");
        world.heal();
        world.until("it is told", |world| world.node(far).store.region(REGION).is_none());
        world.run(20);
        assert_eq!(world.local(far, "k1"), None);
        world.must_put("k2", "v2");
        assert_eq!(world.node(far).store.metrics().peers_destroyed, 1);
    }
}

/// A learner does not ask for votes, so nobody would ever tell it.
#[test]
fn a_learner_that_was_away_while_it_was_removed_learns_it() {
    for seed in 0..6 {
        let mut world = world(seed);
        world.must_put("k1", "v1");
        let learner = Peer { learner: true, ..Peer::voter(4, 4) };
        must_change(&mut world, learner, false);
        world.until("it has come", |world| world.local(4, "k1").is_some());
        match seed % 2 {
            0 => world.partition(&[&[1, 2, 3], &[4]]),
            _ => world.crash(4),
        }
        must_change(&mut world, learner, true);
        world.run(20);
        match seed % 2 {
            0 => world.heal(),
            _ => world.start(4),
        }
        assert!(world.node(4).store.region(REGION).is_some(), "it cannot know; SEED={seed}");
        world.until("it is told", |world| world.node(4).store.region(REGION).is_none());
        world.run(20);
        assert_eq!(world.local(4, "k1"), None, "SEED={seed}");
        // It stays so.
        world.crash(4);
        world.start(4);
        assert!(world.node(4).store.region(REGION).is_none());
    }
}

/// Its power fails at some operation of its disk while it is removed.
#[test]
fn a_removal_that_a_crash_interrupts_is_finished() {
    for operations in 0..40 {
        let mut world = world(operations);
        world.must_put("k1", "v1");
        world.settle();
        let leader = world.elect();
        let gone = [1, 2, 3].into_iter().find(|id| *id != leader).expect("one does not lead");
        let now = world.fs(gone).operations();
        world.crash_after(gone, Some(now + operations));
        must_change(&mut world, Peer::voter(gone, gone), true);
        world.run(20);
        world.crash_after(gone, None);
        world.start_crashed(gone);
        world.until("it is gone", |world| world.node(gone).store.region(REGION).is_none());
        world.run(20);
        assert_eq!(world.local(gone, "k1"), None, "SEED={operations}");
        world.must_put("k2", "v2");
    }
}

/// Three members with a key, and a fourth that was added and has nothing.
fn world_with_an_empty_fourth() -> World {
    let mut world = world(1);
    world.must_put("k1", "v1");
    // It hears the leader, but its answers are lost, so no snapshot comes to an end.
    for id in 1..=3 {
        world.cut(4, id);
    }
    must_change(&mut world, Peer::voter(4, 4), false);
    world.until("it is made", |world| world.node(4).store.region(REGION).is_some());
    world
}

/// It knows nobody, and not even that it has forgotten somebody.
#[test]
fn one_that_was_removed_before_it_knew_anything_learns_it() {
    let mut world = world_with_an_empty_fourth();
    world.crash(4);
    must_change(&mut world, Peer::voter(4, 4), true);
    world.heal();
    world.start(4);
    assert!(world.node(4).store.region(REGION).is_some(), "it was made durably");
    world.until("it is told", |world| world.node(4).store.region(REGION).is_none());
    world.must_put("k2", "v2");
}

/// A member that is behind does not know the new one. What it knows is of the past.
#[test]
fn one_that_was_just_added_does_not_believe_who_is_behind() {
    for seed in 0..4 {
        let mut world = world(seed);
        world.must_put("k1", "v1");
        world.settle();
        let leader = world.elect();
        let behind = [1, 2, 3].into_iter().find(|id| *id != leader).expect("one does not lead");
        let others: Vec<u64> = [1, 2, 3, 4].into_iter().filter(|id| *id != behind).collect();
        world.partition(&[&[behind], &others]);
        let is_learner = seed % 2 == 0;
        must_change(&mut world, Peer { learner: is_learner, ..Peer::voter(4, 4) }, false);
        if seed < 2 {
            world.until("it has come", |world| world.local(4, "k1").is_some());
        } else {
            world.until("it is made", |world| world.node(4).store.region(REGION).is_some());
        }
        let others: Vec<u64> = [1, 2, 3].into_iter().filter(|id| *id != behind).collect();
        world.partition(&[&[behind, 4], &others]);
        world.run(300);
        assert!(world.node(4).store.region(REGION).is_some(), "it is a member; SEED={seed}");
        world.heal();
        world.must_put("k2", "v2");
        world.until("it has all", |world| world.local(4, "k2").is_some());
        assert_eq!(world.node(4).store.metrics().peers_destroyed, 0, "SEED={seed}");
    }
}

#[test]
fn one_that_was_removed_before_it_knew_anything_makes_room() {
    let mut world = world_with_an_empty_fourth();
    must_change(&mut world, Peer::voter(4, 4), true);
    world.heal();
    must_change(&mut world, Peer::voter(9, 4), false);
    world.until("the newer one has all", |world| world.local(4, "k1").is_some());
    world.settle();
    let status = world.node(4).store.status(REGION).expect("it has the region");
    assert_eq!(status.peer, Peer::voter(9, 4));
}

#[test]
fn a_store_that_lost_its_disk_does_not_come_back_as_who_it_was() {
    let mut world = world(1);
    world.must_put("k1", "v1");
    world.settle();
    let leader = world.elect();
    let wiped = [1, 2, 3].into_iter().find(|id| *id != leader).expect("one does not lead");
    world.wipe(wiped);
    world.must_put("k2", "v2");
    world.run(50);
    assert!(world.node(wiped).store.region(REGION).is_none(), "it forgot what it promised");
    must_change(&mut world, Peer::voter(wiped, wiped), true);
    must_change(&mut world, Peer::voter(10, wiped), false);
    world.until("the new peer has all", |world| world.local(wiped, "k2").is_some());
    assert_eq!(world.local(wiped, "k1").expect("it came"), "v1");
}

#[test]
fn changes_are_checked() {
    let mut world = world(1);
    let leader = world.elect();
    world.must_put("k", "v");
    let answer = |world: &mut World, peer: Peer, remove: bool| {
        let tag = world.change(leader, peer, remove);
        world.until("a change is answered", |world| world.changes.contains_key(&tag));
        world.changes[&tag].clone()
    };
    let own = answer(&mut world, Peer::voter(leader, leader), true);
    assert!(matches!(own, Err(RegionError::ServerIsBusy { .. })), "{own:?}");
    let taken = answer(&mut world, Peer::voter(9, leader), false);
    assert!(matches!(taken, Err(RegionError::ServerIsBusy { .. })), "{taken:?}");
    let follower = [1, 2, 3].into_iter().find(|id| *id != leader).expect("one does not lead");
    let tag = world.change(follower, Peer::voter(4, 4), false);
    world.tick();
    let result = &world.changes[&tag];
    assert!(matches!(result, Err(RegionError::NotLeader { .. })), "{result:?}");
}

#[test]
fn members_change_under_load_and_crashes() {
    for seed in 0..6 {
        let mut world = world(seed);
        (world.options.loss, world.options.doubles, world.options.delay_max) = (5, 5, 2);
        let mut next_id = 4;
        for round in 0..6 {
            let leader = world.elect();
            let region = world.node(leader).store.region(REGION).expect("it leads it").clone();
            let free = world
                .ids()
                .into_iter()
                .find(|id| region.peer_on(proto::peer::StoreId(*id)).is_none());
            if let Some(free) = free {
                must_change(&mut world, Peer::voter(next_id, free), false);
                next_id += 1;
            }
            world.must(&Op::Append("k".into(), format!("{round};").into()));
            let crashed = 1 + (seed + round) % 4;
            world.crash(crashed);
            world.start(crashed);
            let leader = world.elect();
            let region = world.node(leader).store.region(REGION).expect("it leads it").clone();
            let gone = region.peers.iter().find(|peer| peer.store.0 == 1 + round % 4).copied();
            if let Some(gone) = gone {
                must_change(&mut world, gone, true);
            }
        }
        let tag = {
            let leader = world.elect();
            world.read(leader, &"k".into())
        };
        world.until("a read is answered", |world| world.outcomes.contains_key(&tag));
        let value = world.must_get("k");
        let text = String::from_utf8_lossy(&value).into_owned();
        for round in 0..6 {
            assert!(text.contains(&format!("{round};")), "{text}; SEED={seed}");
        }
        assert!(!matches!(world.outcomes[&tag], Outcome::Failed(RegionError::StaleCommand)));
    }
}

#[test]
fn leadership_goes_where_it_is_asked_to() {
    let mut world = World::new(Options::new(2, 5));
    world.must_put("k", "v");
    for target in 1..=5 {
        world.settle();
        let leader = world.elect();
        if leader != target {
            let to = raft::NodeId(target);
            world.node_mut(leader).store.transfer_leader(REGION, to).expect("it may be asked");
            world.until("it leads", |world| world.leader() == Some(target));
        }
        world.must_put("k", &format!("v{target}"));
    }
}
