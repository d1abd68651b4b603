//! State machine safety: no two members apply different commands at one index (5.4.3).

use bytes::Bytes;

use crate::chaos;
use crate::cluster::Cluster;

#[test]
fn all_apply_the_same_commands_in_the_same_order() {
    chaos::search(Vec::<Bytes>::new, |longest, group| {
        for member in &group.members {
            let (id, applied) = (member.node.id(), &member.applied);
            let shared = applied.len().min(longest.len());
            assert_eq!(applied[..shared], longest[..shared], "node {id}");
            if applied.len() > longest.len() {
                longest.clone_from(applied);
            }
        }
    });
}

/// A leader that was cut off goes on appending; none of it is applied anywhere, and what the others
/// applied meanwhile it applies in its place.
#[test]
fn what_is_not_committed_is_not_applied() {
    let mut cluster = Cluster::of(5);
    cluster.campaign(1);
    cluster.propose(1, "both");
    for other in [3, 4, 5] {
        cluster.cut(1, other);
        cluster.cut(2, other);
    }
    (0..3).for_each(|_| cluster.propose(1, "minority"));
    cluster.campaign(3);
    (0..2).for_each(|_| cluster.propose(3, "majority"));
    cluster.recover();
    cluster.heartbeat(3);
    cluster.heartbeat(3);
    for id in 1..=5 {
        assert_eq!(cluster.member(id).applied, ["both", "majority", "majority"], "node {id}");
    }
}
