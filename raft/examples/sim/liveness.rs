//! When faults end, a leader is elected, commands are committed, all members catch up, and reads are
//! served.
//!
//! First clients are silent, so that nothing but the group's own heartbeats brings it together; then it
//! must take a command, and hand leadership over. Not with damaged entries: a leader whose damaged
//! entry is applied needs a newer snapshot, which clients bring about.

use bytes::Bytes;
use tinykv_raft::{Membership, NodeId, ProposeError};

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
    if world.options.damaged.is_none() {
        world.quiet = true;
        let leader = come_to_rest(world)?;
        serve(world, leader)?;
        hand_over(world)?;
        world.quiet = false;
    }
    // Now clients go on.
    let end = world.now + PATIENCE;
    let mut read_after = None;
    while world.now < end {
        let next = world.now + 10 * TICK;
        world.run_until(next)?;
        staff(world)?;
        let Some(leader) = leader(world) else { continue };
        if !caught_up(world, leader, SLACK) {
            continue;
        }
        match read_after {
            None => {
                faults::read(world, leader);
                let reads = &world.invariants.reads;
                read_after = Some((reads.confirmed, reads.latest()));
                world.drain(leader)?;
            }
            Some((before, mark)) if world.invariants.reads.confirmed > before => {
                return world.invariants.reads.check_answered(mark);
            }
            Some(_) => faults::read(world, leader),
        }
    }
    Err(format!("liveness: no agreement within {PATIENCE} time units: {}", describe(world)))
}

/// Lets the group come together by itself; returns its leader.
fn come_to_rest(world: &mut World) -> Result<u64, String> {
    let end = world.now + PATIENCE;
    while world.now < end {
        let next = world.now + 10 * TICK;
        world.run_until(next)?;
        staff(world)?;
        if let Some(leader) = leader(world)
            && caught_up(world, leader, 0)
        {
            return Ok(leader);
        }
    }
    Err(format!("liveness: no rest within {PATIENCE} time units: {}", describe(world)))
}

/// A leader of a group at rest takes a command, since nothing fills its quota.
fn serve(world: &mut World, leader: u64) -> Check {
    let Some(node) = &mut world.member(leader).node else { return Ok(()) };
    match node.propose(Bytes::from_static(&[7; 90])) {
        // A hand-over that was begun ends, or is given up.
        Ok(_) | Err(ProposeError::Transferring { .. } | ProposeError::NotMember) => {
            world.drain(leader)
        }
        Err(error) => Err(format!("liveness: {leader} leads a group at rest: {error}")),
    }
}

/// Whom the leader of a group at rest names leads soon.
fn hand_over(world: &mut World) -> Check {
    let from = come_to_rest(world)?;
    let Some(node) = &mut world.member(from).node else { return Ok(()) };
    let members = node.membership();
    let other = |id: &NodeId| id.0 != from && members.is_voter(*id);
    let Some(target) = members.ids().into_iter().find(other) else { return Ok(()) };
    if node.status().transferee.is_some() || node.transfer_leader(target).is_err() {
        return Ok(());
    }
    world.invariants.leadership.hands_over(from);
    world.drain(from)?;
    let end = world.now + 10 * TICK;
    world.run_until(end)?;
    match leader(world) {
        Some(id) if id == target.0 => Ok(()),
        _ => Err(format!("liveness: {target} does not take over: {}", describe(world))),
    }
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

/// Returns whether all members follow the leader and have applied what it has, but for `slack` entries;
/// what it proposes is committed; and no joint membership is left that should be left by itself.
fn caught_up(world: &World, leader: u64, slack: u64) -> bool {
    let Some(head) = &world.members[leader as usize - 1].node else { return false };
    let opened = head.entry_term(head.committed()) == Some(head.term());
    let near = |id: NodeId| {
        let node = world.members[id.0 as usize - 1].node.as_ref();
        node.is_some_and(|node| {
            node.term() == head.term() && node.applied_index().0 + slack >= head.last().index.0
        })
    };
    let left = !head.membership().auto_leave || slack > 0;
    opened && left && head.membership().ids().into_iter().all(near)
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
