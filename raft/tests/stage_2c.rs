//! Stage 2c: snapshots and compaction (section 7).

#[path = "support/cluster.rs"]
mod cluster;

use bytes::Bytes;
use cluster::{Cluster, Member, hard_state, stage_config, storage_of};
use tinykv_raft::{
    Body, Entries, Entry, EntryId, Index, MemStorage, Membership, Message, NodeId, Payload,
    Snapshot, Storage, Term,
};

fn snapshot(term: u64, index: u64, voters: &[u64]) -> Snapshot {
    let membership = Membership::of_voters(voters.iter().copied());
    Snapshot { last: EntryId::new(term, index), membership, data: Bytes::new() }
}

fn install(snapshot: Snapshot) -> Body {
    Body::Snapshot(Box::new(snapshot))
}

fn snapshots(sent: &[Message]) -> Vec<&Message> {
    sent.iter().filter(|message| matches!(message.body, Body::Snapshot(_))).collect()
}

#[test]
fn a_snapshot_sets_log_and_membership() {
    let mut member = Member::of(1, &[1, 2]);
    member.hear(2, 11, install(snapshot(11, 11, &[1, 2, 3])));
    assert_eq!(member.node.last(), EntryId::new(11, 11));
    assert_eq!(member.node.entry_term(Index(11)), Some(Term(11)));
    assert_eq!(member.node.membership().ids(), [NodeId(1), NodeId(2), NodeId(3)]);
    assert_eq!(member.node.storage().first_index(), Index(12));
    assert_eq!(member.node.applied_index(), Index(11));
}

#[test]
fn an_old_snapshot_is_ignored() {
    let mut member =
        Member::new(stage_config(1), storage_of(&[1, 2], &[1, 1, 1], hard_state(1, None, 3)));
    member.work();
    let sent = member.hear(2, 1, install(snapshot(1, 1, &[1, 2, 3])));
    assert_eq!(member.node.committed(), Index(3));
    assert_eq!(member.terms(), [1, 1, 1]);
    assert_eq!(member.node.membership().ids(), [NodeId(1), NodeId(2)]);
    assert_eq!(sent[0].body, Body::AppendAccepted { index: Index(3) });
}

/// A leader whose log begins after 11 entries.
fn compacted_leader(voters: &[u64]) -> Member {
    let mut storage = MemStorage::with_snapshot(snapshot(11, 11, voters));
    storage.set_hard_state(hard_state(11, None, 11));
    let mut config = stage_config(1);
    config.applied = Index(11);
    let mut leader = Member::new(config, storage);
    leader.lead();
    leader
}

#[test]
fn a_follower_behind_the_log_gets_a_snapshot() {
    let mut leader = compacted_leader(&[1, 2]);
    // The follower has not even the last entry of the snapshot.
    let hint = EntryId::new(0, 0);
    let rejected = Body::AppendRejected { rejected: Index(11), hint, damaged: false };
    let mut sent = leader.hear(2, 12, rejected);
    leader.node.propose(Bytes::from_static(b"somedata")).unwrap();
    sent.extend(leader.work());
    let snapshots = snapshots(&sent);
    assert_eq!(snapshots.len(), 1, "{sent:?}");
    assert_eq!(snapshots[0].body, install(snapshot(11, 11, &[1, 2])));
}

#[test]
fn a_snapshot_names_the_leader() {
    let mut member = Member::of(2, &[1, 2]);
    member.hear(1, 11, install(snapshot(11, 11, &[1, 2])));
    assert_eq!(member.node.leader(), Some(NodeId(1)));
}

#[test]
fn a_snapshot_replaces_the_membership_exactly() {
    let mut member = Member::of(4, &[1, 2, 3]);
    member.hear(1, 11, install(snapshot(11, 11, &[2, 3, 4])));
    assert_eq!(member.node.membership().ids(), [NodeId(2), NodeId(3), NodeId(4)]);
}

#[test]
fn a_slow_node_is_restored() {
    let mut cluster = Cluster::of(3);
    cluster.campaign(1);
    cluster.isolate(3);
    for _ in 0..=100 {
        cluster.propose(1, "x");
    }
    cluster.compact(1);
    cluster.recover();
    // The leader hears of node 3, sends it a snapshot, and then what is new.
    cluster.heartbeat(1);
    cluster.propose(1, "y");
    assert!(!snapshots(&cluster.seen).is_empty());
    assert_eq!(cluster.committed(3), cluster.committed(1));
    assert_eq!(cluster.node(3).last(), cluster.node(1).last());
}

#[test]
fn restart_from_a_snapshot() {
    let mut storage = MemStorage::with_snapshot(snapshot(1, 2, &[1, 2]));
    let entry = Entry {
        term: Term(1),
        index: Index(3),
        payload: Payload::Normal(Bytes::from_static(b"foo")),
    };
    storage.append(&Entries::new(vec![entry.clone()]));
    storage.set_hard_state(hard_state(1, None, 3));
    let mut config = stage_config(1);
    config.applied = Index(2);
    let mut member = Member::new(config, storage);
    let ready = member.node.ready();
    assert_eq!(ready.committed().collect::<Vec<_>>(), [&entry]);
    assert_eq!(ready.entries().count(), 0);
    member.finish(&ready);
    assert!(!member.node.has_ready());
}
