//! What a node finds when it starts again.

use bytes::Bytes;
use tinykv_raft::{Index, Payload};

use crate::cluster::{Member, hard_state, stage_config, storage_of};

/// The commit index need not be synced, so a crash can leave it behind what is applied. What is
/// applied was committed.
#[test]
fn what_is_applied_is_committed() {
    let mut config = stage_config(1);
    config.applied = Index(3);
    let member = Member::new(config, storage_of(&[1, 2, 3], &[1; 4], hard_state(1, None, 1)));
    assert_eq!((member.node.applied_index(), member.node.committed()), (Index(3), Index(3)));
    member.node.assert_invariants();
}

/// Committed entries are handed out piece by piece after a restart; none is skipped, none repeated.
#[test]
fn committed_entries_come_in_pieces() {
    let mut config = stage_config(1);
    config.applying_bytes_max = 40;
    let mut member = Member::new(config, storage_of(&[1, 2, 3], &[1; 9], hard_state(1, None, 9)));
    member.work();
    let expected: Vec<Bytes> = (1..=9).map(|index| Bytes::from(format!("1/{index}"))).collect();
    assert_eq!(member.applied, expected);
    let stored = member.log().into_iter().map(|entry| entry.payload);
    assert!(stored.eq(expected.into_iter().map(Payload::Normal)));
}
