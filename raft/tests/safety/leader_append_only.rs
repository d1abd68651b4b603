//! Leader append-only: a leader never overwrites or deletes entries of its log (5.3).

use std::collections::BTreeMap;

use tinykv_raft::{Body, Entries, Entry, EntryId, Index, NodeId, Term};

use crate::chaos;
use crate::cluster::{Member, hard_state, log_of, stage_config, storage_of};

#[test]
fn a_leaders_log_only_grows() {
    chaos::search(BTreeMap::<NodeId, (Term, Vec<Entry>)>::new, |logs, group| {
        for member in &group.members {
            let (id, term, log) = (member.node.id(), member.node.term(), member.log());
            if !member.node.is_leader() {
                logs.remove(&id);
                continue;
            }
            if let Some((before, old)) = logs.get(&id)
                && *before == term
            {
                assert!(log.starts_with(old), "leader {id} of {term} cut {old:?} to {log:?}");
            }
            logs.insert(id, (term, log));
        }
    });
}

/// No message of its own term, nor of an earlier one, makes a leader change what it has: there is no
/// other leader in the term who could have sent it.
#[test]
fn no_message_cuts_a_leaders_log() {
    let mut leader =
        Member::new(stage_config(1), storage_of(&[1, 2, 3], &[1, 2], hard_state(2, None, 0)));
    leader.lead();
    let log = leader.log();
    assert_eq!(log[..2], log_of(&[1, 2]));
    for term in 0..3 {
        for prev in [(0, 0), (1, 1), (2, 2)] {
            let prev = EntryId::new(prev.0, prev.1);
            let entries = Entries::new(log_of(&[1, 1, 1])[prev.index.0 as usize..].to_vec());
            leader.hear(2, term, Body::Append { prev, commit: Index(0), entries });
            assert_eq!(leader.log(), log);
        }
    }
    assert!(leader.node.is_leader());
}
