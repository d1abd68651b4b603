//! Snapshots: when they are taken, and when they are over.

use bytes::Bytes;
use tinykv_raft::{Body, EntryId, Index, MemStorage, Membership, ProgressState, Snapshot, Storage};

use crate::cluster::{Cluster, Member, hard_state, stage_config, storage_of};

fn snapshot(term: u64, index: u64) -> Snapshot {
    let membership = Membership::of_voters([1, 2, 3]);
    Snapshot { last: EntryId::new(term, index), membership, data: Bytes::new() }
}

fn install(snapshot: Snapshot) -> Body {
    Body::Snapshot(Box::new(snapshot))
}

/// A snapshot that comes late, below what is compacted here, must not undo what is applied.
#[test]
fn a_late_snapshot_rolls_nothing_back() {
    let mut storage = MemStorage::with_snapshot(snapshot(1, 5));
    storage.set_hard_state(hard_state(1, None, 5));
    let mut config = stage_config(2);
    config.applied = Index(5);
    let mut member = Member::new(config, storage);
    let sent = member.hear(1, 1, install(snapshot(1, 3)));
    assert_eq!(sent[0].body, Body::AppendAccepted { index: Index(5) });
    assert_eq!((member.node.last(), member.node.committed()), (EntryId::new(1, 5), Index(5)));
    assert_eq!(member.node.storage().first_index(), Index(6));
}

/// A snapshot whose last entry is here tells only that it is committed. Entries after it may be
/// acknowledged, and are kept.
#[test]
fn a_snapshot_that_matches_keeps_what_follows() {
    let mut member =
        Member::new(stage_config(2), storage_of(&[1, 2, 3], &[1; 5], hard_state(1, None, 0)));
    member.hear(1, 1, install(snapshot(1, 3)));
    assert_eq!((member.node.last(), member.node.committed()), (EntryId::new(1, 5), Index(3)));
    assert_eq!(member.terms(), [1; 5]);
}

/// A leader that has sent node 3 a snapshot up to 6 and has three entries after it.
fn leader_that_sent_a_snapshot(snapshot_ticks: u32) -> Cluster {
    let mut cluster = Cluster::configured(3, |config| config.snapshot_ticks = snapshot_ticks);
    cluster.campaign(1);
    cluster.isolate(3);
    (0..5).for_each(|_| cluster.propose(1, "x"));
    cluster.compact(1);
    (0..3).for_each(|_| cluster.propose(1, "y"));
    cluster.recover();
    cluster.ignore(|body| matches!(body, Body::Snapshot(_)));
    cluster.heartbeat(1);
    assert_eq!(state_of_3(&cluster), ProgressState::Snapshot(Index(6)));
    cluster
}

fn state_of_3(cluster: &Cluster) -> ProgressState {
    cluster.node(1).status().progress[2].state
}

/// Node 3 may be restored by another snapshot than the one that was sent; what counts is that the
/// log can take over.
#[test]
fn any_snapshot_that_reaches_the_log_will_do() {
    let mut cluster = leader_that_sent_a_snapshot(200);
    cluster.send(3, 1, 1, Body::AppendAccepted { index: Index(8) });
    assert_eq!(state_of_3(&cluster), ProgressState::Replicate);
}

/// The snapshot is lost, and nobody reports it.
#[test]
fn a_lost_snapshot_is_sent_again() {
    let mut cluster = leader_that_sent_a_snapshot(5);
    cluster.recover();
    cluster.ticks(1, 8);
    assert_eq!(cluster.node(3).last(), cluster.node(1).last());
}
