//! What clients want, and what goes wrong.

use bytes::Bytes;
use rand::RngExt;
use rand::seq::IndexedRandom;
use tinykv_raft::confchange::{Change, Step, Transition};
use tinykv_raft::{EntryId, NodeId, Snapshot, Storage};

use super::invariants::{Check, transfers};
use super::options::{NODES, pick};
use super::world::{Event, World};

/// A client does something, and then another thing later.
pub(crate) fn client(world: &mut World) -> Check {
    let delay = world.rng.random_range(1..40);
    world.schedule(delay, Event::Client);
    if world.quiet {
        return Ok(());
    }
    let id = someone(world);
    let action = world.rng.random_range(0..100);
    match action {
        0..60 => propose(world, id)?,
        60..75 => read(world, id),
        75..85 => change(world, id),
        85..92 => compact(world, id),
        _ => disturb(world, id),
    }
    world.drain(id)
}

/// Returns a node: mostly one that believes it leads.
fn someone(world: &mut World) -> u64 {
    let leaders: Vec<u64> = world
        .members
        .iter()
        .filter(|member| member.node.as_ref().is_some_and(|node| node.is_leader()))
        .map(|member| member.id)
        .collect();
    match world.rng.random_bool(0.8) {
        true => leaders.choose(&mut world.rng).copied().unwrap_or(1),
        false => world.rng.random_range(1..=NODES),
    }
}

fn propose(world: &mut World, id: u64) -> Check {
    let count = pick(&mut world.rng, &[1, 1, 1, 5]);
    let first = world.proposals;
    world.proposals += count;
    let command = |number| Bytes::from(format!("command {number}"));
    let batch = (first..first + count).map(command);
    if let Some(node) = &mut world.member(id).node {
        let transferring = node.status().transferee.is_some();
        // A refusal is an answer like another.
        if let Ok(proposed) = node.propose_batch(batch) {
            transfers::on_propose(id, transferring, &proposed)?;
            world.invariants.answers.proposed(id, proposed, command(first + count - 1));
        }
    }
    Ok(())
}

pub(crate) fn read(world: &mut World, id: u64) {
    let leads = world.member(id).node.as_ref().is_some_and(|node| node.is_leader());
    let token = world.invariants.reads.begin(id, leads);
    let begun = world.member(id).node.as_mut().is_some_and(|node| node.read_index(token).is_ok());
    if !begun {
        world.invariants.reads.refused(token);
    }
}

fn change(world: &mut World, id: u64) {
    if !world.options.churn {
        return;
    }
    // In peace the membership comes to rest, but a joint one is still left.
    let count = if world.healed { 0 } else { pick(&mut world.rng, &[0, 1, 1, 1, 2, 3]) };
    let steps: Vec<Step> = (0..count)
        .map(|_| {
            let node = NodeId(world.rng.random_range(1..=NODES));
            match world.rng.random_range(0..6) {
                0..3 => Step::AddVoter(node),
                3 => Step::AddLearner(node),
                _ => Step::Remove(node),
            }
        })
        .collect();
    let transition = match count {
        0 => Transition::Auto,
        _ => pick(
            &mut world.rng,
            &[Transition::Auto, Transition::JointImplicit, Transition::JointExplicit],
        ),
    };
    if let Some(node) = &mut world.member(id).node {
        let _ = node.propose_change(Change { transition, steps, context: Bytes::new() });
    }
}

/// Makes a snapshot of the state machine and forgets the log before it.
fn compact(world: &mut World, id: u64) {
    let member = world.member(id);
    let Some(node) = &mut member.node else { return };
    let (machine, disk) = (&member.disk.machine, &mut member.disk.durable);
    let index = machine.applied.min(node.applied_index());
    let Some(term) = node.entry_term(index) else { return };
    if index < disk.first_index() || index > disk.last_index() || index < machine.applied {
        return;
    }
    let snapshot = Snapshot {
        last: EntryId { term, index },
        membership: machine.membership.clone(),
        data: Bytes::copy_from_slice(&machine.hash.to_le_bytes()),
    };
    // A log that cannot be compacted now is compacted another time.
    for storage in [disk, node.storage_mut()] {
        if storage.compact(index).is_ok() {
            storage.set_snapshot(snapshot.clone());
        }
    }
}

fn disturb(world: &mut World, id: u64) {
    let target = NodeId(world.rng.random_range(1..=NODES));
    let action = world.rng.random_range(0..4);
    let Some(node) = &mut world.member(id).node else { return };
    match action {
        0 | 1 => {
            let _ = node.transfer_leader(target);
            world.invariants.leadership.hands_over(id);
        }
        2 => node.report_unreachable(target),
        // A leader's lease may stand against it.
        _ => drop(node.campaign()),
    }
}

/// Something breaks, and then another thing later.
pub(crate) fn strike(world: &mut World) -> Check {
    if world.healed {
        return Ok(());
    }
    let delay = world.rng.random_range(50..400);
    world.schedule(delay, Event::Fault);
    let id = match world.rng.random_bool(0.5) {
        true => someone(world),
        false => world.rng.random_range(1..=NODES),
    };
    match world.rng.random_range(0..10) {
        0..4 => crash(world, id),
        4..6 => split(world),
        6 => cut_some(world),
        7 | 8 if world.options.pauses => {
            let until = world.now + world.rng.random_range(10..400);
            world.member(id).paused_until = until;
        }
        _ => {}
    }
    Ok(())
}

fn crash(world: &mut World, id: u64) {
    world.crash(id);
    if world.options.damaged == Some(id) && world.rng.random_bool(0.5) {
        let mut rng = world.rng.clone();
        world.member(id).disk.damage(&mut rng);
    }
    let delay = world.rng.random_range(1..400);
    world.schedule(delay, Event::Restart(id));
    if world.rng.random_bool(0.1) {
        // The power of all fails.
        for other in (1..=NODES).filter(|other| *other != id) {
            world.crash(other);
            world.schedule(delay, Event::Restart(other));
        }
    }
}

/// Splits the nodes into two groups.
fn split(world: &mut World) {
    let side: Vec<bool> = (0..=NODES).map(|_| world.rng.random_bool(0.5)).collect();
    for from in 1..=NODES {
        for to in 1..=NODES {
            if side[from as usize] != side[to as usize] {
                world.cut.insert((from, to));
            }
        }
    }
    heal_later(world);
}

/// Cuts single directions: partial and asymmetric partitions.
fn cut_some(world: &mut World) {
    for _ in 0..world.rng.random_range(1..8) {
        let (from, to) = (world.rng.random_range(1..=NODES), world.rng.random_range(1..=NODES));
        world.cut.insert((from, to));
    }
    heal_later(world);
}

fn heal_later(world: &mut World) {
    let delay = world.rng.random_range(50..900);
    world.schedule(delay, Event::Heal);
}
