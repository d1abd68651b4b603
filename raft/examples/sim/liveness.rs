//! When faults end, a leader is elected, commands are committed, all members catch up, and reads are
//! served.

use tinykv_raft::{Membership, NodeId};

use super::faults;
use super::invariants::Check;
use super::options::{NODES, TICK};
use super::world::World;

/// How long the group may take, in time units: some tens of election timeouts.
const PATIENCE: u64 = 1200 * TICK;

/// How many entries a member may be behind while clients go on.
const SLACK: u64 = 40;

pub(crate) fn check(world: &mut World) -> Check {
    world.healed = true;
    world.cut.clear();
    for id in 1..=NODES {
        world.member(id).paused_until = 0;
        if world.member(id).node.is_none() {
            world.start(id)?;
        }
    }
    // Clients go on during all of it.
    let end = world.now + PATIENCE;
    let mut read_after = None;
    while world.now < end {
        let next = world.now + 10 * TICK;
        world.run_until(next)?;
        staff(world)?;
        let Some(leader) = leader(world) else { continue };
        if !caught_up(world, leader) {
            continue;
        }
        match read_after {
            None => {
                world.invariants.reads.forget_all();
                read_after = Some(world.invariants.reads.confirmed);
                faults::read(world, leader);
                world.drain(leader)?;
            }
            Some(before) if world.invariants.reads.confirmed > before => return Ok(()),
            Some(_) => faults::read(world, leader),
        }
    }
    Err(format!("liveness: no agreement within {PATIENCE} time units: {}", describe(world)))
}

/// Returns the one leader of the latest term.
fn leader(world: &World) -> Option<u64> {
    let nodes = world.members.iter().filter_map(|member| member.node.as_ref());
    let leaders = nodes.filter(|node| node.is_leader());
    leaders.max_by_key(|node| node.term()).map(|node| node.id().0)
}

/// An operator switches members on, and switches off what a leader's membership no longer has: it
/// does not know that it was removed and would campaign for ever. Not before there is such a leader:
/// the others may need the old voters to learn that they are old.
fn staff(world: &mut World) -> Check {
    let leads = leader(world).and_then(|id| world.members[id as usize - 1].node.as_ref());
    let of_leader = leads.map(|node| node.membership().clone());
    for id in 1..=NODES {
        let runs = world.member(id).node.is_some();
        let member = |membership: &Membership| membership.contains(NodeId(id));
        let wanted = of_leader.as_ref().is_none_or(member);
        match (runs, wanted) {
            (false, true) => world.start(id)?,
            (true, false) => world.crash(id),
            _ => {}
        }
    }
    Ok(())
}

/// Returns whether all members follow the leader and have applied what it committed when faults had
/// ended, and what it proposes is committed.
fn caught_up(world: &World, leader: u64) -> bool {
    let Some(head) = &world.members[leader as usize - 1].node else { return false };
    let opened = head.entry_term(head.committed()) == Some(head.term());
    let near = |id: NodeId| {
        let node = world.members[id.0 as usize - 1].node.as_ref();
        node.is_some_and(|node| {
            node.term() == head.term() && node.applied_index().0 + SLACK >= head.committed().0
        })
    };
    opened && head.membership().ids().into_iter().all(near)
}

fn describe(world: &World) -> String {
    let nodes = world.members.iter().filter_map(|member| member.node.as_ref());
    nodes
        .map(|node| {
            format!(
                "\n  {}: {:?} term {} leader {:?} applied {} committed {} last {} of {}",
                node.id(),
                node.role(),
                node.term(),
                node.leader(),
                node.applied_index(),
                node.committed(),
                node.last(),
                node.membership()
            )
        })
        .collect()
}
