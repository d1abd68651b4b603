//! Stage 2ac: the loop around a node: what is ready, and that it ends.

#[path = "support/cluster.rs"]
mod cluster;

use bytes::Bytes;
use cluster::{Member, hard_state, stage_config, storage_of};
use tinykv_raft::{Index, Payload};

#[test]
fn start() {
    let mut config = stage_config(1);
    // New entries of a single node are committed as soon as they are written.
    config.async_writes = false;
    let mut member = Member::new(config, storage_of(&[1], &[], hard_state(0, None, 0)));
    member.node.campaign().unwrap();
    member.work();
    member.node.propose(Bytes::from_static(b"foo")).unwrap();
    let ready = member.node.ready();
    let data: Vec<&Payload> = ready.entries().map(|entry| &entry.payload).collect();
    assert_eq!(data, [&Payload::Normal(Bytes::from_static(b"foo"))]);
    assert!(ready.must_sync);
    member.finish(&ready);
    member.work();
    assert_eq!(member.applied, ["foo"]);
    assert!(!member.node.has_ready());
}

#[test]
fn restart() {
    let mut member =
        Member::new(stage_config(1), storage_of(&[1], &[1, 1], hard_state(1, None, 1)));
    let ready = member.node.ready();
    assert_eq!(ready.committed().map(|entry| entry.index).collect::<Vec<_>>(), [Index(1)]);
    assert_eq!(ready.entries().count(), 0);
    assert_eq!((ready.hard_state, ready.soft_state), (None, None));
    member.finish(&ready);
    assert!(!member.node.has_ready());
}
