//! Log matching: two logs that hold an entry of one index and term are equal up to there (5.3).

use tinykv_raft::{Body, Entries, Entry, EntryId, Index};

use crate::chaos;
use crate::cluster::{Member, hard_state, log_of, stage_config, storage_of};

/// Asserts it for two logs: from the last entry that they share on, all before must be equal.
fn assert_match(a: &[Entry], b: &[Entry]) {
    let shared = a.iter().zip(b).rposition(|(a, b)| a.id() == b.id());
    if let Some(last) = shared {
        assert_eq!(a[..=last], b[..=last], "two logs share {}", a[last].id());
    }
}

#[test]
fn logs_that_share_an_entry_share_all_before() {
    chaos::search(
        || (),
        |(), group| {
            let logs: Vec<Vec<Entry>> = group.members.iter().map(Member::log).collect();
            for (place, log) in logs.iter().enumerate() {
                logs[..place].iter().for_each(|other| assert_match(log, other));
            }
        },
    );
}

/// The consistency check, step by step: from any log, after any append of a leader, what is
/// acknowledged is the leader's log.
#[test]
fn what_is_acknowledged_is_the_leaders() {
    let leaders: Vec<u64> = vec![1, 1, 3, 4, 4];
    // The leader of term 2 had [1], that of 3 [1, 1].
    let logs: [&[u64]; 6] =
        [&[], &[1], &[1, 1, 1, 1, 1, 1], &[1, 2], &[1, 2, 2, 2, 2, 2], &[1, 1, 3, 3]];
    for log in logs {
        for start in 0..=leaders.len() {
            for end in start..=leaders.len() {
                let mut member = Member::new(
                    stage_config(2),
                    storage_of(&[1, 2, 3], log, hard_state(4, None, 0)),
                );
                let ours = log_of(&leaders);
                let prev = start.checked_sub(1).map_or(EntryId::default(), |at| ours[at].id());
                let entries = Entries::new(ours[start..end].to_vec());
                let sent = member.hear(1, 4, Body::Append { prev, commit: Index(0), entries });
                match sent[0].body {
                    Body::AppendAccepted { index } => {
                        let index = index.0 as usize;
                        assert_eq!((index, &member.log()[..index]), (end, &ours[..end]));
                    }
                    Body::AppendRejected { .. } => assert_eq!(member.terms(), log),
                    ref other => panic!("{other:?}"),
                }
            }
        }
    }
}
