//! Leader completeness: what is committed in a term is in the logs of all later leaders (5.4).

use std::collections::BTreeMap;

use tinykv_raft::{Entry, Index, RoleKind, Term};

use crate::chaos;
use crate::cluster::{Cluster, Member, hard_state, stage_config, storage_of};

#[test]
fn every_leader_has_what_was_committed_before_it() {
    // What was committed at each index, and in which term of a leader that was first seen.
    type Committed = BTreeMap<Index, (Entry, Term)>;
    chaos::search(Committed::new, |committed, group| {
        for member in group.members.iter().filter(|member| member.node.is_leader()) {
            let (log, term) = (member.log(), member.node.term());
            for (index, (entry, since)) in committed.iter() {
                let has = log.get(index.0 as usize - 1) == Some(entry);
                assert!(has || *since >= term, "the leader of {term} lacks {}", entry.id());
            }
            for entry in &log[..member.node.committed().0 as usize] {
                committed.entry(entry.index).or_insert_with(|| (entry.clone(), term));
            }
        }
    });
}

/// Of five logs, those that can be elected by any three voters are those that have what three have.
#[test]
fn only_complete_logs_can_win() {
    // Entry 3 of term 2 is on nodes 1, 2 and 3: committed. The other two have more, but older, or
    // less.
    let logs: [&[u64]; 5] = [&[1, 1, 2], &[1, 1, 2], &[1, 1, 2], &[1, 1, 1, 1, 1], &[1, 1]];
    for candidate in 1..=5 {
        let mut cluster = Cluster::from_members((1..).zip(logs).map(|(id, log)| {
            let storage = storage_of(&[1, 2, 3, 4, 5], log, hard_state(2, None, 0));
            Member::new(stage_config(id), storage)
        }));
        cluster.campaign(candidate);
        let won = cluster.role(candidate) == RoleKind::Leader;
        assert_eq!(won, candidate <= 3, "node {candidate}");
    }
}
