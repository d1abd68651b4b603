//! Paper 7: log compaction.

use bytes::Bytes;
use tinykv_raft::{Body, EntryId, Index, MemStorage, Membership, NodeId, Snapshot, Storage, Term};

use crate::cluster::{Cluster, Member, hard_state, stage_config};
use crate::{append, member_with};

fn snapshot(term: u64, index: u64) -> Snapshot {
    Snapshot {
        last: EntryId::new(term, index),
        membership: Membership::of_voters([1, 2, 4]),
        data: Bytes::from_static(b"state"),
    }
}

fn install(term: u64, index: u64) -> Body {
    Body::Snapshot(Box::new(snapshot(term, index)))
}

/// A snapshot carries the index and the term of the last entry it replaces, for the consistency check
/// of the first entry after it; and the membership as of there.
#[test]
fn a_snapshot_stands_in_for_the_log() {
    let mut member = member_with(&[1, 1]);
    member.hear(2, 3, install(2, 7));
    assert_eq!(member.node.last(), EntryId::new(2, 7));
    assert_eq!(member.node.membership().ids(), [NodeId(1), NodeId(2), NodeId(4)]);
    let sent = member.hear(2, 3, append((2, 7), &[3], 0));
    assert_eq!(sent[0].body, Body::AppendAccepted { index: Index(8) });
    let sent = member.hear(2, 3, append((1, 7), &[3], 0));
    assert!(matches!(
        sent[0].body,
        Body::AppendRejected { .. } | Body::AppendAccepted { index: Index(7) }
    ));
    assert_eq!(member.node.last(), EntryId::new(3, 8));
}

/// A leader sends a snapshot when it no longer has the next entry that a follower needs, and then
/// the entries after it.
#[test]
fn a_follower_that_is_far_behind_gets_a_snapshot() {
    let mut cluster = Cluster::of(3);
    cluster.campaign(1);
    cluster.isolate(3);
    (0..9).for_each(|_| cluster.propose(1, "x"));
    cluster.compact(1);
    cluster.propose(1, "y");
    cluster.recover();
    (0..2).for_each(|_| cluster.heartbeat(1));
    let is_snapshot = |body: &Body| matches!(body, Body::Snapshot(_));
    let sent: Vec<_> = cluster.seen.iter().filter(|message| is_snapshot(&message.body)).collect();
    assert_eq!((sent.len(), sent[0].to), (1, NodeId(3)));
    assert_eq!(cluster.node(3).storage().first_index(), Index(11));
    assert_eq!(cluster.member(3).applied, ["y"]);
}

/// A snapshot with news replaces the whole log; of one that describes a prefix of the log, what
/// follows it is kept.
#[test]
fn a_prefix_keeps_what_follows_it() {
    for (term, index, last) in
        [(1, 2, EntryId::new(1, 4)), (2, 2, EntryId::new(2, 2)), (1, 9, EntryId::new(1, 9))]
    {
        let mut member = member_with(&[1, 1, 1, 1]);
        member.hear(2, 3, install(term, index));
        assert_eq!((member.node.last(), member.node.committed()), (last, Index(index)));
    }
}

/// Every member may compact its own log, independently of the others and of who leads.
#[test]
fn followers_compact_by_themselves() {
    let mut cluster = Cluster::of(3);
    cluster.campaign(1);
    (0..4).for_each(|_| cluster.propose(1, "x"));
    cluster.compact(2);
    cluster.propose(1, "y");
    cluster.campaign(2);
    cluster.propose(2, "z");
    assert_eq!(cluster.member(3).applied.len(), 6);
    assert_eq!(cluster.node(2).storage().first_index(), Index(6));
}

/// A member restarts from its snapshot and the entries after it.
#[test]
fn a_member_restarts_from_its_snapshot() {
    let mut storage = MemStorage::with_snapshot(snapshot(2, 7));
    storage.set_hard_state(hard_state(3, Some(2), 7));
    let mut config = stage_config(1);
    config.applied = Index(7);
    let mut member = Member::new(config, storage);
    assert_eq!((member.node.last(), member.node.applied_index()), (EntryId::new(2, 7), Index(7)));
    member.hear(2, 3, append((2, 7), &[3], 8));
    assert_eq!((member.node.term(), member.applied.len()), (Term(3), 1));
}

/// Snapshot and entries are not applied at the same time: the entries come after it.
#[test]
fn entries_wait_for_the_snapshot() {
    let mut member = member_with(&[]);
    let message =
        |body| tinykv_raft::Message { from: NodeId(2), to: NodeId(1), term: Term(3), body };
    member.node.step(message(install(2, 7))).unwrap();
    member.node.step(message(append((2, 7), &[3, 3], 9))).unwrap();
    let ready = member.node.ready();
    assert!(ready.snapshot.is_some() && ready.storage_error.is_none());
    assert_eq!(ready.committed().count(), 0);
    member.finish(&ready);
    let next = member.node.ready();
    assert_eq!(next.committed().count(), 2);
}
