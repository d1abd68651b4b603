//! Election safety: at most one leader can be elected in a term (5.2).

use std::collections::BTreeMap;

use tinykv_raft::{Message, NodeId, Term};

use crate::chaos;
use crate::cluster::Member;

#[test]
fn no_term_has_two_leaders() {
    chaos::search(BTreeMap::<Term, NodeId>::new, |leaders, group| {
        for member in group.members.iter().filter(|member| member.node.is_leader()) {
            let (term, id) = (member.node.term(), member.node.id());
            assert_eq!(*leaders.entry(term).or_insert(id), id, "leaders of {term}");
        }
    });
}

/// Three of five campaign in the same term. However the others hear of it, at most one wins.
#[test]
fn three_candidates_in_every_order() {
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    let mut wins = 0;
    for first in orders {
        for second in orders {
            let voters = [1, 2, 3, 4, 5];
            let mut members: Vec<Member> = voters.map(|id| Member::of(id, &voters)).into();
            let asked: Vec<Vec<Message>> = (0..3).map(|place| members[place].campaign()).collect();
            for (voter, order) in [(3, first), (4, second)] {
                let mut answers = Vec::new();
                for candidate in order {
                    let to = NodeId(voter as u64 + 1);
                    let ask = asked[candidate].iter().find(|message| message.to == to);
                    members[voter].node.step(ask.expect("it asks all").clone()).unwrap();
                    answers.extend(members[voter].work());
                }
                for answer in answers {
                    members[answer.to.0 as usize - 1].node.step(answer).unwrap();
                }
            }
            members.iter_mut().for_each(|member| drop(member.work()));
            let leaders = members.iter().filter(|member| member.node.is_leader()).count();
            assert!(leaders <= 1, "{first:?} {second:?}");
            wins += leaders;
        }
    }
    // Who is first with both voters has three votes.
    assert_eq!(wins, 12);
}
